"""How the tools ask a model: `call_ollama` for users, `ask` for the tools, and what both do the same way.

A request is one of ``/api/generate``, such as ::

    {"model": "qwen2.5:7b", "prompt": "…", "options": {"temperature": 0.1}, "truncate": false, "shift": false,
     "stream": false}

sent by one client for each server in the whole process, with its retries and its typed errors. A prompt that is longer
than the context is an error and never cut, and so is an answer that ended at its token limit. The thinking of a model
is no part of its answer. Nothing here imports MetaGPT.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, TypedDict

from metagpt_ollama_rs.errors import ConfigurationError, EmptyAnswerError, IncompleteError, OllamaError
from metagpt_ollama_rs.slc.config import OllamaConfig, ollama_config
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
        timeout: seconds until the answer begins, in the place of the configuration's.
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

    key = (ollama_config.base_url, ollama_config.api_key)
    return _clients.get(key) or _clients.setdefault(key, Client(key[0], api_key=key[1]))


def async_client() -> AsyncClient:
    """The client of the configured server, for code with an event loop: one for each server and key."""
    from metagpt_ollama_rs.async_client import AsyncClient

    key = (ollama_config.base_url, ollama_config.api_key)
    return _async_clients.get(key) or _async_clients.setdefault(key, AsyncClient(key[0], api_key=key[1]))


_clients: dict[tuple[str, Optional[str]], Client] = {}
_async_clients: dict[tuple[str, Optional[str]], AsyncClient] = {}


class _Request(NamedTuple):
    """The arguments of the clients' ``generate``, and who is told the pieces of the answer."""

    arguments: dict[str, Any]
    on_text: Optional[Callable[[str], object]]


def _tool_request(
    name: str, fields: Mapping[str, str], options: ToolOptions, temperature: Optional[float], format: Format
) -> _Request:
    check_tool_options(name, options)
    for field, value in fields.items():
        if not isinstance(value, str):
            raise ConfigurationError(f"{field} of {name} is a {type(value).__name__}, not a text")
    prompt = render_prompt(name, asked_language(fields, options), fields)
    if options.get("temperature") is None and temperature is not None:
        options = {**options, "temperature": temperature}
    return _request(prompt, options, None, format)


def asked_language(fields: Mapping[str, str], options: ToolOptions) -> PromptLanguage:
    """The language of a prompt with these fields: that of the options, else the configuration's, else the fields'."""
    language = options.get("language") or ollama_config.language
    if language is None:
        prose = [value for name, value in fields.items() if name not in CODE_FIELDS]
        return prompt_language(prose, [value for name, value in fields.items() if name in CODE_FIELDS])
    if language not in ("zh", "en"):
        raise ConfigurationError(f"language must be zh or en, and is {language!r:.60}")
    return "zh" if language == "zh" else "en"


def _request(prompt: str, options: ToolOptions, system: Optional[str], format: Format) -> _Request:
    config: OllamaConfig = ollama_config
    temperature, timeout = options.get("temperature"), options.get("timeout")
    sent: dict[str, Any] = {"temperature": config.temperature if temperature is None else temperature}
    if config.context_length is not None:
        sent["num_ctx"] = config.context_length
    sent.update(options.get("options") or {})
    arguments = {
        "model": options.get("model") or config.model,
        "prompt": prompt,
        "system": system,
        "format": format,
        "options": sent,
        "truncate": False,
        "shift": False,
        "repetition_guard": True,
        "timeout": config.timeout if timeout is None else timeout,
    }
    return _Request(arguments, options.get("on_text"))


def _send_request(request: _Request) -> str:
    client = blocking_client()
    answer = _Answer(request)
    if request.on_text is None:
        answer.add(client.generate(**request.arguments))
    else:
        with client.generate(**request.arguments, stream=True) as stream:
            for part in stream:
                answer.add(part)
    return answer.finish()


async def _asend_request(request: _Request) -> str:
    client = async_client()
    answer = _Answer(request)
    if request.on_text is None:
        answer.add(await client.generate(**request.arguments))
    else:
        async with await client.generate(**request.arguments, stream=True) as stream:
            async for part in stream:
                answer.add(part)
    return answer.finish()


class _Answer:
    """Puts an answer together of its pieces, tells them to ``on_text`` without the thinking, and checks the whole."""

    def __init__(self, request: _Request) -> None:
        self._request = request
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._splitter = ThinkSplitter()
        self._end = ""

    def add(self, part: Any) -> None:
        """Takes a whole reply, or one piece of a streamed one."""
        if part.thinking:
            self._thoughts.append(part.thinking)
            self._splitter.pass_through()
        if part.response:
            self._texts.append(part.response)
            self._tell(self._splitter.feed(part.response))
        self._end = part.done_reason or self._end

    def finish(self) -> str:
        """The text. Raises IncompleteError for one that was cut, EmptyAnswerError for one of nothing."""
        self._tell(self._splitter.finish())
        text, thinking = "".join(self._texts), "".join(self._thoughts)
        if not thinking:
            text, thinking = split_thinking(text)
        model = self._request.arguments["model"]
        if self._end == "length":
            raise IncompleteError(
                "the answer was cut at its token limit",
                hint="give it more tokens (options={'num_predict': …}), or the context more room (context_length)",
                model=model,
                partial=text,
                partial_thinking=thinking,
            )
        if not text.strip():
            raise EmptyAnswerError(
                "the model stopped after thinking, without an answer" if thinking else "the answer is empty",
                hint="ask again, or another model",
                model=model,
                partial=text,
                partial_thinking=thinking,
            )
        return text

    def _tell(self, pieces: list[str]) -> None:
        if self._request.on_text is not None:
            for piece in pieces:
                self._request.on_text(piece)


def _check_on_error(on_error: str) -> None:
    if on_error not in ("raise", "text"):
        raise ConfigurationError(f"on_error must be raise or text, and is {on_error!r:.60}")


def _guide_text(error: OllamaError) -> str:
    if error.status is not None and error.status >= 400:
        return f"API 调用失败: {error.status}"
    return f"API 调用异常: {error}"
