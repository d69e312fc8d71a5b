"""The certificate with which a client proves who it is, before servers that demand one. All of it over real TLS."""

from __future__ import annotations

import pickle
import re
import ssl
from pathlib import Path
from typing import Any

import pytest

from metagpt_ollama_rs import AsyncClient, Client, errors
from metagpt_ollama_rs.testing import ScriptedServer, faults

from .tls_calls import Fronts, ask, failures


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def parts(certificates: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The certificate ``server`` and its key, each in a file of its own."""
    pem = (certificates / "server.pem").read_text()
    at = pem.index("-----BEGIN PRIVATE KEY-----")
    certificate, key = tmp_path / "me.pem", tmp_path / "me.key"
    certificate.write_text(pem[:at])
    key.write_text(pem[at:])
    return certificate, key


def refused(url: str, **arguments: Any) -> errors.ConnectError:
    """The failure to reach a server, the same of both clients."""
    first, second = failures(url, **arguments)
    assert second.hint == first.hint
    return first


def test_a_server_that_demands_a_certificate_gets_it(
    ollama_server: ScriptedServer, tls_front: Fronts, certificates: Path, parts: tuple[Path, Path]
) -> None:
    ollama_server.answer("Hello")
    url = tls_front("server", clients="authority").url
    certificate, key = parts
    for cert in (
        certificates / "server.pem",
        str(certificates / "server.pem"),
        (certificate, key),
        [str(certificate), str(key)],
        (certificate, key, None),
        (certificate, key, "a password that the key does not need"),
    ):
        assert ask(url, verify=certificates / "authority.pem", cert=cert) == "Hello"
    context = ssl.create_default_context(cafile=str(certificates / "authority.pem"))
    assert ask(url, verify=context, cert=parts) == "Hello"
    assert ask(url, verify=False, cert=parts) == "Hello", "where reqwest sets up TLS"


def test_a_server_that_demands_none_is_shown_none(
    ollama_server: ScriptedServer, tls_front: Fronts, certificates: Path
) -> None:
    ollama_server.answer("Hello")
    arguments = {"verify": certificates / "authority.pem", "cert": certificates / "server.pem"}
    assert ask(tls_front("server").url, **arguments) == "Hello"
    assert ask(ollama_server.url, **arguments) == "Hello", "without TLS nobody needs it"


@pytest.mark.parametrize(
    ("cert", "says"), [(None, "demands a certificate"), ("itself-plain", "certificate of the client")]
)
@pytest.mark.parametrize("verify", [True, False])
def test_without_the_right_certificate_the_failure_names_the_cure(
    ollama_server: ScriptedServer, tls_front: Fronts, certificates: Path, cert: str | None, says: str, verify: bool
) -> None:
    error = refused(
        tls_front("server", clients="authority").url,
        verify=certificates / "authority.pem" if verify else False,
        cert=cert and certificates / f"{cert}.pem",
    )
    assert says in error.message, str(error)
    assert "with cert" in error.hint
    assert not ollama_server.requests


def test_clients_with_a_certificate_pickle(
    ollama_server: ScriptedServer, tls_front: Fronts, certificates: Path, parts: tuple[Path, Path]
) -> None:
    url = tls_front("server", clients="authority").url
    for cert in (certificates / "server.pem", (*parts, "unused-password")):
        pickled = pickle.dumps(Client(url, verify=certificates / "authority.pem", cert=cert))
        assert b"unused-password" not in pickled
        assert pickle.loads(pickled).version()


def test_another_origin_is_not_shown_the_certificate(
    ollama_server: ScriptedServer, tls_front: Fronts, certificates: Path
) -> None:
    """The redirect leads to another port of the same host."""
    arguments = {"verify": certificates / "authority.pem", "cert": certificates / "server.pem"}
    demanding = tls_front("server", clients="authority")
    ollama_server.on("POST", "/api/chat", faults.redirect(f"{demanding.url}/api/chat"))
    assert "demands a certificate" in refused(tls_front("server").url, **arguments).message


def test_what_cannot_be_used_is_named_before_anything_is_sent(
    ollama_server: ScriptedServer, certificates: Path, parts: tuple[Path, Path], tmp_path: Path
) -> None:
    certificate, key = parts
    other = tmp_path / "other.pem"
    other.write_text((certificates / "itself.pem").read_text())
    missing = tmp_path / "a folder with ümlaut" / "missing.pem"
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n")
    old = tmp_path / "old.key"
    old.write_text(
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMIIB\n"
        "-----END RSA PRIVATE KEY-----\n"
    )
    nonsense = tmp_path / "nonsense.key"
    nonsense.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    rows: list[tuple[Any, Path, str]] = [
        (missing, missing, "cannot be read: No such file"),
        ((certificate, missing), missing, "cannot be read: No such file"),
        (tmp_path, tmp_path, "is no file"),
        ((certificate, "/dev/null"), Path("/dev/null"), "is no file"),
        (key, key, "no certificate in PEM form"),
        (certificate, certificate, "no private key in PEM form"),
        ((key, certificate), key, "no certificate in PEM form"),
        ((certificate, other), other, f"does not belong to the certificate in {certificate}"),
        ((certificate, nonsense), nonsense, "cannot be used"),
        ((certificate, encrypted), encrypted, f"openssl pkey -in {encrypted} -out"),
        ((certificate, encrypted, "secret-password"), encrypted, f"openssl pkey -in {encrypted} -out"),
        ((certificate, old), old, f"openssl pkey -in {old} -out"),
    ]
    for cert, path, says in rows:
        for make in (Client, AsyncClient):
            for url in (ollama_server.url, "https://127.0.0.1:1"):
                with pytest.raises(errors.ConfigurationError, match=re.escape(says)) as caught:
                    make(url, cert=cert)
                assert f"cert names {path}, which" in str(caught.value)
                assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "cert", ["", (), 3, True, ("a", "b", "c", "d"), ("a", 3), ("a", ""), ssl.create_default_context()]
)
def test_what_is_no_certificate_is_refused(cert: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match="cert must be the path of a PEM file") as caught:
        Client(cert=cert)
    assert "ssl.SSLContext" in caught.value.hint
