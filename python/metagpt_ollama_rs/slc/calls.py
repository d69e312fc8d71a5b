"""How the tools ask a model: `call_ollama` for users, `ask` for the tools, and what both do the same way.

A request is one of ``/api/generate``, such as ::

    {"model": "qwen2.5:7b", "prompt": "…", "options": {"temperature": 0.1}, "truncate": false, "shift": false,
     "stream": false}

sent by one client for each server in the whole process, with its retries and its typed errors. A prompt that is longer
than the context is an error and never cut, and so is an answer that ended at its token limit. The thinking of a model
is no part of its answer. Nothing here imports MetaGPT.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, TypedDict

from metagpt_ollama_rs.done_reasons import AnswerHints, cut_prompt_warning, empty_answer_error, limit_hint
from metagpt_ollama_rs.errors import ConfigurationError, IncompleteError, OllamaError
from metagpt_ollama_rs.payloads import generate_payload, require_text
from metagpt_ollama_rs.replies import no_text_error, text_of, thinking_of
from metagpt_ollama_rs.slc.config import tool_config
from metagpt_ollama_rs.slc.prompt_language import prompt_language
from metagpt_ollama_rs.slc.prompts import CODE_FIELDS, render_prompt
from metagpt_ollama_rs.spelling import unknown_argument
from metagpt_ollama_rs.thinking import ThinkSplitter, split_thinking

if TYPE_CHECKING:
    from metagpt_ollama_rs import AsyncClient, Client
    from metagpt_ollama_rs.arguments import Format
    from metagpt_ollama_rs.slc.prompt_language import PromptLanguage

__all__ = [
    "ToolOptions",
    "aask",
    "acall_ollama",
    "ask",
    "asked_language",
    "async_client",
    "blocking_client",
    "call_ollama",
    "check_tool_options",
]

# The temperature of all tools but `smart_qa`.
TOOL_TEMPERATURE = 0.1

_PATH = "/api/generate"
_HINTS = AnswerHints(
    more_tokens="raise num_predict in options",
    more_context="raise context_length in the configuration (num_ctx)",
    no_thinking="ask a model that does not think",
    thoughts="partial_thinking has what it thought",
)

_logger = logging.getLogger(__name__)


class ToolOptions(TypedDict, total=False):
    """What every tool that asks a model takes beside its own arguments, for this one call.

    ``model``, ``temperature`` and ``timeout`` (seconds) are in the place of the configuration's, ``language`` ("zh" or
    "en") is that of the prompt. ``options`` are Ollama's own, such as ``{"num_predict": 500, "seed": 1}``. ``on_text``
    is called with each piece of the answer as it comes. None is as if it were not given.

    >>> options: ToolOptions = {"model": "llama3.2", "options": {"seed": 1}}
    >>> check_tool_options("explain_code", options)
    >>> try:
    ...     check_tool_options("explain_code", {"modle": "llama3.2"})
    ... except TypeError as error:
    ...     print(error)
    explain_code() has no argument 'modle'; did you mean 'model'?; it has model, temperature, ...
    """

    model: Optional[str]
    temperature: Optional[float]
    timeout: Optional[float]
    language: Optional[str]
    options: Optional[Mapping[str, Any]]
    on_text: Optional[Callable[[str], object]]


def call_ollama(
    prompt: str,
    temperature: Optional[float] = None,
    model: Optional[str] = None,
    timeout: Optional[float] = None,
    *,
    system: Optional[str] = None,
    format: Format = None,
    on_error: str = "raise",
) -> str:
    """Asks the configured model, and returns its answer without the thinking.

    It may be called with an event loop running in the same thread, as MetaGPT calls tools. It then waits as any
    blocking function does: the tasks of that loop wait until the answer is there, other threads and their loops go on,
    and Ctrl-C ends the wait. Where other tasks must go on, await `acall_ollama`, or
    ``asyncio.to_thread(call_ollama, prompt)``.

    Args:
        prompt: what the model is asked.
        temperature: in the place of the configuration's.
        model: in the place of the configuration's.
        timeout: seconds until the answer is there, in the place of the configuration's.
        system: the system prompt, in the place of the model's own.
        format: "json", a JSON schema, or a pydantic model that the answer is to fit.
        on_error: "raise", or "text" to return ``API 调用失败: <HTTP status>`` or ``API 调用异常: <error>`` in the place
            of an exception.

    Returns:
        The text of the answer.

    Raises:
        OllamaError: one of the exceptions of `metagpt_ollama_rs.errors`. One that comes after the answer began has what
            there was of it in ``partial``.
    """
    _check_on_error(on_error)
    try:
        return _send_request(
            _request(prompt, {"temperature": temperature, "model": model, "timeout": timeout}, system, format)
        )
    except OllamaError as error:
        if on_error == "raise":
            raise
        return _guide_text(error)


async def acall_ollama(
    prompt: str,
    temperature: Optional[float] = None,
    model: Optional[str] = None,
    timeout: Optional[float] = None,
    *,
    system: Optional[str] = None,
    format: Format = None,
    on_error: str = "raise",
) -> str:
    """As `call_ollama`, for a running event loop, whose other tasks go on meanwhile. Cancelling ends the request."""
    _check_on_error(on_error)
    options: ToolOptions = {"temperature": temperature, "model": model, "timeout": timeout}
    try:
        return await _asend_request(_request(prompt, options, system, format))
    except OllamaError as error:
        if on_error == "raise":
            raise
        return _guide_text(error)


def ask(
    prompt_name: str,
    fields: Mapping[str, str],
    options: ToolOptions,
    *,
    temperature: Optional[float] = TOOL_TEMPERATURE,
    format: Format = None,
) -> str:
    """The answer to the prompt of this name, with its fields filled in, without the thinking.

    ``fields`` are the prompt's own: those of `CODE_FIELDS` are put into a fence, the others choose the language where
    neither ``options`` nor the configuration does. ``temperature`` is that of the tool, None for the configuration's.

    Raises TypeError for an option that there is not, and OllamaError; an answer that was cut is an IncompleteError with
    the text in ``partial``.
    """
    return _send_request(_tool_request(prompt_name, fields, options, temperature, format))


async def aask(
    prompt_name: str,
    fields: Mapping[str, str],
    options: ToolOptions,
    *,
    temperature: Optional[float] = TOOL_TEMPERATURE,
    format: Format = None,
) -> str:
    """As `ask`, for a running event loop, whose other tasks go on meanwhile."""
    return await _asend_request(_tool_request(prompt_name, fields, options, temperature, format))


def check_tool_options(called: str, options: Mapping[str, Any]) -> None:
    """Raises TypeError, which names the nearest option, for one that ``called`` does not have (see `ToolOptions`)."""
    for name in options:
        if name not in ToolOptions.__annotations__:
            raise unknown_argument(called, name, ToolOptions.__annotations__)


def blocking_client() -> Client:
    """The client of the configured server, for code without an event loop: one for each server and key."""
    from metagpt_ollama_rs.client import Client

    config = tool_config()
    key = (config.base_url, config.api_key)
    return _clients.get(key) or _clients.setdefault(key, Client(key[0], api_key=key[1]))


def async_client() -> AsyncClient:
    """The client of the configured server, for code with an event loop: one for each server and key."""
    from metagpt_ollama_rs.async_client import AsyncClient

    config = tool_config()
    key = (config.base_url, config.api_key)
    return _async_clients.get(key) or _async_clients.setdefault(key, AsyncClient(key[0], api_key=key[1]))


_clients: dict[tuple[str, Optional[str]], Client] = {}
_async_clients: dict[tuple[str, Optional[str]], AsyncClient] = {}


class _Request(NamedTuple):
    """The payload of ``/api/generate``, what the client is told beside it, and who is told the pieces of the answer."""

    payload: dict[str, Any]
    call: dict[str, Any]
    on_text: Optional[Callable[[str], object]]


def _tool_request(
    name: str, fields: Mapping[str, str], options: ToolOptions, temperature: Optional[float], format: Format
) -> _Request:
    check_tool_options(name, options)
    for field, value in fields.items():
        if not isinstance(value, str):
            raise ConfigurationError(f"{field} of {name} is a {type(value).__name__}, not a text")
    if not any(value.strip() for value in fields.values()):
        raise ConfigurationError(f"{' and '.join(fields)} of {name} must not be empty")
    prompt = render_prompt(name, asked_language(fields, options), fields)
    if options.get("temperature") is None and temperature is not None:
        options = {**options, "temperature": temperature}
    return _request(prompt, options, None, format)


def asked_language(fields: Mapping[str, str], options: ToolOptions) -> PromptLanguage:
    """The language of a prompt with these fields: that of the options, else the configuration's, else the fields'."""
    language = options.get("language") or tool_config().language
    if language is None:
        prose = [value for name, value in fields.items() if name not in CODE_FIELDS]
        return prompt_language(prose, [value for name, value in fields.items() if name in CODE_FIELDS])
    if language not in ("zh", "en"):
        raise ConfigurationError(f"language must be zh or en, and is {language!r:.60}")
    return "zh" if language == "zh" else "en"


def _request(prompt: str, options: ToolOptions, system: Optional[str], format: Format) -> _Request:
    config = tool_config()
    temperature, timeout = options.get("temperature"), options.get("timeout")
    sent: dict[str, Any] = {"temperature": config.temperature if temperature is None else temperature}
    if config.context_length is not None:
        sent["num_ctx"] = config.context_length
    sent.update(options.get("options") or {})
    on_text = options.get("on_text")
    if on_text is not None and not callable(on_text):
        raise ConfigurationError(f"on_text is a {type(on_text).__name__}, not a function")
    require_text(prompt, "prompt")
    fields = {"prompt": prompt, "system": system, "format": format, "options": sent, "truncate": False, "shift": False}
    payload = generate_payload(options.get("model") or config.model, fields)
    call = {"repetition_guard": True, "timeout": config.timeout if timeout is None else timeout}
    return _Request(payload, call, on_text)


def _send_request(request: _Request) -> str:
    client = blocking_client()
    if request.on_text is None:
        reply = client.request_json(_PATH, {**request.payload, "stream": False}, **request.call)
    else:
        shown = _ShownText(request.on_text)
        on_thinking = shown.splitter.pass_through
        reply = client.stream_text(_PATH, request.payload, shown.add, on_thinking=on_thinking, **request.call)
        shown.finish()
    return _answer_of(request, reply)


async def _asend_request(request: _Request) -> str:
    client = async_client()
    if request.on_text is None:
        reply = await client.request_json(_PATH, {**request.payload, "stream": False}, **request.call)
    else:
        shown = _ShownText(request.on_text)
        on_thinking = shown.splitter.pass_through
        reply = await client.stream_text(_PATH, request.payload, shown.add, on_thinking=on_thinking, **request.call)
        shown.finish()
    return _answer_of(request, reply)


class _ShownText:
    """Tells the pieces of an answer to a function, without the thinking that a model writes into its text."""

    def __init__(self, on_text: Callable[[str], object]) -> None:
        self._on_text = on_text
        self.splitter = ThinkSplitter()

    def add(self, piece: str) -> None:
        self._tell(self.splitter.feed(piece))

    def finish(self) -> None:
        self._tell(self.splitter.finish())

    def _tell(self, pieces: list[str]) -> None:
        for piece in pieces:
            self._on_text(piece)


def _answer_of(request: _Request, reply: Any) -> str:
    """The text of a whole reply, without the thinking. Raises IncompleteError for one that was cut at a limit,
    EmptyAnswerError for one of nothing, ProtocolError for what is no answer at all."""
    payload = request.payload
    model, options = payload["model"], payload["options"]
    found, thinking = text_of(reply, model=model), thinking_of(reply)
    if found is None and not thinking:
        raise no_text_error(reply, model=model)
    text = found or ""
    if not thinking:
        text, thinking = split_thinking(text)
    if not text.strip():
        raise empty_answer_error(
            reply, options, text=text, thinking=thinking, formatted="format" in payload, model=model, hints=_HINTS
        )
    if reply.get("done_reason") == "length":
        raise IncompleteError(
            "the answer was cut at its token limit",
            hint=limit_hint(reply, options, _HINTS),
            model=model,
            partial=text,
            partial_thinking=thinking,
        )
    warning = cut_prompt_warning(payload, reply)
    if warning is not None:
        _logger.warning("%s", warning)
    return text


def _check_on_error(on_error: str) -> None:
    if on_error not in ("raise", "text"):
        raise ConfigurationError(f"on_error must be raise or text, and is {on_error!r:.60}")


def _guide_text(error: OllamaError) -> str:
    if error.status is not None and error.status >= 400:
        return f"API 调用失败: {error.status}"
    return f"API 调用异常: {error}"
