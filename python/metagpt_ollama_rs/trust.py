"""The clients' arguments for ``https://``: ``verify``, whose certificates count, and ``cert``, the client's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from metagpt_ollama_rs.errors import ConfigurationError

if TYPE_CHECKING:
    from ssl import SSLContext
    from typing import Optional, Union

    Verify = Union[bool, str, os.PathLike[str], SSLContext]
    Path = Union[str, os.PathLike[str]]
    Cert = Union[Path, tuple[Path, ...], tuple[Path, Path, Optional[str]]]

__all__ = ["Certificates", "read_cert", "read_verify", "warn_unverified"]


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


def read_cert(cert: Any) -> tuple[str, str | None] | None:
    """What the core takes for the argument ``cert`` of a client: the paths of a certificate and of its key.

    A key that is not in the file of the certificate comes second, and its password third, as in httpx. The core tells
    of an encrypted key how to write it without its password. Raises ConfigurationError.

    >>> read_cert(("me.pem", "me.key")), read_cert("me.pem")
    (('me.pem', 'me.key'), ('me.pem', None))
    """
    if cert is None:
        return None
    parts = list(cert) if isinstance(cert, (tuple, list)) else [cert]
    if len(parts) == 3 and (parts[2] is None or isinstance(parts[2], (str, bytes))):
        del parts[2]
    if not 1 <= len(parts) <= 2 or not all(isinstance(part, (str, bytes, os.PathLike)) and part for part in parts):
        raise ConfigurationError(
            "cert must be the path of a PEM file with a certificate and its key, or a tuple of the paths of both, and "
            f"is {type(cert).__name__ if cert else repr(cert)}",
            hint="what an ssl.SSLContext has loaded cannot be read out of it: pass its files as cert",
        )
    certificate, *key = (os.path.expanduser(os.fsdecode(part)) for part in parts)
    return (certificate, key[0] if key else None)


_unverified: set[str] = set()


def warn_unverified(url: str) -> None:
    """Says once for each server that nobody knows who it is."""
    if url not in _unverified:
        _unverified.add(url)
        import logging

        logging.getLogger("metagpt_ollama_rs").warning(
            "verify is false: the certificate of %s is not checked, so anybody may answer in its place", url
        )
