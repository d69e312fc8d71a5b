"""What `import metagpt_ollama_rs` brings with it: next to nothing. Time is measured by the benches, not here."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import textwrap

import pytest

# Beyond these, importing the package may load modules of its own only.
ALLOWED = {"__future__", "atexit"}
OWN = {"metagpt_ollama_rs", "metagpt_ollama_rs._core", "metagpt_ollama_rs.errors"}


def modules_after(statement: str) -> set[str]:
    program = f"import sys\n{statement}\nnames = sorted(sys.modules)\nimport json\nprint(json.dumps(names))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stderr == ""
    return set(json.loads(done.stdout))


def test_the_package_imports_itself_and_nothing_else():
    added = modules_after("import metagpt_ollama_rs") - modules_after("pass") - ALLOWED
    assert added == OWN


def test_decoding_needs_no_event_loop():
    after = modules_after(
        "from metagpt_ollama_rs import StreamDecoder, decode, get_choice\n"
        'assert get_choice(decode(b\'{"message":{"role":"assistant","content":"Hi"}}\')) == \'Hi\'\n'
        'assert StreamDecoder().feed(b\'{"message":{"content":"a"}}\\n\')'
    )
    assert "asyncio" not in after
    assert "logging" not in after


@pytest.mark.parametrize("optional", ["metagpt", "xllamacpp", "numpy", "pydantic", "yaml", "llama_index"])
def test_clients_need_no_other_package(optional):
    after = modules_after("import metagpt_ollama_rs.client, metagpt_ollama_rs.responses, metagpt_ollama_rs.testing")
    assert optional not in after


def test_the_embedding_class_says_what_it_needs():
    with pytest.raises(ImportError, match=r"needs LlamaIndex(.|\n)*hint: pip install llama-index-core"):
        importlib.import_module("metagpt_ollama_rs.rag")


def test_a_debug_build_says_so():
    script = """
        import importlib, sys, warnings
        from metagpt_ollama_rs import _core
        import metagpt_ollama_rs
        assert _core.DEBUG_BUILD is False
        _core.DEBUG_BUILD = True
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            importlib.reload(metagpt_ollama_rs)
        print([(str(warning.category.__name__), "without optimisation" in str(warning.message)) for warning in caught])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "[('RuntimeWarning', True)]\n"
