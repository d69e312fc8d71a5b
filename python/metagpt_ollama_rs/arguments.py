"""The arguments of the clients' methods, once for both clients and for type checkers, and those that every call takes.

The methods spell their arguments out, so that ``inspect.signature`` shows them; their overloads name one of these
classes in the place of the same list. `CallOptions` stand at the end of each method::

    client.chat("qwen3:8b", messages, timeout=30, headers={"X-Team": "a"}, retries=0)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict

from metagpt_ollama_rs.limits import read_settings
from metagpt_ollama_rs.model_options import KNOWN_OPTIONS
from metagpt_ollama_rs.spelling import unknown_argument

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Optional, Union

    from metagpt_ollama_rs.limits import CallSettings, Retry, TimeoutLike
    from metagpt_ollama_rs.payloads import KeepAlive, Text

    Texts = Union[Text, Iterable[Text]]
    Messages = Optional[Sequence[Union[Mapping[str, Any], Any]]]
    Tools = Optional[Sequence[Union[Mapping[str, Any], Callable[..., Any], Any]]]
    # "json", a JSON Schema, or a pydantic model.
    Format = Union[str, Mapping[str, Any], type, None]
    ModelOptions = Union[Mapping[str, Any], Any, None]
    Think = Union[bool, str, None]
    # A JSON object, or the bytes of a body.
    RawPayload = Union[Mapping[str, Any], bytes, bytearray, memoryview]
    # What is told the id of the record of a call.
    OnCall = Callable[[str], object]
    OnText = Callable[[str], object]

__all__ = ["CallOptions", "ChatFields", "CreateFields", "GenerateFields", "call_settings"]


class CallOptions(TypedDict, total=False):
    """What every method takes beside its own arguments, for this one call.

    ``timeout`` and ``retries`` are in the place of the client's; ``headers`` are sent beside the client's, in the place
    of those of the same names. None is as if it were not given.

    >>> call_settings(print, {"timeout": 30, "retries": 0})
    ((5.0, 30.0, 30.0, None), (0, 0.2, 3.0, 10.0), None)
    """

    timeout: TimeoutLike
    headers: Mapping[str, str] | None
    retries: int | Retry | None


class ChatFields(CallOptions, total=False):
    """What ``chat`` takes beside the model, the messages and ``stream``; None, too, leaves a field out.

    >>> fields: ChatFields = {"think": False, "options": {"temperature": 0}, "format": None}
    >>> sorted(fields)
    ['format', 'options', 'think']
    """

    tools: Tools
    think: Think
    logprobs: bool | None
    top_logprobs: int | None
    format: Format
    options: ModelOptions
    keep_alive: KeepAlive
    truncate: bool | None
    shift: bool | None
    repetition_guard: bool


class GenerateFields(CallOptions, total=False):
    """What ``generate`` takes beside the model, the prompt, its suffix and ``stream``; None, too, leaves a field out.

    >>> fields: GenerateFields = {"system": "Answer in one word.", "raw": None}
    >>> sorted(fields)
    ['raw', 'system']
    """

    system: Text | None
    template: Text | None
    context: Sequence[int] | None
    think: Think
    logprobs: bool | None
    top_logprobs: int | None
    raw: bool | None
    format: Format
    images: Sequence[Any] | None
    options: ModelOptions
    keep_alive: KeepAlive
    width: int | None
    height: int | None
    steps: int | None
    truncate: bool | None
    shift: bool | None
    repetition_guard: bool


class CreateFields(CallOptions, total=False):
    """What ``create`` takes as keywords only, beside ``stream``.

    >>> fields: CreateFields = {"renderer": "qwen3-coder", "parser": "qwen3-coder"}
    >>> sorted(fields)
    ['parser', 'renderer']
    """

    renderer: str | None
    parser: str | None
    requires: str | None


_OPTIONS = tuple(CallOptions.__annotations__)


def call_settings(method: Callable[..., Any], call: CallOptions) -> CallSettings | None:
    """The options of a call of ``method`` as the core takes them; None where there are none.

    Raises TypeError, which names the nearest argument, for an option that there is not, and ConfigurationError for a
    value that cannot be used.
    """
    if not call:
        return None
    for name in call:
        if name not in _OPTIONS:
            import inspect

            parameters = inspect.signature(method).parameters.values()
            known = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
            known = [*known[known[:1] == ["self"] :], *_OPTIONS]
            of_model = name in KNOWN_OPTIONS and "options" in known
            hint = f"; {name} is an option of the model: options={{{name!r}: …}}" if of_model else ""
            raise unknown_argument(method.__name__, name, known, hint)
    return read_settings(**call)
