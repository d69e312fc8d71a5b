"""Images: every form in which MetaGPT hands one over arrives as bare base64, or is refused; none is lost in silence."""

from __future__ import annotations

import asyncio
import base64
import os
import threading
from pathlib import Path

import pytest
from metagpt.provider.base_llm import BaseLLM

import metagpt_ollama_rs.provider as ours
from metagpt_ollama_rs import images as files
from metagpt_ollama_rs.errors import ConfigurationError, ModelNotFoundError
from metagpt_ollama_rs.provider.images import METAGPT_PREFIX, _redirect_refusal, image_base64
from metagpt_ollama_rs.testing import Reply, faults

PNG_BYTES = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAAAAADRSSBWAAAAC0lEQVR42mNQuAAAARMA8S/PZdIAAAAASUVORK5CYII="
)
PNG = base64.b64encode(PNG_BYTES).decode()
# MetaGPT's main branch drops images of models that are not on its list; 0.8.2 sends them.
KEPT = not hasattr(BaseLLM, "support_image_input")
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(40))).decode()


def without(message, key):
    return {name: value for name, value in message.items() if name != key}


@pytest.fixture
def sees(server, answers):
    """Gives the scripted model capabilities; each test has a model name of its own, since answers are remembered."""

    def script(model, capabilities=("completion", "vision"), **fields):
        answers("A picture.")
        shown = {"model_info": {"general.architecture": "llama"}, **fields}
        if capabilities is not None:
            shown["capabilities"] = list(capabilities)
        server.on("POST", "/api/show", Reply.json(shown))
        return model

    return script


def test_row_8_one_image_in_both_providers(duel, sees):
    model = sees("sees-jpeg")
    outcome = duel(lambda llm: llm.aask("What is this?", images=JPEG), model=model)
    whole = {"role": "user", "content": "What is this?", "images": [JPEG]}
    assert outcome.original.sent["messages"] == ([whole] if KEPT else [without(whole, "images")])
    assert outcome.ours.sent["messages"][-1] == whole
    assert outcome.ours.value == "A picture."


def test_images_of_a_message_as_the_clients_take_them(ask, sees):
    images = [PNG_BYTES, f"DATA:IMAGE/PNG;BASE64,{PNG}", base64.encodebytes(PNG_BYTES).decode(), PNG.rstrip("=")]
    messages = [{"role": "user", "content": "What?", "images": images}]
    for kind, number in (("OllamaLLM", 1), ("OllamaGenerate", 2)):
        model = sees(f"sees-forms-{number}")
        sent = ask("ours", lambda llm: llm.acompletion_text(messages, True), model=model, kind=kind).sent
        assert (sent["messages"][0] if "messages" in sent else sent)["images"] == [PNG] * 4


@pytest.mark.parametrize("image", [PNG, PNG_BYTES, Path("picture.png"), {"value": PNG}])
def test_an_image_that_is_not_in_a_list(image, ask, sees):
    messages = [{"role": "user", "content": "What?", "images": image}]
    outcome = ask("ours", lambda llm: llm.acompletion_text(messages, True), model=sees("sees-one"))
    assert outcome.failure == "ConfigurationError"
    assert "messages[0].images is a" in str(outcome.error)
    assert outcome.requests == []


def test_row_8_a_png_data_uri_is_cut_wrongly_by_the_original(duel, sees):
    uri = f"data:image/png;base64,{PNG}"
    content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": uri}}]
    messages = [{"role": "user", "content": content}]
    outcome = duel(lambda llm: llm.acompletion_text(messages, True), model=sees("sees-png"))
    assert outcome.original.sent["messages"][0]["images"] == [uri[len(METAGPT_PREFIX) :]] != [PNG]
    assert outcome.ours.sent["messages"][0]["images"] == [PNG]


def test_row_8_a_url_is_fetched_and_not_cut(duel, sees, server):
    url = f"{server.url}/pictures/a-cat.png?size=2"
    server.on("GET", "/pictures/a-cat.png", Reply.body(PNG_BYTES, "image/png"))
    outcome = duel(lambda llm: llm.aask("What?", images=[JPEG, url, PNG]), model=sees("sees-url"))
    cut = [JPEG, url[len(METAGPT_PREFIX) :], PNG]
    assert outcome.original.sent["messages"][0].get("images") == (cut if KEPT else None)
    assert outcome.ours.sent["messages"][-1]["images"] == [JPEG, PNG, PNG]
    fetched = next(request for request in outcome.ours.requests if request.method == "GET")
    assert fetched.target == "/pictures/a-cat.png?size=2"
    assert fetched.header("Authorization") is None


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply.text("<html>", content_type="text/html"), "text/html"),
        (Reply.json({"a": 1}), "no image"),
        (Reply.body(b"a secret of this machine", "image/png"), "no image"),
        (Reply.body(b"<svg/>", "image/svg+xml"), "convert it"),
        (Reply.body(b"", "image/png"), "no image"),
        (Reply.text("not here", 404), "404"),
        (faults.redirect("file:///etc/hostname"), "neither http nor https"),
        (faults.redirect("/pictures/a-dog.png"), "circle"),
    ],
    ids=["a page", "JSON", "a text", "SVG", "nothing", "missing", "a file", "itself"],
)
def test_row_8_a_url_that_gives_no_image_is_an_error(ask, sees, server, reply, words):
    url = f"{server.url}/pictures/a-dog.png"
    server.on("GET", "/pictures/a-dog.png", reply)
    outcome = ask("ours", lambda llm: llm.aask("What?", images=url), model=sees("sees-bad-url"))
    assert isinstance(outcome.error, ConfigurationError)
    assert url in str(outcome.error)
    assert words in str(outcome.error)
    assert not [request for request in outcome.requests if request.path == "/api/chat"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("host", ["", "http://127.0.0.1", "http://localhost"])
def test_row_8_a_redirected_url_is_fetched(ask, sees, server, ollama_server, status, host):
    there = f"{host}:{ollama_server.port}" if host else ""
    server.on("GET", "/old.png", faults.redirect(f"{there}/new.png?size=2", status))
    (ollama_server if host else server).on("GET", "/new.png", Reply.body(PNG_BYTES, "image/png"))
    call = ask("ours", lambda llm: llm.aask("What?", images=f"{server.url}/old.png"), model=sees("sees-moved"))
    assert call.error is None
    assert call.sent["messages"][-1]["images"] == [PNG]


def test_row_8_redirects_end_and_keep_the_limit_of_size(ask, sees, server, ollama_server):
    moved = f"http://localhost:{server.port}", f"http://127.0.0.1:{server.port}"
    server.on("GET", "/round.png", [faults.redirect(f"{moved[i % 2]}/round.png") for i in range(20)])
    server.on("GET", "/huge.png", faults.redirect(f"http://localhost:{ollama_server.port}/huge.png"))
    ollama_server.on("GET", "/huge.png", Reply.body(PNG_BYTES + bytes(20 << 20), "image/png"))
    for name, says in (("round", "one time too many"), ("huge", "limit of")):
        url = f"{server.url}/{name}.png"
        outcome = ask("ours", lambda llm, url=url: llm.aask("What?", images=url), model=sees("sees-bad-place"))
        assert isinstance(outcome.error, ConfigurationError)
        assert says in str(outcome.error)
        assert url in str(outcome.error)
    assert len([request for request in server.requests if request.path == "/round.png"]) == 6


@pytest.mark.parametrize(
    ("at", "to", "why"),
    [
        ("https://a.example/x", "http://a.example/x", "gives up TLS"),
        ("https://a.example/x", "https://b.example/y", ""),
        ("http://a.example/x", "https://a.example/x", ""),
        ("http://a.example/x", "ftp://a.example/x", "neither http nor https"),
        ("http://a.example/x", "file:///etc/passwd", "neither http nor https"),
        ("http://a.example/x", "http://127.0.0.1:11434/api/tags", "this machine"),
        ("http://a.example/x", "http://[::1]/", "this machine"),
        ("http://a.example/x", "http://[::ffff:127.0.0.1]/", "this machine"),
        ("http://a.example/x", "http://localhost./", "this machine"),
        ("http://a.example/x", "http://0.0.0.0/", "this machine"),
        ("http://a.example/x", "http://169.254.169.254/latest/meta-data", "this machine"),
        ("http://127.0.0.1:1/x", "http://localhost:2/x", ""),
    ],
)
def test_where_an_image_may_be_redirected_to(at, to, why):
    said = _redirect_refusal(at, to)
    assert why in said
    assert bool(why) is bool(said)


def test_the_certificates_of_the_configuration_are_for_images_too(ask, sees, tls_front, ollama_server, certificates):
    ollama_server.on("GET", "/x.png", Reply.body(PNG_BYTES, "image/png"))
    url = f"{tls_front().url}/x.png"
    for verify in (str(certificates / "authority.pem"), "false"):
        call = ask(
            "ours",
            lambda llm: llm.aask("What?", images=url),
            model=sees("sees-tls"),
            extra_fields={"verify": verify},
        )
        assert call.error is None
        assert call.sent["messages"][-1]["images"] == [PNG]


def test_row_8_a_model_that_cannot_see_is_an_error(duel, sees):
    model = sees("blind", capabilities=("completion",))
    outcome = duel(lambda llm: llm.aask("What is this?", images=PNG), model=model)
    assert outcome.original.value == "A picture.", "Ollama drops the image and answers all the same"
    assert isinstance(outcome.ours.error, ConfigurationError)
    assert "vision" in str(outcome.ours.error)
    assert [r.path for r in outcome.ours.requests] == ["/api/show"]


def test_row_8_the_capability_is_asked_for_once(ask, sees):
    async def three_times(llm):
        for _ in range(3):
            await llm.aask("What is this?", images=[PNG, JPEG])

    outcome = ask("ours", three_times, model=sees("sees-once"))
    assert [r.path for r in outcome.requests] == ["/api/show", *["/api/chat"] * 3]
    assert outcome.sent["messages"][-1]["images"] == [PNG, JPEG]


def test_nobody_asks_for_capabilities_without_an_image(ask, sees):
    outcome = ask("ours", lambda llm: llm.aask("hi"), model=sees("sees-nothing"))
    assert [r.path for r in outcome.requests] == ["/api/chat"]
    assert outcome.llm.support_image_input() is True


@pytest.mark.parametrize(
    ("model", "fields", "works"),
    [
        ("old-with-projector", {"projector_info": {"general.architecture": "clip"}}, True),
        ("old-with-clip", {"details": {"families": ["llama", "clip"]}}, True),
        ("old-and-blind", {"details": {"families": ["llama"]}}, False),
    ],
)
def test_an_old_server_without_capabilities(model, fields, works, ask, sees):
    outcome = ask("ours", lambda llm: llm.aask("What?", images=PNG), model=sees(model, None, **fields))
    assert (outcome.error is None) is works


def test_a_server_without_show_gets_the_benefit_of_the_doubt(ask, sees, server):
    model = sees("unknowable")
    server.on("POST", "/api/show", Reply.text("404 page not found", 404))
    assert ask("ours", lambda llm: llm.aask("What?", images=PNG), model=model).value == "A picture."


def test_a_missing_model_is_named(ask, sees, server):
    model = sees("missing")
    server.on("POST", "/api/show", Reply.error("model 'missing:latest' not found", 404))
    outcome = ask("ours", lambda llm: llm.aask("What?", images=PNG), model=model)
    assert isinstance(outcome.error, ModelNotFoundError)


def test_generate_sends_images_beside_the_prompt(ask, sees):
    outcome = ask("ours", lambda llm: llm.aask("What?", images=PNG), model=sees("sees-too"), kind="OllamaGenerate")
    assert outcome.sent["prompt"] == "What?"
    assert outcome.sent["images"] == [PNG]


@pytest.mark.parametrize("prefix", ["", METAGPT_PREFIX, METAGPT_PREFIX * 2])
def test_every_form_becomes_bare_base64(prefix, tmp_path, monkeypatch):
    file = tmp_path / "picture.png"
    file.write_bytes(PNG_BYTES)
    monkeypatch.chdir(tmp_path)
    unsafe = base64.urlsafe_b64encode(b"\xff\xd8\xff\xfb\xff\xfe" + bytes(8)).decode().rstrip("=")
    forms = {
        PNG: PNG,
        JPEG: JPEG,
        f"  {PNG[:20]}\n{PNG[20:]} ": PNG,
        unsafe: base64.b64encode(b"\xff\xd8\xff\xfb\xff\xfe" + bytes(8)).decode(),
        f"data:image/png;base64,{PNG}": PNG,
        f"data:image/webp;charset=x;base64,{PNG}": PNG,
        f"DATA:image/png;BASE64,{PNG}": PNG,
        "data:image/svg+xml,%3Csvg%2F%3E": base64.b64encode(b"<svg/>").decode(),
        str(file): PNG,
        file.as_uri(): PNG,
        "picture.png": PNG,
    }
    for form, expected in forms.items():
        assert image_base64(prefix + form) == expected, form


@pytest.mark.parametrize(
    "form", ["no-such-file.png", "", "data:image/png;base64", "data:image/png;base64,", "not base64!"]
)
def test_what_is_no_image_is_refused(form):
    with pytest.raises(ConfigurationError, match="image"):
        image_base64(METAGPT_PREFIX + form)


def test_a_part_of_an_unknown_type_is_refused(duel, answers):
    answers()
    messages = [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]
    outcome = duel(lambda llm: llm.acompletion_text(messages, stream=True))
    assert isinstance(outcome.original.error, ValueError)
    assert isinstance(outcome.ours.error, ConfigurationError)
    assert "input_audio" in str(outcome.ours.error)


def no_image_files(folder):
    os.mkfifo(folder / "fifo.png")
    (folder / "folder.png").mkdir()
    (folder / "link.png").symlink_to("/dev/zero")
    (folder / "text.png").write_bytes(b"a secret of this machine")
    (folder / "empty.png").touch()
    (folder / "huge.png").write_bytes(PNG_BYTES)
    os.truncate(folder / "huge.png", (20 << 20) + 1)
    named = {"fifo": "a FIFO", "folder": "a directory", "link": "a device", "text": "no image", "empty": "is empty"}
    named |= {"huge": "larger than 20 MiB", "gone": "No such file"}
    return [*((folder / f"{name}.png", words) for name, words in named.items()), (Path("/dev/zero"), "a device")]


@pytest.mark.parametrize("kind", ["OllamaLLM", "OllamaGenerate", "OllamaEmbed"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_file_that_is_no_image_is_not_read(ask, sees, tmp_path, kind, stream):
    model = sees("sees-files")
    for path, words in no_image_files(tmp_path):
        for content in (
            [{"type": "image_url", "image_url": {"url": METAGPT_PREFIX + path.as_uri()}}],
            [{"type": "image_url", "image_url": path.as_uri()}],
        ):
            messages = [{"role": "user", "content": content}]
            outcome = ask("ours", lambda llm, m=messages: llm.acompletion_text(m, stream), model=model, kind=kind)
            assert isinstance(outcome.error, ConfigurationError)
            if kind == "OllamaEmbed":
                assert "an image cannot be embedded" in str(outcome.error)
            else:
                assert words in str(outcome.error)
                assert path.name in str(outcome.error)
            assert outcome.requests == []


def test_the_place_of_a_file_that_is_no_image(ask, sees):
    messages = [{"role": "user", "content": "?", "images": [PNG, "/dev/zero"]}]
    outcome = ask("ours", lambda llm: llm.acompletion_text(messages, True), model=sees("sees-place"))
    assert "messages[0].images[1]: the file '/dev/zero' is a device" in str(outcome.error)


@pytest.mark.parametrize("kind", ["OllamaLLM", "OllamaGenerate"])
@pytest.mark.parametrize("stream", [True, False])
def test_the_loop_goes_on_while_a_file_is_read(ask, sees, server, tmp_path, monkeypatch, kind, stream):
    begun, read_on = [], threading.Event()

    def read(path, named):
        begun[0]()
        # Only the loop ends this.
        assert read_on.wait(30)
        return PNG_BYTES

    async def call(llm):
        reading, loop = asyncio.Event(), asyncio.get_running_loop()
        begun.append(lambda: loop.call_soon_threadsafe(reading.set))
        asked = asyncio.ensure_future(llm.acompletion_text(messages, stream))
        await reading.wait()
        # What was asked for stays as it was at the call.
        llm.model = "another"
        messages.clear()
        read_on.set()
        return await asked

    monkeypatch.setattr(files, "_read_image_file", read)
    (tmp_path / "x.png").write_bytes(PNG_BYTES)
    model = sees("sees-late")
    messages = [{"role": "user", "content": "What?", "images": [str(tmp_path / "x.png")]}]
    outcome = ask("ours", call, model=model, kind=kind)
    assert outcome.value == "A picture."
    assert outcome.sent["model"] == model
    assert (outcome.sent["messages"][0] if "messages" in outcome.sent else outcome.sent)["images"] == [PNG]


@pytest.mark.parametrize("replaced", ["apply", "_parse_input_msg"])
def test_code_of_the_users_sees_images_as_base64(ask, sees, tmp_path, monkeypatch, replaced):
    stock = getattr(ours.OllamaMessageChat, replaced)
    seen = []

    def wrapped(self, *args, **kwargs):
        seen.append(stock(self, *args, **kwargs))
        return seen[-1]

    monkeypatch.setattr(ours.OllamaMessageChat, replaced, wrapped)
    (tmp_path / "x.png").write_bytes(PNG_BYTES)
    outcome = ask("ours", lambda llm: llm.aask("What?", images=[str(tmp_path / "x.png")]), model=sees("sees-patched"))
    assert PNG in str(seen)
    assert outcome.sent["messages"][-1]["images"] == [PNG]
