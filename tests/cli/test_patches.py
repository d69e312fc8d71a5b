"""The list of what is changed in MetaGPT itself, and of what is switched off, by whom. No MetaGPT is needed for it."""

from __future__ import annotations

import json

import pytest

from metagpt_ollama_rs.patch_names import ENVIRONMENT_ONLY, PATCH_NAMES

OLLAMA = "llm:\n  api_type: ollama\n  model: m\n"


@pytest.fixture
def listed(run, tmp_path):
    """Runs the command where MetaGPT is the folder of that name in `tmp_path`, and `text` its configuration."""
    (tmp_path / "metagpt").mkdir()
    (tmp_path / "metagpt" / "__init__.py").write_text("raise ImportError('not to be imported')\n")
    (tmp_path / "config").mkdir()

    def command(text, *arguments, unpatched=""):
        if text is not None:
            (tmp_path / "config" / "config2.yaml").write_text(text)
        folder = str(tmp_path)
        changes = {"PYTHONPATH": folder, "HOME": folder, "METAGPT_PROJECT_ROOT": folder}
        return run("patches", *arguments, METAGPT_OLLAMA_UNPATCHED=unpatched, **changes)

    return command


def states(out):
    return {line.split()[0]: line.split()[1] for line in out.splitlines()}


def test_each_patch_has_a_line_with_what_it_does(listed):
    code, out, err = listed(OLLAMA)
    assert (code, err) == (0, "")
    assert states(out) == dict.fromkeys(PATCH_NAMES, "on")
    for line, (name, does) in zip(out.splitlines(), sorted(PATCH_NAMES.items())):
        assert line.startswith(name)
        assert line.endswith(f"  on   {does}")


def test_what_is_off_says_by_what(listed, tmp_path):
    text = f'{OLLAMA}  extra_fields:\n    unpatched: "Costs, recovery"\n'
    code, out, err = listed(text, unpatched="token_counts costs")
    assert (code, err) == (0, "")
    off = {name for name, state in states(out).items() if state == "off"}
    assert off == {"costs", "recovery", "token_counts"}
    there = f"llm.extra_fields.unpatched in {tmp_path / 'config' / 'config2.yaml'}"
    costs, recovery, counts = (line for line in out.splitlines() if line.split()[0] in off)
    assert costs.endswith(f" (off by METAGPT_OLLAMA_UNPATCHED and {there})")
    assert recovery.endswith(f" (off by {there})")
    assert counts.endswith(" (off by METAGPT_OLLAMA_UNPATCHED)")

    rows = json.loads(listed(text, "--json", unpatched="token_counts")[1])["patches"]
    assert {row["name"]: row["off_by"] for row in rows if row["off_by"]} == {
        "costs": [there],
        "recovery": [there],
        "token_counts": ["METAGPT_OLLAMA_UNPATCHED"],
    }


def test_what_the_environment_alone_switches_off(listed):
    (name,) = ENVIRONMENT_ONLY
    every = f"{OLLAMA}  extra_fields: {{unpatched: all}}\n"
    code, out, _ = listed(every)
    assert code == 0
    assert states(out) == {**dict.fromkeys(PATCH_NAMES, "off"), name: "on"}
    assert states(listed(every, unpatched="all")[1]) == dict.fromkeys(PATCH_NAMES, "off")
    code, _, err = listed(f"{OLLAMA}  extra_fields: {{unpatched: {name}}}\n")
    assert code == 1
    assert err.endswith(f" names {name}, which only METAGPT_OLLAMA_UNPATCHED switches off\n")


def test_misspelt_names_are_wrong_wherever_they_stand(listed, tmp_path):
    file = tmp_path / "config" / "config2.yaml"
    code, out, err = listed(f"{OLLAMA}  extra_fields: {{unpatched: node_answer}}\n", unpatched="costs tokencount")
    assert code == 1
    assert states(out) == {**dict.fromkeys(PATCH_NAMES, "on"), "costs": "off"}
    assert err.splitlines() == [
        "wrong: METAGPT_OLLAMA_UNPATCHED must be names of patches, or all, but no patch is called 'tokencount' "
        "(did you mean token_counts?)",
        f"wrong: {file}: llm.extra_fields.unpatched must be names of patches, or all, but no patch is called "
        "'node_answer' (did you mean node_answers?)",
    ]
    code, out, err = listed(f"{OLLAMA}  extra_fields: {{unpached: costs, num_ctx: '8'}}\n")
    assert (code, states(out)["costs"]) == (1, "on")
    assert err == f"wrong: {file}: llm.extra_fields.unpached is not a setting; did you mean unpatched?\n"
    assert json.loads(listed(None, "--json")[1])["wrong"] == [err[len("wrong: ") : -1]]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "MetaGPT has no llm: section here"),
        ("embedding: {}\n", "MetaGPT has no llm: section here"),
        ("llm:\n  api_type: openai\n  extra_fields: {unpatched: all}\n", "is not Ollama's"),
    ],
)
def test_without_an_llm_of_ollama_the_environment_counts(listed, text, why):
    code, out, err = listed(text, unpatched="costs")
    assert code == 0
    assert {name for name, state in states(out).items() if state == "off"} == {"costs"}
    assert err.startswith("only the environment was looked at: ")
    assert why in err


def test_a_configuration_that_cannot_be_read_is_wrong(listed):
    code, out, err = listed("llm: [\n")
    assert (code, len(out.splitlines())) == (1, len(PATCH_NAMES))
    assert err.startswith("wrong: MetaGPT cannot read its configuration: ")


def test_an_interpreter_that_is_named_has_to_have_metagpt(run, tmp_path):
    code, out, err = run("patches", "--python", tmp_path / "python")
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
