"""What becomes of the two files, as text, and the edited LLMConfig executed."""

from __future__ import annotations

import ast
import difflib
import json
import sys
from pathlib import Path

import pytest

from metagpt_ollama_rs.switch import edits
from metagpt_ollama_rs.switch.edits import DROP_IN, EditError
from metagpt_ollama_rs.switch.environment import AS_OLLAMA_VARIABLE, RUN_VARIABLE, TRACEBACK_VARIABLE
from metagpt_ollama_rs.switch.releases import CONFIG, FILES, PROVIDER, RELEASES, module_of, originals, release_of

# Executes a text of llm_config.py in the place of the installed one.
TRY_KEYS = """
import json, sys, types
from pathlib import Path

module = types.ModuleType("edited_llm_config")
sys.modules[module.__name__] = module
exec(compile(Path(sys.argv[1]).read_text(), sys.argv[1], "exec"), vars(module))
LLMConfig, LLMType = module.LLMConfig, module.LLMType

def outcome(**fields):
    try:
        made = LLMConfig(model="m", **fields)
    except ValueError as error:
        return "refused" if "api_key" in str(error) else f"refused: {error}"
    return [made.api_key, "api_key" in made.model_fields_set]

kinds = ["ollama", "ollama.generate", "ollama.embeddings", "ollama.embed"]
print(json.dumps({
    "ollama": [outcome(api_type=kind, api_key=key) for kind in kinds for key in ("", None, "YOUR_API_KEY")],
    "as enum": outcome(api_type=LLMType.OLLAMA, api_key=""),
    "absent": outcome(api_type="ollama"),
    "set": outcome(api_type="ollama", api_key="secret"),
    "others": [outcome(api_type=kind, api_key="") for kind in ("openai", "anthropic", "azure")],
    "no type": outcome(api_key=""),
    "wrong type": outcome(api_type="olama", api_key="x"),
    "given back": LLMConfig.model_validate(LLMConfig(api_type="ollama", api_key="")).api_key,
    "dumped": LLMConfig(**LLMConfig(api_type="ollama", api_key="").model_dump(exclude_unset=True)).api_key,
}))
"""


@pytest.mark.timeout(330)
@pytest.mark.parametrize("release", originals(CONFIG))
def test_an_empty_key_passes_for_ollama_and_for_nobody_else(release, copy, tmp_path):
    copy.configure("llm:\n  api_type: ollama\n  api_key: x\n  model: m\n")
    file = tmp_path / "llm_config.py"
    file.write_text(edits.edited(CONFIG, originals(CONFIG)[release]), encoding="utf-8")
    done = copy.run(sys.executable, "-c", TRY_KEYS, file)
    assert done.code == 0, done.err
    tried = json.loads(done.out.splitlines()[-1])
    # As if the key had not been written: the field's default, which is never sent, and not among the fields set.
    nothing = ["sk-", False]
    assert tried["ollama"] == [nothing] * 12
    assert tried["as enum"] == tried["absent"] == nothing
    assert tried["set"] == ["secret", True]
    assert tried["others"] == ["refused"] * 3
    assert tried["no type"] == "refused"
    assert tried["wrong type"].startswith("refused: 1 validation error")
    assert tried["given back"] == tried["dumped"] == "sk-"


@pytest.mark.parametrize("release", originals(CONFIG))
def test_editing_twice_is_editing_once(release):
    once = edits.accept_empty_key(originals(CONFIG)[release])
    assert edits.accept_empty_key(once) == once


@pytest.mark.parametrize("release", originals(CONFIG))
def test_llm_config_keeps_all_lines_but_the_import(release):
    original = originals(CONFIG)[release]
    lines = list(difflib.ndiff(original.splitlines(), edits.edited(CONFIG, original).splitlines()))
    assert [line for line in lines if line.startswith("- ")] == ["- from pydantic import field_validator"]
    assert "+ from pydantic import field_validator, model_validator" in lines


@pytest.mark.parametrize("line_end", ["", "# more\n"])
def test_an_edit_can_be_undone_as_text(line_end):
    original = originals(CONFIG)["0.8.2"] + line_end
    assert edits.unedited(CONFIG, edits.edited(CONFIG, original)) == original


@pytest.mark.parametrize("name", ["ollama_needs_no_key", "field_validator, model_validator"])
def test_what_was_not_edited_like_this_has_no_original(name):
    original = originals(CONFIG)["0.8.2"]
    assert edits.unedited(CONFIG, original) is None
    assert edits.unedited(CONFIG, edits.edited(CONFIG, original).replace(name, "other", 1)) is None
    assert edits.unedited(PROVIDER, DROP_IN) is None


def test_releases_are_told_by_their_sums():
    for relative in FILES:
        for name, text in originals(relative).items():
            assert release_of(relative, text) == name
            assert release_of(relative, text + "\n") is None
        assert all(len(release.sums[relative]) == 64 for release in RELEASES.values())


def test_a_check_that_is_elsewhere_is_not_edited():
    text = originals(CONFIG)["0.8.2"].replace("check_llm_key", "check_key")
    with pytest.raises(EditError, match="api_key is not where it is expected"):
        edits.accept_empty_key(text)


def test_the_files_say_who_wrote_them_and_how_to_undo_it():
    for relative in (PROVIDER, CONFIG):
        name = relative.split("/")[1]
        for original in originals(relative).values():
            text = edits.edited(relative, original)
            assert "Written by `metagpt-ollama install`" in text
            assert "metagpt-ollama uninstall" in text
            assert f"{name}.metagpt-ollama.bak" in text


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        pytest.param(DROP_IN, True, id="as written by install"),
        ("from metagpt_ollama_rs.provider import *\n", True),
        ('"""Ollama."""\nfrom __future__ import annotations\nfrom metagpt_ollama_rs.provider import *', True),
        ("from metagpt_ollama_rs.provider import OllamaLLM\n", False),
        ("from metagpt_ollama_rs.provider import *\nOllamaLLM.timeout = 3\n", False),
        ("import metagpt_ollama_rs.provider\n", False),
        ("", False),
        ("def (:", False),
        ("\0", False),
    ],
)
def test_a_drop_in_is_told_by_what_it_does(text, ours):
    assert edits.is_drop_in(text) is ours


def test_a_run_takes_unknown_releases_as_far_as_the_edit_fits():
    provider = originals(PROVIDER)["0.8.2"]
    assert edits.edited_for_run(PROVIDER, provider) == (DROP_IN, "")
    assert edits.edited_for_run(PROVIDER, DROP_IN) == (DROP_IN, "")
    text, warning = edits.edited_for_run(PROVIDER, provider + "# mine\n")
    assert text == DROP_IN
    assert "is not in force" in warning
    config = originals(CONFIG)["0.8.2"] + "# mine\n"
    assert edits.edited_for_run(CONFIG, config) == (edits.accept_empty_key(config), "")
    strange = config.replace("check_llm_key", "check_key")
    text, warning = edits.edited_for_run(CONFIG, strange)
    assert text == strange
    assert "set llm.api_key" in warning


def test_the_child_which_imports_nothing_spells_the_names_of_the_package():
    text = (Path(edits.__file__).parent / "child" / "sitecustomize.py").read_text(encoding="utf-8")
    strings = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
    assert {AS_OLLAMA_VARIABLE, RUN_VARIABLE, TRACEBACK_VARIABLE, *FILES, *map(module_of, FILES)} <= strings
