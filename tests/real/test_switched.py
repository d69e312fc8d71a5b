"""MetaGPT itself on this provider, switched over by `install`: its roles and teams, and its command line."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path

import pytest

from metagpt_ollama_rs.switch.edits import DROP_IN
from metagpt_ollama_rs.switch.releases import FILES, PROVIDER, release_of
from metagpt_ollama_rs.testing import Reply

ROOT = Path(__file__).parents[2]

PRD = {
    "Language": "en_us",
    "Programming Language": "Python",
    "Original Requirements": "Write a word counter.",
    "Project Name": "word_counter",
    "Product Goals": ["Counts words", "Is quick"],
    "User Stories": ["As a writer, I want to know how many words a text has"],
    "Competitive Analysis": ["wc: counts words, has no window"],
    "Competitive Quadrant Chart": "",
    "Requirement Analysis": "Words are what stands between white space — also ‘quoted’, also 中文.",
    "Requirement Pool": [["P0", "Count the words of a file"]],
    "UI Design draft": "A command line.",
    "Anything UNCLEAR": "",
}
DESIGN = {
    "Implementation approach": "We will use the standard library.",
    "File list": ["main.py", "counter.py"],
    "Data structures and interfaces": None,
    "Program call flow": None,
    "Anything UNCLEAR": "",
}
TASKS = {
    "Required packages": ["rich==13.6.0"],
    "Required Other language third-party packages": ["No third-party dependencies required"],
    "Logic Analysis": [["counter.py", "Counts"], ["main.py", "Reads the file, from counter import count"]],
    "Task list": ["counter.py", "main.py"],
    "Full API spec": "",
    "Shared Knowledge": "",
    "Anything UNCLEAR": "",
}


def digest(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_only_the_private_metagpt_is_switched_over(environment):
    shared = Path(importlib.util.find_spec("metagpt").submodule_search_locations[0])
    for relative in FILES:
        assert release_of(relative, (shared / relative).read_text(encoding="utf-8")) == "0.8.2"
        assert digest(environment.package / relative) != digest(shared / relative)
    assert (environment.package / PROVIDER).read_text() == DROP_IN


@pytest.mark.timeout(600)
def test_roles_and_teams_with_a_scripted_server_and_with_a_real_model(environment):
    here = Path(__file__).parent
    environment.configure("llm:\n  api_type: ollama\n  base_url: http://127.0.0.1:1\n  api_key: ''\n  model: nobody\n")
    files = here / "scenarios.py", here / "models.py"
    done = environment.run("python", "-m", "pytest", "-p", "no:cacheprovider", "--tb=short", *files, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-2000:]


@pytest.mark.timeout(300)
def test_the_command_line_until_three_roles_have_written(environment, ollama_server):
    """`metagpt "…"`: product manager, architect and project manager each leave their document in the workspace."""
    asked = []

    def chat(request):
        body = request.json()
        prompt = body["messages"][-1]["content"]
        answer = next(
            answer
            for key, answer in (("Logic Analysis", TASKS), ("File list", DESIGN), ("User Stories", PRD))
            if f"- {key}: " in prompt
        )
        asked.append((answer, prompt, body["messages"][0]))
        text = f"[CONTENT]\n{json.dumps(answer, ensure_ascii=False)}\n[/CONTENT]"
        return Reply.chat([text[at : at + 7] for at in range(0, len(text), 7)], stream=body["stream"])

    ollama_server.on("POST", "/api/chat", chat)
    environment.configure(
        f"llm:\n  api_type: ollama\n  base_url: {ollama_server.url}\n  api_key: ''\n  model: scripted\n"
    )
    done = environment.run("metagpt", "Write a word counter.", "--no-implement", "--no-code-review", seconds=250)
    assert done.returncode == 0, done.stderr
    assert [answer for answer, _, _ in asked] == [PRD, DESIGN, TASKS], done.stderr
    for (_, _, system), role in zip(asked, ("Product Manager", "Architect", "Project Manager")):
        assert system["role"] == "system"
        assert f"You are a {role}" in system["content"]
    # What one role wrote is what the next one read.
    assert PRD["Requirement Analysis"] in asked[1][1]
    assert DESIGN["Implementation approach"] in asked[2][1]
    docs = environment.home / "workspace" / "word_counter" / "docs"
    assert (docs / "requirement.txt").read_text() == "Write a word counter."
    for folder, expected in (("prd", PRD), ("system_design", DESIGN), ("task", TASKS)):
        (file,) = (docs / folder).glob("*.json")
        assert json.loads(file.read_text(encoding="utf-8")) == expected
    # Tokens are printed as they come.
    assert '"Project Name": "word_counter"' in done.stdout
