"""Which client asks for web search: one of ollama.com's, made of the arguments of the client whose method was called.

The search is a service of ollama.com, not of a local Ollama, and wants a key of an account there. That is, in this
order, the call's own (``headers={"Authorization": "Bearer …"}``), the client's (``api_key`` or that header) and
``OLLAMA_API_KEY``. A key that was given for a server elsewhere is that server's, and is not shown to ollama.com; nor
are the client's login (``Basic``), other headers, cookies and certificate. With ``verify=False`` for a server at
``https://``, the certificate of ollama.com is checked all the same.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from metagpt_ollama_rs.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from metagpt_ollama_rs.limits import CallSettings

__all__ = ["WEB_HOST", "require_key", "web_arguments"]

WEB_HOST = "https://ollama.com"


def web_arguments(arguments: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    """The arguments of a client of ollama.com that does as one with ``arguments``, whose server is ``base_url``.

    >>> web_arguments({"host": None, "api_key": "k", "headers": {"X-Team": "a"}}, "http://127.0.0.1:11434")
    {'host': 'https://ollama.com', 'api_key': 'k', 'headers': None, 'cert': None}
    >>> web_arguments({"host": None, "api_key": "k", "headers": None}, "http://gpu-box:11434")["api_key"]
    """
    kept: dict[str, Any] = {"api_key": None, "headers": None}
    if _is_here(base_url):
        headers = arguments.get("headers") or {}
        authorization = {name: value for name, value in headers.items() if _is_token(name, value)}
        kept = {"api_key": arguments.get("api_key"), "headers": authorization or None}
    others = {name: value for name, value in arguments.items() if name not in ("auth", "cookies")}
    if urlsplit(base_url).scheme == "https" and others.get("verify") is False:
        # It is the certificate of the other server that is not checked.
        others["verify"] = True
    return {**others, "host": WEB_HOST, **kept, "cert": None}


def require_key(what: str, settings: CallSettings | None) -> None:
    """Raises ConfigurationError, a ValueError, unless the headers of a call have a key. ``what`` is search or fetch.

    >>> require_key("search", (None, None, [("Authorization", "Bearer k")]))
    """
    headers = (settings and settings[2]) or []
    if not any(_is_token(name, value) for name, value in headers):
        raise ConfigurationError(
            f"Authorization header with Bearer token is required for web {what}",
            hint="make a key at https://ollama.com/settings/keys and set OLLAMA_API_KEY; the api_key of a client "
            "counts where its server is on this machine",
        )


def _is_token(name: str, value: str) -> bool:
    """Whether a header has a key, and not a user's name and password, which no account at ollama.com has."""
    return name.lower() == "authorization" and value.startswith("Bearer ")


def _is_here(base_url: str) -> bool:
    """Whether a server is on this machine."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if parts.scheme == "unix" or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
