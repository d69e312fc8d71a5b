"""What a whole reply, or one line of a streamed one, says: its text, its thinking, its tool calls.

This module knows where they stand: in ``message`` (``/api/chat``), in ``response`` (``/api/generate``), or in the
``choices`` of servers that answer in OpenAI's format. It does not matter which endpoint was asked, or whether a role is
named. Something that is no text in the place of the text is an error, unlike for ``get_choice``. For example:

>>> text_of({"message": {"role": "assistant", "content": "Hello"}, "done": False})
'Hello'
>>> text_of({"choices": [{"index": 0, "delta": {"content": "Hello"}}]})
'Hello'
>>> thinking_of({"response": "", "thinking": "Hm."})
'Hm.'

The core reads streams by the same rules (``src/wire/stream/delta_parser.rs``). No I/O, nothing of MetaGPT.
"""

from __future__ import annotations

from typing import Any, Optional

from . import _core
from .errors import ProtocolError
from .reply_checks import join_text_parts

__all__ = [
    "ReplyAccumulator",
    "count_of",
    "error_of",
    "find_text",
    "from_openai_format",
    "no_text_error",
    "require_object",
    "text_of",
    "thinking_of",
    "tool_calls_of",
]

_TYPES = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list", dict: "an object"}
_HINT = "does something between here and Ollama change the replies? `curl` to the same address shows them as they come"


class ReplyAccumulator:
    """Builds, of the lines of a streamed reply, the whole reply that the server would have sent. The core's fold does
    the same in Rust.

    >>> accumulator = ReplyAccumulator("llama3.2")
    >>> [accumulator.add({"response": text, "done": False}) for text in ("Hel", "lo")]
    ['Hel', 'lo']
    >>> accumulator.build({"response": "", "done": True, "eval_count": 3})
    {'response': 'Hello', 'done': True, 'eval_count': 3}
    """

    def __init__(self, model: Optional[str]) -> None:
        self.has_thinking = False
        self._model = model
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[Any] = []
        self._in_message = True

    @property
    def text(self) -> str:
        """The text of all lines so far."""
        return "".join(self._texts)

    def add(self, line: dict[str, Any]) -> str:
        """Adds a line and returns the text in it. Raises ``ProtocolError`` if something else stands in its place."""
        if thinking := thinking_of(line):
            self.has_thinking = True
            self._thoughts.append(thinking)
        self._calls += tool_calls_of(line)
        try:
            text = text_of(line, model=self._model)
        except ProtocolError as error:
            error.partial, error.partial_thinking = self.text, "".join(self._thoughts)
            raise
        if text is not None:
            self._texts.append(text)
            self._in_message = find_text(line)[0] is not line
        return text or ""

    def build(self, final: dict[str, Any]) -> dict[str, Any]:
        """The whole reply: the last line, ``final``, with the text, the thinking and the tool calls of all lines."""
        reply = {name: value for name, value in final.items() if name != "choices"}
        holder, key = reply, "response"
        if self._in_message:
            message = final.get("message")
            holder, key = {"role": "assistant", **(message if isinstance(message, dict) else {})}, "content"
        if self._texts:
            holder[key] = self.text
        if self._thoughts:
            holder["thinking"] = "".join(self._thoughts)
        if self._calls:
            holder["tool_calls"] = self._calls
        if self._in_message and (self._texts or self._thoughts or self._calls):
            reply["message"] = holder
        return reply


def require_object(reply: Any, *, model: Optional[str]) -> dict[str, Any]:
    """``reply``, if it is a JSON object. Raises ``ProtocolError`` for any other value."""
    if not isinstance(reply, dict):
        raise ProtocolError(f"the reply is {_type_name(reply)}, not an object", model=model, hint=_HINT)
    return reply


def from_openai_format(reply: dict[str, Any]) -> dict[str, Any]:
    """A reply in OpenAI's format as Ollama would have sent it; any other reply as it is.

    >>> choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    >>> reply = from_openai_format({"model": "m", "choices": [choice], "usage": {"completion_tokens": 1}})
    >>> reply["message"], reply["eval_count"]
    ({'role': 'assistant', 'content': 'Hi'}, 1)
    """
    choice = _first_choice(reply)
    if choice is None:
        return reply
    holder, key = find_text(reply)
    message = {"role": "assistant", **({} if holder is choice else holder)}
    if key in holder:
        message["content"] = holder[key]
    made = {"model": reply.get("model"), "message": message, "done": True, "done_reason": choice.get("finish_reason")}
    usage = reply.get("usage")
    for name, theirs in _core.OPENAI_USAGE.items():
        if isinstance(usage, dict) and usage.get(theirs) is not None:
            made[name] = usage[theirs]
    return made


def find_text(reply: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Where the text of a reply stands: the object and the key, which the object may lack.

    >>> find_text({"message": {"content": "Hi"}, "done": True})
    ({'content': 'Hi'}, 'content')
    """
    choice = _first_choice(reply)
    if choice is not None:
        for name in ("message", "delta"):
            if isinstance(choice.get(name), dict):
                return choice[name], "content"
        return choice, "text"
    message = reply.get("message")
    if isinstance(message, dict) and (message.get("content") is not None or reply.get("response") is None):
        return message, "content"
    return reply, "response"


def text_of(reply: dict[str, Any], *, model: Optional[str] = None) -> Optional[str]:
    """The text of a reply or a line; a list of text parts is joined. None where there is no text.

    Raises ``ProtocolError`` if anything else stands in the place of the text.
    """
    holder, key = find_text(reply)
    found = holder.get(key)
    if found is None or isinstance(found, str):
        return found
    if isinstance(found, list):
        text = join_text_parts(found)
        if text is not None:
            return text
        found = "a list with something else than texts"
    else:
        found = _type_name(found)
    raise ProtocolError(f"the reply's {key!r} is {found}, not a text", model=model, hint=_HINT)


def thinking_of(reply: dict[str, Any]) -> str:
    """The thinking that a reply or a line has in a field of its own; "" where it has none."""
    holder, _ = find_text(reply)
    found = (holder.get(name) for name in ("thinking", "reasoning", "reasoning_content"))
    return next((text for text in found if text and isinstance(text, str)), "")


def tool_calls_of(reply: dict[str, Any]) -> list[Any]:
    """The tool calls of a reply or a line."""
    holder, _ = find_text(reply)
    calls = holder.get("tool_calls")
    return calls if isinstance(calls, list) else []


def count_of(reply: dict[str, Any], name: str) -> Optional[int]:
    """A counter of a reply, such as ``eval_count``; None where the server left it out or sent no number."""
    count = reply.get(name)
    return int(count) if isinstance(count, (int, float)) and not isinstance(count, bool) else None


def error_of(reply: dict[str, Any]) -> Optional[str]:
    """The text of the ``error`` in a reply; None for a reply that has none, or an empty one."""
    error = reply.get("error")
    if not error:
        return None
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)


def no_text_error(reply: dict[str, Any], *, model: Optional[str]) -> ProtocolError:
    """The error for a reply without text, thinking and tool calls: it names the keys that the reply has instead."""
    keys = [repr(key if len(key) <= 40 else key[:40] + "…") for key in list(reply)[:8]]
    there = ", ".join(keys) + (", …" if len(reply) > 8 else "") or "nothing"
    if "message" in reply:
        message = reply["message"]
        there += "; its 'message' " + (
            "has no text in it" if isinstance(message, dict) else f"is {_type_name(message)}, not an object"
        )
    return ProtocolError(f"the reply has no text, only {there}", model=model, hint=_HINT)


def _first_choice(reply: dict[str, Any]) -> Optional[dict[str, Any]]:
    """The first answer of a reply in OpenAI's format; None for a reply in another format."""
    choices = reply.get("choices")
    if not isinstance(choices, list):
        return None
    return next((choice for choice in choices if isinstance(choice, dict) and not choice.get("index")), {})


def _type_name(value: Any) -> str:
    return "null" if value is None else _TYPES.get(type(value), type(value).__name__)
