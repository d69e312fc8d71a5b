"""Whether a whole reply is what its endpoint answers. What it says is left to the caller.

::

    {"message": {"role": "assistant", "content": ["a", {"text": "b"}]}, "done": true}     an answer, of the text "ab"
    {"models": []}                                                                        no answer: ProtocolError
"""

from __future__ import annotations

from metagpt_ollama_rs import _core
from metagpt_ollama_rs.failures import from_core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from metagpt_ollama_rs.endpoints import Endpoint
    from metagpt_ollama_rs.errors import OllamaError

__all__ = ["check_answer", "check_success", "join_text_parts", "require_field"]


# Fields that hold what was asked for, as a list of objects or an object of them.
_COLLECTIONS: dict[str, type] = {"models": list, "results": list, "answers": dict}


def require_field(reply: dict[str, Any], *names: str, redact: Callable[[str], str]) -> dict[str, Any]:
    """``reply``, if it has one of the fields. Raises ProtocolError for an object that answers nothing, and for a field
    that is to be a collection of objects and is none.

    ``redact`` takes secrets out of what is quoted of the reply.
    """
    for name in names:
        if name in reply:
            wanted = _COLLECTIONS.get(name)
            if wanted is not None:
                if reply[name] is None:
                    # What a server written in Go sends for an empty list.
                    reply[name] = wanted()
                if not _is_collection(reply[name], wanted):
                    raise _wrong_type(name, f"{wanted.__name__} of objects", redact(str(reply[name])))
            return reply
    found = _core.excerpt(redact(", ".join(reply)), 200) or "nothing"
    raise from_core("protocol", message=f"The reply has no {names[0]!r}, only {found}.")


def _is_collection(value: Any, wanted: type) -> bool:
    items = value.values() if isinstance(value, dict) else value
    return isinstance(value, wanted) and all(isinstance(item, dict) for item in items)


def check_answer(reply: dict[str, Any], endpoint: Endpoint, *, redact: Callable[[str], str]) -> dict[str, Any]:
    """``reply``, if it is an answer of ``endpoint``; raises ProtocolError otherwise.

    A text that came as a list of parts is joined. An answer may be without one: a message of tool calls, an image.
    """
    require_field(reply, *endpoint.fields, redact=redact)
    if "message" in endpoint.fields:
        holder = reply["message"]
        if not isinstance(holder, dict):
            raise _wrong_type("message", "object", redact(str(holder)))
        name, optional = "content", True
    else:
        holder = reply
        name, optional = "response", isinstance(reply.get("image"), str)
    found = holder.get(name)
    text = join_text_parts(found) if isinstance(found, list) else found
    if not isinstance(text, str) and not (optional and found is None):
        raise _wrong_type(name, "text", redact(str(found)))
    if text is not found:
        holder[name] = text
    return reply


def check_success(reply: dict[str, Any], endpoint: Endpoint, *, base_url: str) -> dict[str, Any]:
    """``reply``, if it is the last report of a transfer; raises IncompleteError for any other."""
    if reply.get("status") != "success":
        message = "The reply ended without a last line (`status: success`): it is cut short."
        raise from_core("incomplete", message=message, url=f"{base_url}{endpoint.path}", endpoint=endpoint.path)
    return reply


def join_text_parts(parts: list[Any]) -> str | None:
    """The text of a list of texts, or of parts with a ``text``; None if there is anything else in it.

    >>> join_text_parts(["Hello", {"type": "text", "text": " world"}])
    'Hello world'
    >>> join_text_parts([{"type": "image"}])
    """
    texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
    found = [text for text in texts if isinstance(text, str)]
    return "".join(found) if len(found) == len(texts) else None


def _wrong_type(name: str, wanted: str, found: str) -> OllamaError:
    return from_core("protocol", message=f"The reply's {name!r} is no {wanted} but {found[:200]!r}.")
