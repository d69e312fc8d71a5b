"""Files that are named as images: image files are read, and nothing else is; the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from metagpt_ollama_rs import AsyncClient, Client, errors, images
from metagpt_ollama_rs.testing import Reply, ScriptedServer

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
BARE = base64.b64encode(PNG).decode()
LIMIT = 20 << 20

FORMS: dict[str, Callable[[Any], Any]] = {
    "text": str,
    "path": Path,
    "url": lambda path: f"file://{quote(str(path))}",
    "short url": lambda path: f"FILE:{quote(str(path))}",
    "localhost": lambda path: f"file://localhost{quote(str(path))}",
    "object": lambda path: SimpleNamespace(value=path),
}


def user(image: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "?", "images": [image]}]


def check_refused(server: ScriptedServer, image: Any, *words: str) -> None:
    """Every call that sends images refuses this one, and says where it is."""
    client, other = Client(server.url), AsyncClient(server.url)
    asked: list[tuple[str, str, dict[str, Any]]] = [("create", "messages[0].images[0]", {"messages": user(image)})]
    for stream in (False, True):
        asked.append(("chat", "messages[0].images[0]", {"messages": user(image), "stream": stream}))
        asked.append(("generate", "images[0]", {"images": [image], "stream": stream}))
    for method, place, fields in asked:
        called, awaited = getattr(client, method), getattr(other, method)
        for call in (called, lambda *a, awaited=awaited, **k: asyncio.run(awaited(*a, **k))):
            with pytest.raises(errors.ConfigurationError) as caught:
                call("m", **fields)
            assert caught.value.message.startswith(place)
            assert str(caught.value).count("hint: ") == 1
            assert [word for word in words if word not in str(caught.value)] == []
    assert server.requests == []


def directory(folder: Path) -> Path:
    return folder


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "x.png")
    return folder / "x.png"


def listening(folder: Path) -> Path:
    path = folder / "x.png"
    # The name of a socket must be short, wherever the folder is.
    here = os.getcwd()
    os.chdir(folder)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("x.png")
    os.chdir(here)
    return path


def device(folder: Path) -> Path:
    return Path("/dev/zero")


def link_to_a_device(folder: Path) -> Path:
    (folder / "x.png").symlink_to("/dev/zero")
    return folder / "x.png"


def kernel(folder: Path) -> Path:
    return Path("/proc/self/environ")


def link_to_the_kernel(folder: Path) -> Path:
    (folder / "x.png").symlink_to("/proc/cpuinfo")
    return folder / "x.png"


def written(data: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "x.png").write_bytes(data)
        return folder / "x.png"

    return write


def huge(folder: Path) -> Path:
    path = written(PNG)(folder)
    os.truncate(path, LIMIT + 1)
    return path


def dangling(folder: Path) -> Path:
    (folder / "x.png").symlink_to(folder / "gone.png")
    return folder / "x.png"


def circle(folder: Path) -> Path:
    (folder / "x.png").symlink_to(folder / "x.png")
    return folder / "x.png"


def forbidden(folder: Path) -> Path:
    path = written(PNG)(folder)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    return path


NO_IMAGES = {
    "a directory": directory,
    "a FIFO": fifo,
    "a socket": listening,
    "a device": device,
    "a device, not": link_to_a_device,
    "is empty": written(b""),
    "larger than 20 MiB": huge,
    "No such file": dangling,
    "Too many levels": circle,
    "Permission denied": forbidden,
    "no image": written(b"a secret of mine\n"),
    "is no image": written(b"RIFF\x00\x00\x00\x00AVI "),
}
if sys.platform == "linux":
    NO_IMAGES |= {"of the kernel's": kernel, "of the kernel's, not": link_to_the_kernel}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("words", NO_IMAGES)
def test_what_is_no_image_file(ollama_server: ScriptedServer, tmp_path: Path, words: str, form: str) -> None:
    path = NO_IMAGES[words](tmp_path)
    check_refused(ollama_server, FORMS[form](path), words, path.name)


def test_nothing_of_a_file_is_shown(ollama_server: ScriptedServer, tmp_path: Path) -> None:
    path = written(b"hunter2secret")(tmp_path)
    with pytest.raises(errors.ConfigurationError) as caught:
        Client(ollama_server.url).chat("m", user(path))
    assert "hunter2" not in f"{caught.value} {caught.value!r} {vars(caught.value)}"


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("/no/such/cat", "No such file"),
        ("/nosuchcat00", "No such file"),
        ("./nosuchfile", "No such file"),
        ("~/nosuchfile", "No such file"),
        (Path("no such file.png"), "no such file.png"),
        (Path("a\0b.png"), "null"),
        ("/a\0b.png", "null"),
        ("file:///a%00b.png", "null"),
        ("file:///no/such%20cat.png", "/no/such cat.png"),
        (Path("/" + "x" * 5000), "name too long"),
        ("/" + "x" * 300 + ".png", "name too long"),
        ("file:///" + "x" * 5000, "name too long"),
        ("file://elsewhere/cat.png", "another machine"),
        ("file://[::1/cat.png", "another machine"),
        ("file:", "No such file"),
        (Path("/\ud83d.png"), "cannot be read"),
        ("file:///\ud83d.png", "cannot be read"),
        ("https://somewhere/cat.png", "URL"),
    ],
    ids=ascii,
)
def test_paths_that_lead_nowhere(ollama_server: ScriptedServer, image: Any, words: str) -> None:
    check_refused(ollama_server, image, words)


def test_image_files_are_read(ollama_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my pictures"
    folder.mkdir()
    path = folder / "caf\u00e9 100%.png"
    path.write_bytes(PNG)
    (folder / "link.png").symlink_to(path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(folder)
    found: list[Any] = [path.name, "./link.png", "../my pictures/link.png", "~/my pictures/link.png", Path("link.png")]
    found += [form(path) for form in FORMS.values()] + [path.as_uri()]
    for image in found:
        ollama_server.answer("ok")
        Client(ollama_server.url).chat("m", user(image))
        assert ollama_server.last.json()["messages"] == [{"role": "user", "content": "?", "images": [BARE]}], image


def test_the_largest_file(ollama_server: ScriptedServer, tmp_path: Path) -> None:
    path = written(PNG)(tmp_path)
    os.truncate(path, LIMIT)
    assert len(images.image_text(path, "it")) == (LIMIT + 2) // 3 * 4


def test_a_file_that_becomes_another_after_the_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = written(PNG)(tmp_path)
    after = tmp_path / "after.png"
    os.mkfifo(after)
    look = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **how: look(before if path == str(after) else path, **how))
    with pytest.raises(errors.ConfigurationError, match="is a FIFO"):
        images.image_text(str(after), "it")


def test_bytes_and_base64_are_left_to_the_server(ollama_server: ScriptedServer) -> None:
    for image in (b"hello", base64.b64encode(b"hello").decode(), "data:text/plain,hello"):
        ollama_server.answer("ok")
        Client(ollama_server.url).generate("m", "?", images=[image])
        assert ollama_server.last.json()["images"] == [base64.b64encode(b"hello").decode()]


KNOWN = {
    "JPEG": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "PNG": PNG,
    "GIF": b"GIF89a\x01\x00",
    "BMP": b"BM" + bytes(12) + b"\x28\x00\x00\x00",
    "WebP": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    "WAV": b"RIFF\x24\x00\x00\x00WAVEfmt ",
    "MP3": b"ID3\x03\x00",
    "MP3 without tags": b"\xff\xfb\x90\x44",
    "MP3 of MPEG 2": b"\xff\xf3\x44\xc4",
}
UNKNOWN = {
    "nothing": b"",
    "the word PNG": b"PNG\r\n\x1a\n",
    "text": b"BMW and others\n" + bytes(20),
    "a shell": b"GIF8 and so on",
    "a video": b"RIFF\x24\x00\x00\x00AVI LIST",
    "UTF-16": b"\xff\xfea\x00b\x00",
    "ones": b"\xff" * 20,
    "AAC": b"\xff\xf1\x50\x80",
    "zeros": bytes(20),
    "SVG": b"<svg xmlns=''/>",
}


def test_beginnings_of_files() -> None:
    assert {name for name, data in KNOWN.items() if not images.is_known(data)} == set()
    assert {name for name, data in UNKNOWN.items() if images.is_known(data)} == set()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("method", ["chat", "generate", "create"])
def test_the_loop_goes_on_while_a_file_is_read(
    ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str, stream: bool
) -> None:
    begun: list[Callable[[], object]] = []
    read_on = threading.Event()

    def read(path: Any, named: str) -> bytes:
        begun[0]()
        # Only the loop ends this.
        assert read_on.wait(30)
        return PNG

    monkeypatch.setattr(images, "_read_image_file", read)
    path = written(PNG)(tmp_path)
    changing = bytearray(PNG)
    sent = [path, changing]

    async def main() -> None:
        client = AsyncClient(ollama_server.url)
        reading, loop = asyncio.Event(), asyncio.get_running_loop()
        begun.append(lambda: loop.call_soon_threadsafe(reading.set))
        with_images = {"images": sent} if method == "generate" else {"messages": [{**user("")[0], "images": sent}]}
        call = asyncio.ensure_future(getattr(client, method)("m", **with_images, stream=stream))
        await reading.wait()
        # What the caller does with its objects meanwhile is not sent.
        changing[:] = b"other"
        sent.clear()
        read_on.set()
        reply = await call
        if stream:
            async for _ in reply:
                pass

    if method == "create":
        ollama_server.on("POST", "/api/create", lambda request: success(stream))
    else:
        ollama_server.answer("ok")
    asyncio.run(main())
    payload = ollama_server.last.json()
    assert (payload if method == "generate" else payload["messages"][0])["images"] == [BARE, BARE]


def success(stream: bool) -> Reply:
    return Reply.ndjson([{"status": "success"}]) if stream else Reply.json({"status": "success"})


def test_the_files_of_messages_of_ollama_python(ollama_server: ScriptedServer, tmp_path: Path) -> None:
    ollama = pytest.importorskip("ollama")
    path = written(PNG)(tmp_path)
    ollama_server.answer("ok")
    message = ollama.Message(role="user", content="?", images=[ollama.Image(value=path)])
    Client(ollama_server.url).chat("m", [message])
    assert ollama_server.last.json()["messages"] == [{"role": "user", "content": "?", "images": [BARE]}]
    for image in (Path("/dev/zero"), "/dev/zero"):
        message = ollama.Message(role="user", content="?", images=[ollama.Image(value=image)])
        with pytest.raises(errors.ConfigurationError, match="a device"):
            Client(ollama_server.url).chat("m", [message])
