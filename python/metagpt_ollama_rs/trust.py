"""The argument ``verify`` of the clients: whose certificates count for ``https://``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from metagpt_ollama_rs.errors import ConfigurationError

if TYPE_CHECKING:
    from ssl import SSLContext
    from typing import Union

    Verify = Union[bool, str, os.PathLike[str], SSLContext]

__all__ = ["Certificates", "read_verify", "warn_unverified"]


class Certificates(NamedTuple):
    """What an ``ssl.SSLContext``, which does not pickle, has: certificates, and whether names are checked.

    >>> read_verify(Certificates([], names=True))
    Certificates(certificates=[], names=True)
    """

    certificates: list[bytes]
    names: bool


def read_verify(verify: Any) -> bool | str | Certificates:
    """What the core takes for the argument ``verify`` of a client. Raises ``ConfigurationError``."""
    if isinstance(verify, (bool, Certificates)):
        return verify
    if isinstance(verify, (str, bytes, os.PathLike)) and verify:
        return os.path.expanduser(os.fsdecode(verify))
    if hasattr(verify, "get_ca_certs"):
        return _of_context(verify)
    raise ConfigurationError(
        "verify must be True, False, the path of a file or folder of CA certificates, or an ssl.SSLContext, "
        f"and is {type(verify).__name__ if verify else repr(verify)}"
    )


def _of_context(context: Any) -> bool | Certificates:
    if not context.verify_mode:
        return False
    try:
        certificates = context.get_ca_certs(binary_form=True)
        loaded = context.cert_store_stats()["x509"]
    except NotImplementedError:  # truststore's context, which asks the system
        return True
    if certificates:
        return Certificates(certificates, context.check_hostname)
    if loaded:
        raise ConfigurationError("the certificates of the ssl.SSLContext cannot be read out: pass their file as verify")
    # Such is the default context where OpenSSL reads the machine's certificates one by one, when it needs them.
    return True


_unverified: set[str] = set()


def warn_unverified(url: str) -> None:
    """Says once for each server that nobody knows who it is."""
    if url not in _unverified:
        _unverified.add(url)
        import logging

        logging.getLogger("metagpt_ollama_rs").warning(
            "verify is false: the certificate of %s is not checked, so anybody may answer in its place", url
        )
