"""What both clients have in common: their arguments, their pickles, and what becomes of a whole reply."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs import _core
from metagpt_ollama_rs.endpoints import ENDPOINTS
from metagpt_ollama_rs.errors import ConfigurationError
from metagpt_ollama_rs.httpx_arguments import MappedArguments, proxy_url
from metagpt_ollama_rs.limits import Retry, read_retries, read_size, read_timeout
from metagpt_ollama_rs.payloads import header_pairs, plain_text
from metagpt_ollama_rs.reply_checks import check_answer, check_success, require_field
from metagpt_ollama_rs.trust import read_cert, read_verify, warn_unverified
from metagpt_ollama_rs.vectors import check_embeddings
from metagpt_ollama_rs.web_access import require_key, web_arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from metagpt_ollama_rs.endpoints import Endpoint
    from metagpt_ollama_rs.events import EventHook
    from metagpt_ollama_rs.limits import CallSettings, TimeoutLike
    from metagpt_ollama_rs.responses import Record
    from metagpt_ollama_rs.trust import Cert, Verify

__all__ = ["BaseClient"]


class BaseClient:
    """The arguments of a client, checked, and the core's client that is made of them.

    >>> BaseClient("example.com").base_url
    'http://example.com:11434'
    """

    # Whether the methods are coroutines.
    _asynchronous = False
    _native: _core.NativeClient

    def __init__(
        self,
        host: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: TimeoutLike = None,
        api_key: str | None = None,
        proxy: str | None = None,
        verify: Verify = True,
        cert: Cert | None = None,
        trust_env: bool = True,
        follow_redirects: bool = True,
        retries: int | Retry | None = None,
        max_line: int | None = None,
        max_body: int | None = None,
        on_event: EventHook | None = None,
        **httpx_only: Any,
    ) -> None:
        self._web: tuple[dict[str, Any], BaseClient] | None = None
        mapped = MappedArguments(type(self).__name__, BaseClient.__init__, httpx_only)
        given_proxy = proxy_url(mapped.others.get("proxy", proxy))
        follow_redirects = mapped.others.get("follow_redirects", follow_redirects)
        host, api_key, proxy = (
            value and plain_text(value, name)
            for name, value in (("host", host), ("api_key", api_key), ("proxy", given_proxy))
        )
        pairs = header_pairs(headers or {})
        trust = read_verify(verify)
        certificate = read_cert(cert)
        for name, value in (("trust_env", trust_env), ("follow_redirects", follow_redirects)):
            if not isinstance(value, bool):
                raise ConfigurationError(f"{name} must be True or False, and is {value!r:.60}")
        if on_event is not None:
            from metagpt_ollama_rs.events import check_hook

            check_hook("on_event", on_event)
        self._arguments: dict[str, Any] = {
            "host": host,
            "headers": dict(pairs) or None,
            "timeout": timeout,
            "api_key": api_key,
            "proxy": proxy,
            "verify": trust,
            "cert": certificate and tuple(path for path in certificate if path is not None),
            "trust_env": trust_env,
            "follow_redirects": follow_redirects,
            "retries": retries,
            "max_line": max_line,
            "max_body": max_body,
            "on_event": on_event,
            **mapped.kept,
        }
        address = host or plain_text(os.environ.get("OLLAMA_HOST", ""), "OLLAMA_HOST")
        self._native = _core.NativeClient(
            address,
            is_host=not host,
            endpoints=list(ENDPOINTS),
            headers=mapped.add_headers(pairs),
            api_key=api_key,
            proxy=proxy,
            verify=trust,
            cert=certificate,
            trust_env=trust_env,
            follow_redirects=follow_redirects,
            limits=read_timeout(timeout),
            retries=read_retries(retries),
            max_line=read_size("max_line", max_line),
            max_body=read_size("max_body", max_body),
            on_event=on_event,
        )
        if mapped.carried:
            given = {**self._arguments, "verify": verify, "cert": cert, "proxy": given_proxy}
            self._native = mapped.carry(self._native, given, self._asynchronous)
        if trust is False:
            warn_unverified(self.base_url)

    @property
    def base_url(self) -> str:
        """The server's base URL, without user and password."""
        return self._native.url

    def _transfer_settings(self, settings: CallSettings | None) -> CallSettings:
        """The settings of a transfer, which takes as long as a model is large: unless the call says how long, only
        connecting is bounded."""
        limits, retries, headers = settings or (None, None, None)
        return (limits or (self._native.limits[0], None, None, None), retries, headers)

    def _web_client(self, what: str, settings: CallSettings | None) -> Any:
        """The client of ollama.com for web search, or this one if it is that; it is kept.

        Raises ConfigurationError where neither it nor the call has a key. ``what`` is search or fetch.
        """
        web: BaseClient = self
        if not _core.is_cloud(self.base_url):
            arguments, known = self._arguments, self._web
            # Other arguments may have been given to this client meanwhile, or the environment a key.
            if known is None or known[0] is not arguments or not known[1]._native.authorized:
                # A subclass elsewhere may have a constructor with arguments of its own.
                package = __name__.partition(".")[0]
                cls = next(cls for cls in type(self).__mro__ if cls.__module__.partition(".")[0] == package)
                self._web = known = (arguments, cls(**web_arguments(arguments, self.base_url)))
            web = known[1]
        if not web._native.authorized:
            require_key(what, settings)
        return web

    def _format_of(self, endpoint: Endpoint, guarded: bool) -> str:
        """The core's name for what a whole reply of ``endpoint`` becomes."""
        return "guarded" if guarded else "status" if endpoint.may_be_empty else "answer"

    def _make_reply(
        self, endpoint: Endpoint, reply: Any, payload: Any = None, settings: CallSettings | None = None
    ) -> Record:
        """A whole reply to ``payload`` as an object of the endpoint's class.

        Raises ProtocolError for one that answers nothing, IncompleteError for a transfer's that is not its last report.
        """
        if endpoint.may_be_empty:
            return endpoint.reply({"status": "success"})
        native = self._native
        redact = native.redact if settings is None else partial(native.redact, settings=settings)
        if endpoint.lines == "answer":
            check_answer(reply, endpoint, redact=redact)
        elif endpoint.lines == "progress":
            check_success(reply, endpoint, base_url=self.base_url)
        elif endpoint.fields:
            require_field(reply, *endpoint.fields, redact=redact)
        made = endpoint.reply(reply)
        if endpoint.embeds:
            check_embeddings(made, payload)
        return made

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self._arguments))


def _rebuild(cls: type[BaseClient], arguments: dict[str, Any]) -> BaseClient:
    return cls(**arguments)
