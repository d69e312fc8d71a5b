"""The replies of a server as classes: what the clients' methods return, and the messages in it.

``record`` says what all of them have in common; the names, the fields and the nesting are ollama-python's.
"""

from __future__ import annotations

from metagpt_ollama_rs import _core
from metagpt_ollama_rs.inputs import Image
from metagpt_ollama_rs.record import Record
from metagpt_ollama_rs.values import ByteSize, read_byte_size, read_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from typing import Any

    from typing_extensions import Self

    # `bytes` is also the name of a field.
    Bytes = bytes


class Message(Record):
    """A message of a chat; ``thinking`` and ``tool_calls`` are None when there are none.

    >>> message = Message(role="assistant", content="Hello")
    >>> message.content, message.thinking
    ('Hello', None)
    >>> call = Message.ToolCall(function={"name": "add", "arguments": {"a": 1}})
    >>> Message(role="assistant", tool_calls=[call]).tool_calls[0].function.name
    'add'
    """

    class ToolCall(Record):
        """A call that the model asks for.

        >>> Message.ToolCall(function={"name": "add", "arguments": {"a": 1}}).function.name
        'add'
        """

        class Function(Record):
            """Name and arguments of a call.

            ``arguments`` is a dict, also where the server sent JSON text, ``""``, null or nothing. Text that is no
            JSON object stays a str: it is all that is known of what the model wanted.

            >>> Message.ToolCall.Function(name="add", arguments='{"a": 1}').arguments
            {'a': 1}
            """

            __slots__ = ()
            _beyond = frozenset(("index",))
            name: str
            arguments: Mapping[str, Any]
            index: int | None

            def __init__(self, data: Mapping[str, Any] | None = None, /, **fields: Any) -> None:
                super().__init__(data, **fields)
                if not isinstance(self._data.get("arguments"), dict):
                    _core.parse_tool_arguments(self._data)

            @classmethod
            def _prepare(cls, fields: dict[str, Any]) -> dict[str, Any]:
                if isinstance(fields.get("arguments"), str):
                    _core.parse_tool_arguments(fields)
                return fields

        __slots__ = ()
        _beyond = frozenset(("id",))
        _nested = {"function": Function}
        id: str | None
        function: Function

    __slots__ = ("content",)
    _beyond = frozenset(("tool_call_id",))
    _always = {"role": "assistant"}
    _content_line = ("content",)
    _nested = {"images": Image, "tool_calls": ToolCall}
    role: str
    content: str | None
    thinking: str | None
    images: Sequence[Image | Bytes | str | Path] | None
    tool_name: str | None
    tool_calls: Sequence[ToolCall] | None
    tool_call_id: str | None


ToolCall = Message.ToolCall
ToolFunction = ToolCall.Function


class TokenLogprob(Record):
    """A token and its log probability.

    >>> TokenLogprob(token="Hello", logprob=-1.0).logprob
    -1.0
    """

    __slots__ = ()
    _beyond = frozenset(("bytes",))
    token: str
    logprob: float
    bytes: Sequence[int] | None


class Logprob(TokenLogprob):
    """The log probability of a token, and of its alternatives.

    >>> logprob = Logprob(token="Hi", logprob=-0.5, top_logprobs=[{"token": "Hello", "logprob": -1.0}])
    >>> logprob.top_logprobs[0].token
    'Hello'
    """

    __slots__ = ()
    _nested = {"top_logprobs": TokenLogprob}
    top_logprobs: Sequence[TokenLogprob] | None


class BaseGenerateResponse(Record):
    """What the replies of chat, generate and embed have in common: counts in tokens, durations in nanoseconds, None
    where absent.

    >>> BaseGenerateResponse(eval_count=2, eval_duration=50_000_000).tokens_per_second
    40.0
    """

    __slots__ = ("created_at", "done", "model")
    _beyond = frozenset(("prompt_eval_cached_count",))
    model: str | None
    created_at: str | None
    done: bool | None
    done_reason: str | None
    # The core's counters, in its order (`_core.COUNTERS`).
    total_duration: int | None
    load_duration: int | None
    prompt_eval_count: int | None
    prompt_eval_cached_count: int | None
    prompt_eval_duration: int | None
    eval_count: int | None
    eval_duration: int | None

    @classmethod
    def of_parts(cls, parts: Iterable[Self]) -> Self:
        """The whole reply of the parts of a stream: texts and thinking joined, calls of tools and log probabilities in
        one list, all else as the last part that has it says. Raises ValueError for no parts.

        >>> parts = [ChatResponse(message={"role": "assistant", "content": text}) for text in ("Hello", " world")]
        >>> ChatResponse.of_parts(parts).message
        Message(role='assistant', content='Hello world')
        """
        whole: dict[str, Any] = {}
        for part in parts:
            _add_part(whole, dict(part._data))
        if not whole:
            raise ValueError(f"{cls.__name__}.of_parts() needs one part at least")
        return cls(whole)

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens of the answer per second of generation; None if the server gave no counts."""
        count, duration = self.eval_count, self.eval_duration
        return count * 1e9 / duration if count and duration else None

    @property
    def load_seconds(self) -> float | None:
        """Seconds for loading the model; None if the server did not say."""
        return None if self.load_duration is None else self.load_duration / 1e9

    @property
    def prompt_tokens(self) -> int | None:
        """Tokens of the prompt, those from the cache among them (of all inputs, for embeddings); None if the server
        did not say."""
        return self.prompt_eval_count

    @property
    def cached_tokens(self) -> int | None:
        """Tokens of the prompt that the server still had in its cache; None if the server did not say."""
        return self.prompt_eval_cached_count

    @property
    def answer_tokens(self) -> int | None:
        """Tokens of the answer, thinking among them; None if the server did not say."""
        return self.eval_count


def _add_part(whole: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Adds what ``part``, or its message, says to ``whole``, and changes nothing of the part."""
    for name, value in part.items():
        known = whole.get(name)
        if name == "message" and value is not None:
            message = whole.setdefault(name, {})
            _add_part(message, value._data if isinstance(value, Record) else value)
        elif name in ("content", "thinking", "response") and isinstance(value, str):
            whole[name] = (known or "") + value
        elif name in ("tool_calls", "images", "logprobs") and isinstance(value, list):
            whole[name] = [*(known or ()), *value]
        elif value is not None or name not in whole:
            whole[name] = value


class ChatResponse(BaseGenerateResponse):
    """A reply of ``/api/chat``, or one piece of it.

    >>> reply = ChatResponse(message={"role": "assistant", "content": "Hello"}, eval_count=2, eval_duration=50_000_000)
    >>> reply.message.content, reply["message"]["role"], reply.tokens_per_second
    ('Hello', 'assistant', 40.0)
    """

    __slots__ = ("message",)
    _content_line = ("model", "created_at", "message", "done")
    _nested = {"message": Message, "logprobs": Logprob}
    message: Message
    logprobs: Sequence[Logprob] | None


class GenerateResponse(BaseGenerateResponse):
    """A reply of ``/api/generate``, or one piece of it. ``context`` is a list of token ids.

    >>> reply = GenerateResponse(response="Hello", prompt_eval_count=7)
    >>> reply.response, reply.prompt_tokens, reply.done_reason
    ('Hello', 7, None)
    """

    __slots__ = ("response",)
    _content_line = ("model", "created_at", "response", "done")
    _nested = {"logprobs": Logprob}
    response: str | None
    thinking: str | None
    context: Sequence[int] | None
    logprobs: Sequence[Logprob] | None
    image: str | None
    completed: int | None
    total: int | None


class EmbedResponse(BaseGenerateResponse):
    """Vectors of ``/api/embed``: ``embeddings[i]`` belongs to ``input[i]``, L2-normalised by the server.

    >>> EmbedResponse(embeddings=[[0.6, 0.8], [1.0, 0.0]]).embeddings[1]
    [1.0, 0.0]
    """

    __slots__ = ()
    embeddings: Sequence[Sequence[float]]


class EmbeddingsResponse(Record):
    """The vector of ``/api/embeddings``, not normalised.

    >>> EmbeddingsResponse(embedding=[3.0, 4.0]).embedding
    [3.0, 4.0]
    """

    __slots__ = ()
    embedding: Sequence[float]


class ModelDetails(Record):
    """Format, family and size of a model.

    >>> ModelDetails(family="llama", parameter_size="3.2B").parameter_size
    '3.2B'
    """

    __slots__ = ()
    parent_model: str | None
    format: str | None
    family: str | None
    families: Sequence[str] | None
    parameter_size: str | None
    quantization_level: str | None


class ListResponse(Record):
    """The models on disk; sizes in bytes.

    >>> reply = ListResponse(models=[{"model": "llama3.2:latest", "size": 2_019_393_189}])
    >>> [(model.model, model.size.human_readable()) for model in reply.models]
    [('llama3.2:latest', '1.9GiB')]
    """

    __slots__ = ()

    class Model(Record):
        """A model of ``/api/tags``. ``modified_at`` is a ``datetime``.

        >>> ListResponse.Model(model="llama3.2:latest", details={"format": "gguf"}).details.format
        'gguf'
        """

        __slots__ = ()
        _beyond = frozenset(("capabilities", "name", "remote_host", "remote_model"))
        _nested = {"details": ModelDetails}
        _readers = {"modified_at": read_time, "size": read_byte_size}
        model: str | None
        modified_at: datetime | None
        digest: str | None
        size: ByteSize | None
        details: ModelDetails | None
        capabilities: Sequence[str] | None
        name: str | None
        remote_host: str | None
        remote_model: str | None

    _nested = {"models": Model}
    models: Sequence[Model]


class ProcessResponse(Record):
    """The models in memory; sizes in bytes.

    >>> ProcessResponse(models=[{"name": "llama3.2:latest", "size_vram": 0}]).models[0].size_vram
    0
    """

    __slots__ = ()

    class Model(Record):
        """A model of ``/api/ps``. ``expires_at`` is a ``datetime``.

        >>> ProcessResponse.Model(expires_at="2025-05-04T17:37:44.706Z").expires_at.isoformat()
        '2025-05-04T17:37:44.706000+00:00'
        """

        __slots__ = ()
        _nested = {"details": ModelDetails}
        _readers = {"expires_at": read_time, "size": read_byte_size, "size_vram": read_byte_size}
        model: str | None
        name: str | None
        digest: str | None
        expires_at: datetime | None
        size: ByteSize | None
        size_vram: ByteSize | None
        details: ModelDetails | None
        context_length: int | None

    _nested = {"models": Model}
    models: Sequence[Model]


class ShowResponse(Record):
    """What the server knows of a model (``/api/show``). ``modelinfo`` is the server's ``model_info``.

    >>> ShowResponse(capabilities=["completion", "tools"], model_info={"llama.context_length": 131072}).modelinfo
    {'llama.context_length': 131072}
    """

    __slots__ = ()
    _aliases = {"modelinfo": "model_info"}
    _required = frozenset(("modelinfo",))
    _beyond = frozenset(("model_info", "projector_info", "system", "tensors"))
    _nested = {"details": ModelDetails}
    _readers = {"modified_at": read_time}
    modified_at: datetime | None
    template: str | None
    modelfile: str | None
    license: str | None
    details: ModelDetails | None
    modelinfo: Mapping[str, Any] | None
    parameters: str | None
    capabilities: list[str] | None
    model_info: Mapping[str, Any] | None
    projector_info: Mapping[str, Any] | None
    system: str | None
    tensors: Sequence[Any] | None


class StatusResponse(Record):
    """The outcome of a request that answers nothing else.

    >>> StatusResponse(status="success").status
    'success'
    """

    __slots__ = ()
    status: str | None


class ProgressResponse(StatusResponse):
    """A line of a pull, push or create; ``completed`` and ``total`` in bytes.

    >>> report = ProgressResponse(status="pulling 849a5ddf83cb", completed=50, total=200)
    >>> report.completed / report.total
    0.25
    """

    __slots__ = ()
    completed: int | None
    total: int | None
    digest: str | None


__all__ = [
    "BaseGenerateResponse",
    "ChatResponse",
    "EmbedResponse",
    "EmbeddingsResponse",
    "GenerateResponse",
    "ListResponse",
    "Logprob",
    "Message",
    "ModelDetails",
    "ProcessResponse",
    "ProgressResponse",
    "Record",
    "ShowResponse",
    "StatusResponse",
    "TokenLogprob",
    "ToolCall",
    "ToolFunction",
]
