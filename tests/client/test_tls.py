"""Whose certificates count, and what a failed handshake says. All of it over real TLS."""

from __future__ import annotations

import logging
import pickle
import re
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from metagpt_ollama_rs import AsyncClient, Client, Timeout, errors, trust
from metagpt_ollama_rs.testing import ScriptedServer

from .tls_calls import Fronts, ask, failures


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def refused(url: str, **arguments: Any) -> errors.ConnectError:
    """The failure to reach a server, the same of both clients."""
    first, second = failures(url, **arguments)
    assert str(second) == str(first)
    return first


@pytest.mark.parametrize(
    ("certificate", "trusted"),
    [
        ("server", "authority"),
        ("itself", "itself"),
        ("itself-plain", "itself-plain"),
        # The server's own certificate alone, whose issuer nobody knows.
        ("server", "server"),
    ],
)
def test_a_certificate_of_ones_own(
    ollama_server: ScriptedServer,
    tls_front: Fronts,
    certificates: Path,
    certificate: str,
    trusted: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    ollama_server.answer("Hello")
    url = tls_front(certificate).url
    file = certificates / f"{trusted}.pem"
    assert ask(url, verify=file) == "Hello"
    assert ask(url, verify=str(file)) == "Hello"
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(file.read_bytes())
    (folder / "README").write_text("no certificate")
    (folder / "dead").symlink_to(tmp_path / "nowhere")
    assert ask(url, verify=folder) == "Hello"
    with monkeypatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        assert ask(url) == "Hello"
    with monkeypatch.context() as patch:
        patch.setenv("SSL_CERT_DIR", f"{folder}:")
        assert ask(url) == "Hello"


def test_one_file_may_hold_several(
    ollama_server: ScriptedServer, tls_front: Fronts, certificates: Path, tmp_path: Path
) -> None:
    ollama_server.answer("Hello")
    bundle = tmp_path / "bundle.pem"
    both = [(certificates / f"{name}.pem").read_bytes() for name in ("itself", "authority")]
    bundle.write_bytes(b"# ours\n" + b"".join(both))
    for certificate in ("server", "itself"):
        assert ask(tls_front(certificate).url, verify=bundle) == "Hello"


CAUSES = {
    "untrusted": ("server", "itself", r"signed by nobody whom this machine trusts", "verify"),
    "its own mark of an authority": ("itself", "authority", r"cannot be trusted", "verify"),
    "expired": ("expired", "authority", r"expired \d+ days ago", "clock"),
    "expired, and the very one that is trusted": ("itself-expired", "itself-expired", r"expired \d+ days ago", "clock"),
    "early": ("early", "authority", "not valid yet", "clock"),
    "name": ("elsewhere", "authority", r"for ollama\.example, \*\.lan\.example, not for 127\.0\.0\.1", "base_url"),
    "no name": ("nameless", "authority", "no name at all", "subjectAltName"),
    "another name, and the very one that is trusted": ("elsewhere", "elsewhere", r"not for 127\.0\.0\.1", "base_url"),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_the_hint_depends_on_the_cause(
    ollama_server: ScriptedServer, tls_front: Fronts, certificates: Path, cause: str
) -> None:
    certificate, trusted, says, hint = CAUSES[cause]
    error = refused(tls_front(certificate).url, verify=certificates / f"{trusted}.pem")
    assert re.search(says, error.message), str(error)
    assert hint in error.hint
    assert not ollama_server.requests


def serving(answer: bytes) -> tuple[str, threading.Thread]:
    """An address where two connections get ``answer`` and are closed, and the thread that does it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener:
            for _ in range(2):
                with listener.accept()[0] as sock:
                    sock.recv(1)
                    sock.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return f"https://127.0.0.1:{listener.getsockname()[1]}", thread


def test_a_server_without_tls() -> None:
    url, thread = serving(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    error = refused(url)
    thread.join()
    assert "does not speak TLS" in error.message
    assert error.hint == "write http:// in base_url"


def test_a_server_that_wants_tls(tls_front: Fronts) -> None:
    error = refused(tls_front().url.replace("https:", "http:"))
    assert "write https://" in error.hint


def test_a_server_that_hangs_up_in_the_handshake() -> None:
    url, thread = serving(b"")
    error = refused(url)
    thread.join()
    assert "http://" in error.hint


def test_a_server_that_waits_in_the_handshake(ollama_server: ScriptedServer) -> None:
    """Ollama without TLS waits for the end of a line, which may not come."""
    with pytest.raises(errors.ConnectTimeout) as caught:
        Client(f"https://127.0.0.1:{ollama_server.port}", timeout=Timeout(connect=0.2)).version()
    assert "Else write http://" in caught.value.hint


def test_the_machine_knows_none_of_these(tls_front: Fronts) -> None:
    for certificate in ("server", "itself"):
        assert "verify" in refused(tls_front(certificate).url).hint


@pytest.mark.parametrize("certificate", ["server", "itself", "expired", "early", "elsewhere", "nameless"])
def test_unverified(
    ollama_server: ScriptedServer,
    tls_front: Fronts,
    certificate: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Another test may have had a server at the same port.
    monkeypatch.setattr(trust, "_unverified", set())
    ollama_server.answer("Hello")
    url = tls_front(certificate).url
    assert ask(url, verify=False) == "Hello"
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1, "one warning, however many clients"
    assert url in warnings[0]


def test_a_context_gives_its_authorities(ollama_server: ScriptedServer, tls_front: Fronts, certificates: Path) -> None:
    ollama_server.answer("Hello")
    context = ssl.create_default_context(cafile=str(certificates / "authority.pem"))
    assert ask(tls_front("server").url, verify=context) == "Hello"
    assert "signed by nobody" in refused(tls_front("itself-plain").url, verify=context).message
    assert "not for 127.0.0.1" in refused(tls_front("elsewhere").url, verify=context).message
    context.check_hostname = False
    assert ask(tls_front("elsewhere").url, verify=context) == "Hello"
    assert "expired" in refused(tls_front("expired").url, verify=context).message
    context.verify_mode = ssl.CERT_NONE
    assert ask(tls_front("expired").url, verify=context) == "Hello"


def test_a_context_whose_certificates_cannot_be_read_out(certificates: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificates / "itself-plain.pem")
    with pytest.raises(errors.ConfigurationError, match="pass their file"):
        Client(verify=context)


def test_a_context_that_asks_the_machine(tls_front: Fronts) -> None:
    class Truststore:
        """What the class of the package truststore does."""

        verify_mode = ssl.CERT_REQUIRED
        check_hostname = True

        def get_ca_certs(self, binary_form: bool = False) -> list[bytes]:
            raise NotImplementedError

    assert "signed by nobody" in refused(tls_front("server").url, verify=Truststore()).message


def test_clients_with_certificates_pickle(ollama_server: ScriptedServer, tls_front: Fronts, certificates: Path) -> None:
    url = tls_front("server").url
    file = certificates / "authority.pem"
    for verify in (file, ssl.create_default_context(cafile=str(file)), False):
        client = pickle.loads(pickle.dumps(Client(url, verify=verify)))
        assert client.version()


def test_what_cannot_be_used_is_named_before_anything_is_sent(
    ollama_server: ScriptedServer, tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "missing": (tmp_path / "missing.pem", "cannot be read"),
        "empty": (tmp_path / "empty.pem", "no certificate in PEM form"),
        "key": (tmp_path / "key.pem", "no certificate in PEM form"),
        "broken": (tmp_path / "broken.pem", "PEM"),
        "nonsense": (tmp_path / "nonsense.pem", "no certificate that can be read"),
        "folder": (tmp_path / "folder", "no file with a certificate"),
        "device": (Path("/dev/null"), "is no file"),
    }
    pem = (certificates / "authority.pem").read_text()
    (tmp_path / "empty.pem").touch()
    (tmp_path / "key.pem").write_text(pem[pem.index("-----BEGIN PRIVATE") :])
    (tmp_path / "broken.pem").write_text(pem.replace("-----END CERTIFICATE-----", "").replace("M", "!", 3))
    (tmp_path / "nonsense.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (tmp_path / "folder").mkdir()
    for path, says in files.values():
        for make in (Client, AsyncClient):
            for url in (ollama_server.url, "https://127.0.0.1:1"):
                with pytest.raises(errors.ConfigurationError, match=says) as caught:
                    make(url, verify=path)
                assert f"verify names {path}" in str(caught.value)
        if path.name != "folder":
            with monkeypatch.context() as patch:
                patch.setenv("SSL_CERT_FILE", str(path))
                with pytest.raises(errors.ConfigurationError, match="SSL_CERT_FILE names") as caught:
                    Client("https://127.0.0.1:1")
                assert str(path) in str(caught.value)
                assert Client(ollama_server.url).version(), "without TLS nobody needs it"
    for verify in ("", None, 3, []):
        with pytest.raises(errors.ConfigurationError, match="verify must be"):
            Client(ollama_server.url, verify=verify)  # type: ignore[arg-type]


def test_the_environment_names_no_certificates_to_a_client_that_does_not_trust_it(
    tls_front: Fronts, certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, file = tls_front("server").url, certificates / "authority.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("SSL_CERT_DIR", str(certificates))
    assert "signed by nobody" in refused(url, trust_env=False).message
    assert Client(url, trust_env=False, verify=file).version(), "an explicit file counts"
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    assert "signed by nobody" in refused(url, trust_env=False).message
