"""The same calls with ollama-python and with `ollama_compat` come out alike: the same requests, results and exceptions.

What is different on purpose is in the table ``DIFFERENT``, and docs/compatibility.md tells it.
"""

from __future__ import annotations

from pathlib import Path

import ollama
import pytest

from metagpt_ollama_rs import Retry, ollama_compat
from metagpt_ollama_rs.testing import ScriptedServer

from .cases import CASES
from .outcomes import outcome_of

DOCS = Path(__file__).parents[2] / "docs"

# One of the two raises, and the other does not.
RAISES = {"value", "classes", "items", "text"}


def each(names, aspects):
    return {name: set(aspects) for name in names}


# By the words that docs/compatibility.md has for it: the cases, and what of their outcomes is different.
DIFFERENT = {
    "a parameter with a default is not required": {"chat with a function": {"requests"}},
    "Fields that ollama-python does not know": each(("chat with a new field", "list", "ps"), {"value"}),
    "A reply that breaks off": each(
        ("a stream that ends at once", "a stream that is cut", "a pull that does not end"), RAISES
    ),
    "a pull is asked for again": {"a pull that is cut": RAISES | {"requests"}},
    "A reply that answers nothing": {
        "a generation of nothing": RAISES,
        **each(
            (
                "an empty reply",
                "a chat without a message",
                "an embedding without vectors",
                "a content that is a number",
                "a web page",
                "a list without models",
                "a list that is an object",
                "a list of texts",
            ),
            {"classes", "text"},
        ),
    },
    "An empty list": {"a list that is null": RAISES},
    "The fields of a reply": {"a count that is a text": {"value"}},
    "have succeeded with any status": {"a copy that is created": {"value"}},
    "An error in a reply of status 200": {"an error with status 200": {"classes", "error", "status_code", "text"}},
    "The text of an error of a stream": each(
        ("a stream of an error", "a pull that is refused in its stream", "a stream of no JSON", "no JSON"), {"text"}
    ),
    "asks `/api/tags`": {
        "a stream that is refused": {"requests", "text"},
        "a missing model": {"requests"},
    },
    "is sent again": {"429": {"requests"}, "503": {"requests"}, "502 in HTML": {"requests", "error", "text"}},
    "The words of an error": {"an error in an object": {"error", "text"}},
    "Lines that are not separated as JSON lines are": each(
        ("a stream with a blank line", "a stream with a line separator"), RAISES
    ),
    "Arguments of a tool call": {"arguments that are text": RAISES},
    "Ollama takes": each(("stop as one text", "keep_alive as a number in a text"), {"requests"}),
    "A misspelt option": {"a misspelt option": RAISES | {"error", "requests"}},
    "is left to the server": {"a format that is no format": {"error", "requests", "status_code", "text"}},
    "The texts of errors about arguments": {
        "an unknown argument": {"text"},
        **each(
            (
                "a question of an unknown type",
                "chat without a model",
                "chat of a text",
                "a message without a role",
                "a message with a wrong content",
                "a message with content of parts",
                "an image file that is not there",
            ),
            {"error", "text"},
        ),
    },
}
EXPECTED = {name: aspects for cases in DIFFERENT.values() for name, aspects in cases.items()}


@pytest.fixture(scope="module")
def server():
    with ScriptedServer() as running:
        yield running


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
@pytest.mark.parametrize("name", CASES)
def test_a_call_comes_out_alike(server, kind, name, monkeypatch):
    monkeypatch.delenv("OLLAMA_API_KEY", raising=False)
    # Without certificates to load, a client of httpx is made at once.
    theirs = outcome_of(ollama, kind, server, CASES[name], verify=False)
    ours = outcome_of(ollama_compat, kind, server, CASES[name], retries=Retry(first=0.001))
    assert ours.different_from(theirs) == EXPECTED.get(name, set()), (theirs, ours)


def test_every_difference_is_told():
    text = (DOCS / "compatibility.md").read_text(encoding="utf-8")
    section = text.partition("## Differences from ollama-python")[2].partition("\n## ")[0]
    assert [words for words in DIFFERENT if words not in " ".join(section.split())] == []
    assert set(EXPECTED) <= set(CASES)
