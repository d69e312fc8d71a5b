"""ollama-python's module of this name: its two clients and the functions beside them.

The clients are those of `metagpt_ollama_rs`, and keep to ollama-python's manners where the two are of different minds:

* No time limit holds unless one is given, and a number counts for connecting as for the rest, as httpx has it.
* ``OLLAMA_API_KEY`` is sent to the host that the client is for, whichever it is. ``OLLAMA_HOST`` is read as the
  argument ``host`` is: ``http://`` without a port means port 80.
* A chat without tools says so (``"tools": []``), empty fields of a message are left out, and requests have
  ollama-python's ``User-Agent``, with ours behind it.
* The text of an error is ollama-python's (``model 'm' not found (status code: 404)``). What our errors say besides is
  in their attributes (``message``, ``hint``, ``url``), and in the traceback from Python 3.11 on. Errors of a stream
  keep their own text.
* What is written in the place of ``_request``, or of ``_client`` (an ``httpx.Client``), is used.

docs/compatibility.md lists what is different all the same.
"""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any, cast

from metagpt_ollama_rs import async_client, client
from metagpt_ollama_rs._core import __version__ as _own_version
from metagpt_ollama_rs.base import BaseClient
from metagpt_ollama_rs.endpoints import CHAT, WEB_FETCH, WEB_SEARCH, Endpoint, endpoint_at
from metagpt_ollama_rs.errors import ConfigurationError, ConnectError, OllamaError, ResponseError
from metagpt_ollama_rs.limits import Timeout
from metagpt_ollama_rs.ollama_compat._types import *  # noqa: F403
from metagpt_ollama_rs.ollama_compat._types import Image, Message, Tool
from metagpt_ollama_rs.ollama_compat._utils import convert_function_to_tool
from metagpt_ollama_rs.ollama_compat.httpx_view import HttpxView
from metagpt_ollama_rs.ollama_compat.stand_in import API_VERSION
from metagpt_ollama_rs.over_httpx import HttpxCarrier
from metagpt_ollama_rs.payloads import header_pairs
from metagpt_ollama_rs.web_access import WEB_HOST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from metagpt_ollama_rs import _core
    from metagpt_ollama_rs.limits import TimeoutLike

__version__ = API_VERSION

CONNECTION_ERROR_MESSAGE = (
    "Failed to connect to Ollama. Please check that Ollama is downloaded, running and accessible. "
    "https://ollama.com/download"
)

_USER_AGENT = (
    f"ollama-python/{API_VERSION} ({platform.machine()} {platform.system().lower()}) "
    f"Python/{platform.python_version()} metagpt_ollama_rs/{_own_version}"
)


class _Manners(BaseClient):
    """What both clients of this module do as ollama-python does it."""

    def __init__(
        self,
        host: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: TimeoutLike = None,
        **arguments: Any,
    ) -> None:
        own = {name.lower(): value for name, value in header_pairs(headers or {})}
        sent = {
            **own,
            "content-type": "application/json",
            "accept": "application/json",
            "user-agent": _USER_AGENT,
        }
        key = os.environ.get("OLLAMA_API_KEY")
        if key and not sent.get("authorization"):
            sent["authorization"] = f"Bearer {key}"
        # As an argument, a URL without a port has that of its scheme, for OLLAMA_HOST, too.
        address = host or os.environ.get("OLLAMA_HOST") or None
        super().__init__(address, headers=sent, timeout=_read_timeout(timeout), **arguments)
        # A pickle has what was given, without what the environment says.
        self._arguments.update(host=host, headers=own or None, timeout=timeout)
        self._view = HttpxView(self.base_url, sent, timeout, self._with_headers)

    @property
    def _client(self) -> Any:
        """What is in the place of the ``httpx.Client`` of ollama-python's clients: that itself where there is one."""
        native: object = self._native
        return native.client if isinstance(native, HttpxCarrier) else self._view

    @_client.setter
    def _client(self, client: Any) -> None:
        carrier: object = self._native
        native = carrier.native if isinstance(carrier, HttpxCarrier) else self._native
        self._native = native if client is self._view else cast("_core.NativeClient", HttpxCarrier(client, native))

    def _with_headers(self, headers: Mapping[str, str]) -> None:
        """Sends these headers from now on, beside those that are always sent."""
        arguments = {**self._arguments, "headers": dict(headers)}
        self._native = type(self)(**arguments)._native
        self._arguments = arguments


def _read_timeout(timeout: Any) -> Any:
    """ollama-python's ``timeout``: None is no limit, and a number holds for connecting as well."""
    if timeout is None:
        return Timeout(None, None, None, None)
    if isinstance(timeout, tuple) and not isinstance(timeout, Timeout):
        connect, read, *_ = timeout
        return Timeout(connect, read, read)
    if isinstance(timeout, (int, float)) and not isinstance(timeout, bool):
        return Timeout(timeout, timeout, timeout)
    return timeout


def _sent(endpoint: Endpoint, payload: Any) -> Any:
    """``payload`` as ollama-python sends it. Raises ConfigurationError for one that names no model."""
    if not isinstance(payload, dict):
        return payload
    if payload.get("model") == "":
        raise ConfigurationError("model is empty", hint="name a model, such as llama3.2 or qwen3:8b")
    if payload.get("images") == []:
        return {name: value for name, value in payload.items() if name != "images"}
    if endpoint is not CHAT:
        return payload
    messages = [
        message if all(message.values()) else {name: value for name, value in message.items() if value}
        for message in payload["messages"]
    ]
    return {**payload, "messages": messages, "tools": payload.get("tools", [])}


def _url_of(endpoint: Endpoint) -> str:
    """What ``_request`` is called with."""
    return f"{WEB_HOST}{endpoint.path}" if endpoint in (WEB_SEARCH, WEB_FETCH) else endpoint.path


def _retell(error: OllamaError) -> None:
    """Gives ``error`` the text that ollama-python's has."""
    if isinstance(error, ConnectError):
        error.replace_text(CONNECTION_ERROR_MESSAGE)
    elif isinstance(error, ResponseError):
        error.replace_text(f"{error.error} (status code: {error.status_code})")


class Client(_Manners, client.Client):
    """ollama-python's client, over that of `metagpt_ollama_rs`.

    >>> from metagpt_ollama_rs.ollama_compat import Client, ResponseError
    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     try:
    ...         Client(server.url).show("llama3.2:1b")
    ...     except ResponseError as error:
    ...         print(error)
    model 'llama3.2:1b' not found (status code: 404)
    """

    def close(self) -> None:
        super().close()
        self._view.is_closed = True

    def _send(self, endpoint: Endpoint, payload: Any = None, stream: bool = False, *rest: Any, **more: Any) -> Any:
        payload = _sent(endpoint, payload)
        if _is_replaced(self, Client):
            body = {**payload, "stream": stream} if payload is not None and endpoint.streams else payload
            given = {} if body is None else {"json": body}
            return self._request(endpoint.reply, endpoint.method, _url_of(endpoint), stream=stream, **given)
        try:
            return super()._send(endpoint, payload, stream, *rest, **more)
        except OllamaError as error:
            _retell(error)
            raise

    def _request(self, cls: Any, method: str, url: str, *, json: Any = None, stream: bool = False) -> Any:
        """A request to any path; ``cls`` makes an object of the reply, or with ``stream`` of each line of it.

        Code that replaces this method gets every request of the client.
        """
        row = endpoint_at(url, method)
        if stream:
            return self._native.stream_blocking(row, json, lambda line: cls(**line), None)
        try:
            return cls(**self._native.call_blocking(row, json, "answer", None))
        except OllamaError as error:
            _retell(error)
            raise


class AsyncClient(_Manners, async_client.AsyncClient):
    """ollama-python's client for asyncio, over that of `metagpt_ollama_rs`.

    >>> from metagpt_ollama_rs.ollama_compat import AsyncClient
    >>> AsyncClient("example.com")
    AsyncClient('http://example.com:11434')
    """

    async def close(self) -> None:
        await super().close()
        self._view.is_closed = True

    aclose = close

    async def _send(
        self, endpoint: Endpoint, payload: Any = None, stream: bool = False, *rest: Any, **more: Any
    ) -> Any:
        payload = _sent(endpoint, payload)
        if _is_replaced(self, AsyncClient):
            body = {**payload, "stream": stream} if payload is not None and endpoint.streams else payload
            given = {} if body is None else {"json": body}
            return await self._request(endpoint.reply, endpoint.method, _url_of(endpoint), stream=stream, **given)
        try:
            return await super()._send(endpoint, payload, stream, *rest, **more)
        except OllamaError as error:
            _retell(error)
            raise

    async def _request(self, cls: Any, method: str, url: str, *, json: Any = None, stream: bool = False) -> Any:
        """As `Client._request`; with ``stream`` an asynchronous iterator."""
        row = endpoint_at(url, method)
        if stream:
            return self._native.stream(row, json, lambda line: cls(**line), False, None)
        try:
            return cls(**await self._native.call(row, json, "answer", None))
        except OllamaError as error:
            _retell(error)
            raise


_REQUESTS = {Client: Client._request, AsyncClient: AsyncClient._request}


def _is_replaced(made: Client | AsyncClient, cls: type[Client | AsyncClient]) -> bool:
    """Whether somebody has put a function of theirs in the place of ``_request``: on an object or on a class."""
    return getattr(made._request, "__func__", None) is not _REQUESTS[cls]


def _parse_host(host: str | None) -> str:
    """The base URL, with its port, for what ``OLLAMA_HOST`` or the argument ``host`` says.

    >>> from metagpt_ollama_rs.ollama_compat._client import _parse_host
    >>> _parse_host(":56789"), _parse_host("https://example.com/path/")
    ('http://127.0.0.1:56789', 'https://example.com:443/path')
    """
    scheme, _, rest = BaseClient(host or "127.0.0.1", trust_env=False).base_url.partition("://")
    address, slash, path = rest.partition("/")
    # An IPv6 address has colons of its own, before its closing bracket.
    port = "" if ":" in address.rpartition("]")[2] else ":443" if scheme == "https" else ":80"
    return f"{scheme}://{address}{port}{slash}{path}"


def _copy_images(images: Any) -> Iterator[Image]:
    for image in images or ():
        yield image if isinstance(image, Image) else Image(value=image)


def _copy_messages(messages: Any) -> Iterator[Message]:
    for message in messages or ():
        fields = {name: value for name, value in dict(message).items() if value}
        if "images" in fields:
            fields["images"] = list(_copy_images(fields["images"]))
        yield Message.model_validate(fields)


def _copy_tools(tools: Any = None) -> Iterator[Tool]:
    for tool in tools or ():
        yield convert_function_to_tool(tool) if callable(tool) else Tool.model_validate(tool)
