"""The requests of the endpoints as classes, by ollama-python's names.

The clients' methods take arguments and do not need them; a program may build a request, keep it, and send it:
``client.request_json("/api/chat", ChatRequest(model="m", messages=[…]).model_dump(exclude_none=True))``.
"""

from __future__ import annotations

from metagpt_ollama_rs.inputs import Image, Options, Tool
from metagpt_ollama_rs.kinds import ModelName
from metagpt_ollama_rs.record import Record
from metagpt_ollama_rs.responses import Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Literal

    from metagpt_ollama_rs.record_dumps import Dump

__all__ = [
    "BaseGenerateRequest",
    "BaseRequest",
    "BaseStreamableRequest",
    "ChatRequest",
    "CopyRequest",
    "CreateRequest",
    "DeleteRequest",
    "EmbedRequest",
    "EmbeddingsRequest",
    "GenerateRequest",
    "PullRequest",
    "PushRequest",
    "ShowRequest",
]


class BaseRequest(Record):
    """What most requests have: the name of a model, which is not empty.

    >>> BaseRequest(model="llama3.2").model
    'llama3.2'
    """

    __slots__ = ()
    model: ModelName


class BaseStreamableRequest(BaseRequest):
    """A request whose reply may be streamed.

    >>> BaseStreamableRequest(model="llama3.2", stream=True).stream
    True
    """

    __slots__ = ()
    stream: bool | None


class BaseGenerateRequest(BaseStreamableRequest):
    """What chat and generate have in common.

    >>> BaseGenerateRequest(model="llama3.2", options={"seed": 1}).options
    {'seed': 1}
    """

    __slots__ = ()
    options: Mapping[str, Any] | Options | None
    format: Literal["", "json"] | dict[str, Any] | None
    keep_alive: float | str | None


class GenerateRequest(BaseGenerateRequest):
    """A request of ``/api/generate``.

    >>> GenerateRequest(model="llama3.2", prompt="Hi").model_dump(exclude_none=True)
    {'model': 'llama3.2', 'prompt': 'Hi'}
    """

    __slots__ = ()
    _nested = {"images": Image}
    prompt: str | None
    suffix: str | None
    system: str | None
    template: str | None
    context: Sequence[int] | None
    raw: bool | None
    images: Sequence[Image] | None
    think: bool | str | None
    logprobs: bool | None
    top_logprobs: int | None
    width: int | None
    height: int | None
    steps: int | None


class ChatRequest(BaseGenerateRequest):
    """A request of ``/api/chat``.

    >>> ChatRequest(model="llama3.2", messages=[{"role": "user", "content": "Hi"}]).model_dump(exclude_none=True)
    {'model': 'llama3.2', 'messages': [{'role': 'user', 'content': 'Hi'}]}
    """

    __slots__ = ()
    _nested = {"tools": Tool}
    messages: Sequence[Mapping[str, Any] | Message] | None
    tools: Sequence[Tool] | None
    think: bool | str | None
    logprobs: bool | None
    top_logprobs: int | None

    def _dump(self, dump: Dump, include: Any, exclude: Any) -> Any:
        found = dump.of(self, include, exclude)
        for tool in found.get("tools") or ():
            parameters = (tool.get("function") or {}).get("parameters") or {}
            if "defs" in parameters:
                parameters["$defs"] = parameters.pop("defs")
        return found


class EmbedRequest(BaseRequest):
    """A request of ``/api/embed``.

    >>> EmbedRequest(model="nomic-embed-text", input=["one text", "another"]).input
    ['one text', 'another']
    """

    __slots__ = ()
    input: str | Sequence[str]
    truncate: bool | None
    options: Mapping[str, Any] | Options | None
    keep_alive: float | str | None
    dimensions: int | None


class EmbeddingsRequest(BaseRequest):
    """A request of ``/api/embeddings``.

    >>> EmbeddingsRequest(model="nomic-embed-text", prompt="one text").prompt
    'one text'
    """

    __slots__ = ()
    prompt: str | None
    options: Mapping[str, Any] | Options | None
    keep_alive: float | str | None


class PullRequest(BaseStreamableRequest):
    """A request of ``/api/pull``.

    >>> PullRequest(model="llama3.2", insecure=False).insecure
    False
    """

    __slots__ = ()
    insecure: bool | None


class PushRequest(BaseStreamableRequest):
    """A request of ``/api/push``.

    >>> PushRequest(model="me/llama3.2").insecure is None
    True
    """

    __slots__ = ()
    insecure: bool | None


class CreateRequest(BaseStreamableRequest):
    """A request of ``/api/create``; ``from_`` is ``from`` in its dumps.

    >>> CreateRequest(model="mario", from_="llama3.2").model_dump(exclude_none=True)
    {'model': 'mario', 'from': 'llama3.2'}
    """

    __slots__ = ()
    quantize: str | None
    from_: str | None
    files: dict[str, str] | None
    adapters: dict[str, str] | None
    template: str | None
    license: str | list[str] | None
    system: str | None
    parameters: Mapping[str, Any] | Options | None
    messages: Sequence[Mapping[str, Any] | Message] | None

    @classmethod
    def _prepare(cls, fields: dict[str, Any]) -> dict[str, Any]:
        if "from" in fields:
            fields.setdefault("from_", fields.pop("from"))
        return fields

    def _dump(self, dump: Dump, include: Any, exclude: Any) -> Any:
        found = dump.of(self, include, exclude)
        if "from_" in found:
            found["from"] = found.pop("from_")
        return found


class DeleteRequest(BaseRequest):
    """A request of ``/api/delete``.

    >>> DeleteRequest(model="mario").model
    'mario'
    """

    __slots__ = ()


class CopyRequest(Record):
    """A request of ``/api/copy``.

    >>> CopyRequest(source="llama3.2", destination="mario").destination
    'mario'
    """

    __slots__ = ()
    source: str
    destination: str


class ShowRequest(BaseRequest):
    """A request of ``/api/show``.

    >>> ShowRequest(model="llama3.2").model
    'llama3.2'
    """

    __slots__ = ()
