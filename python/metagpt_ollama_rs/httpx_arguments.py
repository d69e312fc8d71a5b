"""Arguments of ``httpx.Client`` that code gives to ollama-python's clients: what becomes of each here.

``ARGUMENTS`` is the table of all of them; docs/compatibility.md shows it, and a test compares the two. An argument of
the same name as one of ours goes there; another is turned into ours; a third makes the requests go over httpx
(`over_httpx`), because only httpx can do it; and what is left is a ConfigurationError that says what to write instead.

>>> mapped = MappedArguments("Client", print, {"auth": ("me", "secret"), "http2": True, "transport": None})
>>> mapped.headers, mapped.carried
({'Authorization': 'Basic bWU6c2VjcmV0'}, False)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from metagpt_ollama_rs.errors import ConfigurationError
from metagpt_ollama_rs.spelling import refuse_unknown

if TYPE_CHECKING:
    from metagpt_ollama_rs import _core

__all__ = ["ARGUMENTS", "HttpxArgument", "MappedArguments", "proxy_url"]


# Arguments of ours that mean nothing where httpx sends the requests: why, and what to write instead.
_NOT_CARRIED = (
    ("retries", "requests over httpx are sent once", "write transport=httpx.HTTPTransport(retries=…)"),
    ("on_event", "it hears nothing of requests over httpx", "write event_hooks={'request': […], 'response': […]}"),
)


class HttpxArgument(NamedTuple):
    """A row of the table: an argument of httpx, what it is here in a few words, and what takes its value.

    ``take`` is None for an argument that ours have under the same name, and is not called for None, which is httpx's
    way of leaving an argument out.

    >>> ARGUMENTS["verify"].here
    'the same'
    """

    here: str
    take: Callable[[MappedArguments, Any], None] | None = None


class MappedArguments:
    """The arguments that only httpx has, as far as ours stand for them.

    Attributes:
        kept: the arguments in a form that can be pickled, if they can.
        headers: to be sent with every request, in the place of those of the same names.
        others: further arguments of our clients.
        carried: whether the requests have to go over httpx.

    ``called`` is the name of the class, and ``constructor`` the function whose own arguments these are not. Raises
    TypeError for an argument that httpx does not have either, and ConfigurationError for one that cannot be taken,
    unless httpx takes it, because ``carried`` is True.

    >>> MappedArguments("Client", print, {"cookies": {"team": "a"}}).headers
    {'Cookie': 'team=a'}
    """

    def __init__(self, called: str, constructor: Callable[..., Any], given: Mapping[str, Any]) -> None:
        refuse_unknown(called, constructor, {name: value for name, value in given.items() if name not in ARGUMENTS})
        self.kept = dict(given)
        self.headers: dict[str, str] = {}
        self.others: dict[str, Any] = {}
        self.carried = any(_needs_httpx(name, value) for name, value in given.items())
        for name, value in given.items():
            take = ARGUMENTS[name].take
            if take is not None and value is not None and not self.carried:
                self._name = f"{called}({name}=…)"
                take(self, value)

    def add_headers(self, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """``pairs`` with our headers in the place of those of the same names."""
        ours = {name.lower() for name in self.headers}
        return [pair for pair in pairs if pair[0].lower() not in ours] + list(self.headers.items())

    def carry(self, native: _core.NativeClient, arguments: Mapping[str, Any], asynchronous: bool) -> Any:
        """Something with the methods of the core's client ``native`` that sends requests over httpx.

        ``arguments`` are all that the client was made of.
        """
        from importlib import import_module

        from metagpt_ollama_rs.over_httpx import HttpxCarrier, httpx_timeout

        for name, why, hint in _NOT_CARRIED:
            if arguments.get(name) is not None:
                raise ConfigurationError(f"{name}: {why}", hint=hint)
        given = {name: value for name, value in arguments.items() if name in ARGUMENTS and value is not None}
        given["timeout"] = httpx_timeout(native.limits)
        key = arguments.get("api_key")
        if key and not any(name.lower() == "authorization" for name in given.get("headers", {})):
            given["headers"] = {**given.get("headers", {}), "Authorization": f"Bearer {key}"}
        given.setdefault("follow_redirects", True)
        httpx = import_module("httpx")
        make = httpx.AsyncClient if asynchronous else httpx.Client
        return HttpxCarrier(make(base_url=native.url, **given), native, arguments.get("max_line"))

    def refuse(self, why: str, hint: str) -> ConfigurationError:
        """The error for the argument whose turn it is."""
        return ConfigurationError(f"{self._name}: {why}", hint=hint)


def _needs_httpx(name: str, value: Any) -> bool:
    if name in ("transport", "mounts", "event_hooks"):
        return bool(value) if name != "transport" else value is not None
    return name == "auth" and value is not None and _basic_header(value) is None


def _basic_header(auth: Any) -> str | None:
    """The header of a pair of user and password, or of an ``httpx.BasicAuth``; None for another way to sign in."""
    if isinstance(auth, (tuple, list)) and len(auth) == 2:
        from base64 import b64encode

        pair = b":".join(part if isinstance(part, bytes) else str(part).encode() for part in auth)
        return f"Basic {b64encode(pair).decode()}"
    header = getattr(auth, "_auth_header", None)
    return header if type(auth).__name__ == "BasicAuth" and isinstance(header, str) else None


def _take_auth(mapped: MappedArguments, value: Any) -> None:
    header = _basic_header(value)
    if header is not None:
        mapped.headers["Authorization"] = header


def _take_cookies(mapped: MappedArguments, value: Any) -> None:
    # Of httpx.Cookies and of http.cookiejar.CookieJar those that are there; of pairs and of dicts all.
    if hasattr(value, "jar") or hasattr(value, "make_cookies"):
        pairs = [(cookie.name, cookie.value) for cookie in getattr(value, "jar", value)]
    else:
        pairs = list(value.items() if isinstance(value, Mapping) else value)
    mapped.kept["cookies"] = pairs
    if pairs:
        mapped.headers["Cookie"] = "; ".join(f"{name}={text}" for name, text in pairs)


def _take_proxies(mapped: MappedArguments, value: Any) -> None:
    found = {proxy_url(url) for url in value.values()} if isinstance(value, Mapping) else {proxy_url(value)}
    if len(found) > 1:
        raise mapped.refuse("there is one proxy for a client", "write proxy=URL, or mounts= with transports of httpx")
    mapped.others["proxy"] = next(iter(found), None)


def _take_limits(mapped: MappedArguments, value: Any) -> None:
    # httpx's default does not count as a wish.
    if getattr(value, "max_connections", None) not in (None, 100):
        raise mapped.refuse("a client has as many connections as there are calls", "bound the calls: asyncio.Semaphore")


def _take_max_redirects(mapped: MappedArguments, value: Any) -> None:
    if value == 0:
        mapped.others["follow_redirects"] = False
    elif value < 10:
        raise mapped.refuse("ten redirects in a row are followed", "write follow_redirects=False to follow none")


def _take_http1(mapped: MappedArguments, value: Any) -> None:
    if not value:
        raise mapped.refuse("HTTP/1.1 is what Ollama speaks", "leave it out")


def _take_default_encoding(mapped: MappedArguments, value: Any) -> None:
    if str(value).lower().replace("_", "-") not in ("utf-8", "utf8"):
        raise mapped.refuse("JSON is UTF-8", "leave it out")


def _refusing(why: str, hint: str) -> Callable[[MappedArguments, Any], None]:
    def take(mapped: MappedArguments, value: Any) -> None:
        # An empty collection is as good as none.
        if value or not isinstance(value, (Mapping, list, tuple)):
            raise mapped.refuse(why, hint)

    return take


def _leave(mapped: MappedArguments, value: Any) -> None:
    """For what has no effect here, or has been seen to in `_needs_httpx`."""


ARGUMENTS: dict[str, HttpxArgument] = {
    "headers": HttpxArgument("the same"),
    "timeout": HttpxArgument("the same: a number, None, a tuple or `httpx.Timeout`, of which connect and read count"),
    "verify": HttpxArgument("the same"),
    "cert": HttpxArgument("the same, but for the password of a key"),
    "trust_env": HttpxArgument("the same: proxies and certificate files of the environment; .netrc is never read"),
    "follow_redirects": HttpxArgument("the same, within the same host"),
    "proxy": HttpxArgument("the same: a URL or an `httpx.Proxy` without headers"),
    "proxies": HttpxArgument("`proxy`, if all of them are one", _take_proxies),
    "auth": HttpxArgument("user and password, or `httpx.BasicAuth`: a header; others go over httpx", _take_auth),
    "cookies": HttpxArgument("a header; cookies that the server sets are not kept", _take_cookies),
    "http1": HttpxArgument("True", _take_http1),
    "http2": HttpxArgument("no effect: HTTP/1.1 is what Ollama speaks", _leave),
    "limits": HttpxArgument(
        "no effect; refused with a `max_connections` other than 100: bound the calls", _take_limits
    ),
    "max_redirects": HttpxArgument("0 is `follow_redirects=False`; 1 to 9 are refused", _take_max_redirects),
    "default_encoding": HttpxArgument("UTF-8", _take_default_encoding),
    "transport": HttpxArgument("goes over httpx", _leave),
    "mounts": HttpxArgument("goes over httpx", _leave),
    "event_hooks": HttpxArgument("goes over httpx", _leave),
    "params": HttpxArgument(
        "refused: Ollama's requests have no query; `transport=httpx.HTTPTransport()` beside it makes httpx send it",
        _refusing(
            "Ollama's requests have no query", "give transport=httpx.HTTPTransport() with it, and httpx sends it"
        ),
    ),
    "base_url": HttpxArgument("refused: write `host`", _refusing("the address is the argument host", "write host=URL")),
    "app": HttpxArgument(
        "refused: write `transport=httpx.WSGITransport(app=…)`",
        _refusing("httpx takes it no more", "write transport=httpx.WSGITransport(app=…), or httpx.ASGITransport"),
    ),
}


def proxy_url(proxy: Any) -> Any:
    """The URL of an ``httpx.Proxy`` or ``httpx.URL`` as a text; anything else as it is."""
    if isinstance(proxy, (str, bytes)) or proxy is None:
        return proxy
    url = getattr(proxy, "url", proxy)
    if type(url).__module__.partition(".")[0] != "httpx":
        return proxy
    if dict(getattr(proxy, "headers", None) or {}):
        raise ConfigurationError("proxy: its headers are not sent", hint="write proxy=URL, with USER:PASSWORD@ in it")
    auth = getattr(proxy, "auth", None)
    if auth:
        from urllib.parse import quote

        user, password = (quote(part, safe="") for part in auth)
        scheme, _, rest = str(url).partition("://")
        return f"{scheme}://{user}:{password}@{rest}"
    return str(url)
