"""The places of MetaGPT's main branch that parse JSON, on modules of the same shape: 0.8.2 has none of them.

The patches get these modules as they would get MetaGPT's.
"""

from __future__ import annotations

import json
from types import ModuleType, SimpleNamespace

import pytest

from metagpt_ollama_rs.errors import IncompleteError
from metagpt_ollama_rs.provider.patches import commands, reports, searches
from metagpt_ollama_rs.testing import Reply

OFF = {"structured": "false"}

# Like MetaGPT's `exp_cache`, which does not say what it wraps.
DECORATOR = """
def exp_cache(function):
    async def wrapped(args, kwargs):
        return await function(*args, **kwargs)

    def choose():
        async def async_wrapper(*args, **kwargs):
            return await wrapped(args, kwargs)
        return async_wrapper

    return choose()
"""

ROLE_ZERO = """
class RoleZero:
    special_tool_commands = ["Plan.finish_current_task", "end", "Terminal.run_command", "RoleZero.ask_human"]

    def __init__(self, llm, tools, functions):
        self.llm, self.tool_recommender, self.tool_execution_map = llm, tools, functions

    async def turn(self):
        offered = json.dumps({tool.name: tool.schemas for tool in self.tool_recommender.offered})
        return await self.llm_cached_aask(req=[{"role": "user", "content": "go"}], system_msgs=[offered], state_data={})

    @exp_cache
    async def llm_cached_aask(self, *, req, system_msgs, **kwargs):
        return await self.llm.aask(req, system_msgs=system_msgs)
"""

UTILS = """
REGENERATE_PROMPT = "Provide a different response."

async def check_duplicates(req, command_rsp, rsp_hist, llm, respond_language, check_window=10):
    if rsp_hist.count(command_rsp) >= 3:
        return await llm.aask(req + [{"role": "user", "content": "What is the problem?"}])
    return await llm.aask(req + [{"role": "user", "content": REGENERATE_PROMPT}])

async def parse_commands(command_rsp, llm, exclusive_tool_commands):
    found = re.search(r"```json.*?\\s+(.*?)\\n```", command_rsp, re.DOTALL)
    try:
        commands = json.loads(found.group(1) if found else command_rsp)
    except json.JSONDecodeError:
        answer = await llm.aask(msg="Repair: " + command_rsp)
        commands = json.loads(re.search(r"```json.*?\\s+(.*?)\\n```", answer, re.DOTALL).group(1))
    return commands, True, command_rsp
"""


def module_of(name, source, **more):
    made = ModuleType(name)
    vars(made).update(json=json, **more)
    exec("import re\n" + source, vars(made))
    return made


def write(path: str, content: str):
    """Writes a file."""


def seek(line: int, deep: bool = False):
    """Goes to a line."""


def anything(*args, **kwargs):
    """Whatever it is."""


EDITOR = SimpleNamespace(name="Editor", schemas={"type": "class", "methods": {"write": {}, "seek": {}, "format": {}}})
LOOK = SimpleNamespace(name="look", schemas={"type": "function"})
MAIL = SimpleNamespace(name="Mail", schemas={"type": "class", "methods": {"send": {}}})
PLAN = SimpleNamespace(name="Plan", schemas={"type": "class", "methods": {"finish_current_task": {}}})


@pytest.fixture(scope="module")
def main():
    decorator = module_of("metagpt.exp_pool.decorator", DECORATOR)
    role_zero = module_of("metagpt.roles.di.role_zero", ROLE_ZERO, exp_cache=decorator.exp_cache)
    utils = module_of("metagpt.utils.role_zero_utils", UTILS)
    for _ in range(2):
        commands.expect_commands(role_zero)
        commands.expect_repaired_commands(utils)
    return SimpleNamespace(RoleZero=role_zero.RoleZero, utils=utils)


@pytest.fixture
def turn(main):
    """A turn of a role with an editor, a plan and a function, and with mails that its prompt does not offer."""

    async def run(llm):
        tools = SimpleNamespace(
            tools={tool.name: tool for tool in (EDITOR, LOOK, MAIL, PLAN)}, offered=[EDITOR, LOOK, PLAN]
        )
        functions = {"Editor.write": write, "Editor.seek": seek, "look": anything, "Mail.send": write}
        return await main.RoleZero(llm, tools, functions).turn()

    return run


WRITE = {"command_name": "Editor.write", "args": {"path": "a.md", "content": "```x```"}}
END = {"command_name": "end", "args": {}}
TURN = {"thought": "I write ```json``` first.", "commands": [WRITE, END]}


def read(answer):
    """The thoughts and commands of a turn, as MetaGPT reads them."""
    thought, _, rest = answer.partition("```json\n")
    assert rest.endswith("\n```")
    return thought.strip(), json.loads(rest[:-4])


def test_the_thoughts_come_first_and_the_commands_are_those_that_the_role_has(turn, ask, answers):
    answers(json.dumps(TURN))
    outcome = ask("ours", turn)
    assert read(outcome.value) == ("I write '''json''' first.", [WRITE, END])
    sent = outcome.sent["format"]
    assert list(sent["properties"]) == ["thought", "commands"]
    kinds = {
        kind["properties"]["command_name"]["enum"][0]: kind["properties"]["args"]
        for kind in sent["properties"]["commands"]["items"]["anyOf"]
    }
    assert list(kinds) == ["Editor.write", "Editor.seek", "look", "Plan.finish_current_task", "end"]
    assert kinds["Editor.seek"]["properties"] == {"line": {"type": "integer"}, "deep": {"type": "boolean"}}
    assert kinds["Editor.seek"]["required"] == ["line"]
    assert kinds["look"]["properties"] == kinds["end"]["properties"] == {}


@pytest.mark.parametrize("off", [{"unpatched": "command_lists"}, OFF, {"think": "true"}])
def test_without_a_format_what_metagpt_can_parse_stays_as_it_is(off, turn, ask, answers):
    text = f"I write.\n```json\n{json.dumps([WRITE | {'args': {'path': 'a', 'content': 'x'}}])}\n```\nReady."
    answers(text)
    outcome = ask("ours", turn, extra_fields=off)
    assert outcome.value == text
    assert "format" not in outcome.sent


def test_commands_are_repaired_and_the_thoughts_kept(turn, ask, answers):
    answers("Let us write.\n[{'command_name': 'editor.write', 'args': {'path': 'a', 'content': 'b',}},]")
    outcome = ask("ours", turn, extra_fields=OFF)
    expected = [{"command_name": "Editor.write", "args": {"path": "a", "content": "b"}}]
    assert read(outcome.value) == ("Let us write.", expected)


@pytest.mark.parametrize(
    "commands",
    [
        [{"command_name": "end"}],
        [{"command_name": "Editor.guess", "args": {"path": "a"}}],
        [{"command_name": "Editor.write", "args": {"path": "a"}}, {"command_name": "look", "args": {"far": 1}}],
    ],
)
def test_commands_that_the_role_refuses_by_itself_are_repaired_too(commands, turn, ask, answers):
    answers(f"Next: {commands}".replace("'}", "',}"))
    assert read(ask("ours", turn, extra_fields=OFF).value) == ("Next:", commands)


DRAFT = [{"command_name": "Editor.write", "args": {"path": "a", "content": "x"}}]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        (f"First I thought of\n{DRAFT}\nbut the work is done:\n```json\n[{{'command_name': 'end'}}]\n```",
         [{"command_name": "end"}]),
        (f"A draft:\n{DRAFT}\nBetter:\n```json\n[{{'command_name': 'Shell.exec', 'args': {{}}}}]\n```",
         [{"command_name": "Shell.exec", "args": {}}]),
        (f"A draft:\n{DRAFT}\nBetter:\n```json\n[{{'command_name': 'Editor.seek', 'args': {{'line': 'x'}}}}]\n```",
         [{"command_name": "Editor.seek", "args": {"line": "x"}}]),
        (f"A draft:\n{DRAFT}\nBetter:\n```json\n[{{'command': 'end', 'args': {{}}}}]\n```", None),
        (f"```json\n{json.dumps(DRAFT)[:-1]},]\n```\nThen I finish:\n```json\n{json.dumps([END])}\n```", None),
        (json.dumps({"executed_commands": DRAFT, "next_command": "end"}), None),
        (json.dumps({"do_not_run": DRAFT}), None),
        ('{"command_name": "Editor.seek", "args": {"line": 12', None),
    ],
)  # fmt: skip
def test_no_command_is_taken_that_the_answer_leaves_in_doubt(text, commands, turn, ask, answers):
    answers(text)
    value = ask("ours", turn, extra_fields=OFF).value
    if commands is None:
        assert value == text
    else:
        assert read(value)[1] == commands


def test_a_role_of_another_provider_is_asked_as_before(turn, ask, answers):
    answers("free")
    assert "format" not in ask("original", turn, stream=True).sent


CUT = (
    '{"thought": "t", "commands": [' + json.dumps(END) + ', {"command_name": "Editor.write", "args": {"path": "a", "con'
)


def test_of_a_list_that_was_cut_the_complete_commands_are_left(turn, ask, answers):
    answers(CUT, done_reason="length")
    assert read(ask("ours", turn).value) == ("", [END])


@pytest.mark.parametrize("fields", [{}, OFF])
@pytest.mark.parametrize(
    "text",
    [
        CUT.replace(json.dumps(END) + ", ", ""),
        '{"thought": "I am',
        "I shall",
        f"Last time I ran {json.dumps(DRAFT)}, which was wrong. Now:\n"
        '```json\n[{"command_name": "Editor.read", "args": {"path": "/very/long',
    ],
)
def test_without_a_complete_command_the_turn_is_an_error(fields, text, turn, ask, answers):
    answers(text, done_reason="length")
    outcome = ask("ours", turn, extra_fields=fields)
    assert isinstance(outcome.error, IncompleteError)
    assert "raise llm.max_token" in str(outcome.error)


def test_the_second_list_has_the_same_commands_and_the_summary_is_free(main, turn, ask, server):
    replies = iter([json.dumps(TURN), json.dumps({"thought": "", "commands": [END]}), "free", json.dumps([END])])
    server.on("POST", "/api/chat", lambda request: Reply.chat(next(replies), stream=request.json()["stream"]))

    async def duplicates(llm):
        await turn(llm)
        other = await main.utils.check_duplicates([], "a", ["a"], llm, "English")
        problem = await main.utils.check_duplicates([], "a", ["a"] * 3, llm, "English")
        repaired, _, _ = await main.utils.parse_commands("[{", llm, [])
        return other, problem, repaired

    outcome = ask("ours", duplicates)
    other, problem, repaired = outcome.value
    assert (read(other), problem, repaired) == (("", [END]), "free", [END])
    first, second, third, fourth = [request.json().get("format") for request in outcome.requests]
    assert (second, third, fourth) == (first, None, first["properties"]["commands"])


def test_a_repair_without_a_turn_takes_any_commands(main, ask, answers):
    answers(json.dumps([END]))
    outcome = ask("ours", lambda llm: main.utils.parse_commands("[{", llm, []))
    assert outcome.value[0] == [END]
    assert outcome.sent["format"]["items"]["properties"]["command_name"] == {"type": "string"}


# A function of main in the shape that it has there: the module, its source, the patch, the call, a value, what of the
# schema is checked, and what MetaGPT makes of the value.
SHAPES = {
    "query": (
        "metagpt.actions.search_enhanced_qa",
        "class SearchEnhancedQA:\n"
        "    async def _rewrite_query(self, query):\n"
        "        return json.loads(fenced(await self.llm.aask('Rewrite ' + query)))['query']\n",
        searches.expect_rewritten_query,
        lambda module, llm: with_llm(module.SearchEnhancedQA, llm)._rewrite_query("how?"),
        {"query": "how to"},
        lambda schema: schema["properties"]["query"]["maxLength"] == 200,
        "how to",
    ),
    "score": (
        "metagpt.exp_pool.scorers.simple",
        "class SimpleScorer:\n"
        "    async def evaluate(self, req, resp):\n"
        "        return json.loads(fenced(await self.llm.aask(req + resp)))['val']\n",
        reports.expect_scores,
        lambda module, llm: with_llm(module.SimpleScorer, llm).evaluate("a", "b"),
        {"val": 7, "reason": "good"},
        lambda schema: schema["properties"]["val"]["enum"] == list(range(1, 11)),
        7,
    ),
    "resources": (
        "metagpt.schema",
        "class Message:\n"
        "    async def parse_resources(self, llm, key_descriptions=None):\n"
        "        return json.loads(fenced(await llm.aask('Lists all', system_msgs=['…'])))\n",
        reports.expect_resources,
        lambda module, llm: module.Message().parse_resources(llm, key_descriptions={"path": "the path if exists"}),
        {"resources": [], "reason": "none"},
        lambda schema: "path" in schema["properties"] and schema["required"] == ["resources", "reason"],
        {"resources": [], "reason": "none"},
    ),
    "verdict": (
        "metagpt.actions.requirement_analysis.evaluate_action",
        "class EvaluateAction:\n"
        "    async def _evaluate(self, prompt):\n"
        "        return json.loads(fenced(await self.llm.aask(prompt)))['is_pass']\n",
        reports.expect_evaluations,
        lambda module, llm: with_llm(module.EvaluateAction, llm)._evaluate('- an "issues" key\n- a "is_pass" key'),
        {"issues": [], "is_pass": True, "conclusion": "fine"},
        lambda schema: list(schema["properties"]) == ["issues", "is_pass", "conclusion"],
        True,
    ),
    "files": (
        "metagpt.actions.requirement_analysis.framework.write_framework",
        "class WriteFramework:\n"
        "    async def _write(self, prompt):\n"
        "        return json.loads(fenced(await self.llm.aask(prompt)))\n",
        reports.expect_files,
        lambda module, llm: with_llm(module.WriteFramework, llm)._write("Write."),
        [{"path": "/", "filename": "a.py", "content": "x = '```'"}],
        lambda schema: schema["items"]["required"] == ["path", "filename", "content"],
        [{"path": "/", "filename": "a.py", "content": "x = '```'"}],
    ),
    "folder": (
        "metagpt.actions.import_repo",
        "class ImportRepo:\n"
        "    async def _guess_src_workspace(self):\n"
        "        return json.loads(fenced(await self.llm.aask('- a/src\\n- a/tests')))['src']\n",
        reports.expect_source_paths,
        lambda module, llm: with_llm(module.ImportRepo, llm)._guess_src_workspace(),
        {"src": "a/src", "reason": "…"},
        lambda schema: schema["properties"]["src"]["enum"] == ["a/src", "a/tests"],
        "a/src",
    ),
    "main file": (
        "metagpt.actions.import_repo",
        "class ImportRepo:\n"
        "    async def _guess_main_entry(self, entries):\n"
        "        return json.loads(fenced(await self.llm.aask('…')))['filename']\n",
        reports.expect_source_paths,
        lambda module, llm: with_llm(module.ImportRepo, llm)._guess_main_entry(["a.py", "b.py"]),
        {"filename": "b.py", "reason": "…"},
        lambda schema: schema["properties"]["filename"]["enum"] == ["a.py", "b.py"],
        "b.py",
    ),
}


def with_llm(kind, llm):
    made = kind()
    made.llm = llm
    return made


def fenced(text):
    assert text.startswith("```json\n")
    assert text.endswith("\n```")
    return text[8:-4]


@pytest.mark.parametrize("name", SHAPES)
def test_other_functions_of_main(name, ask, answers):
    module_name, source, patch, call, value, fits, expected = SHAPES[name]
    module = module_of(module_name, source, fenced=fenced)
    patch(module)
    answers(json.dumps(value))
    outcome = ask("ours", lambda llm: call(module, llm))
    assert outcome.error is None
    assert outcome.value == expected
    assert fits(outcome.sent["format"])


@pytest.mark.parametrize("name", SHAPES)
def test_other_releases_are_left_alone(name):
    module_name, source, patch, *_ = SHAPES[name]
    patch(ModuleType(module_name))
    blocking = module_of(module_name, source.replace("async ", "").replace("await ", ""))
    before = {kind: dict(vars(value)) for kind, value in vars(blocking).items() if isinstance(value, type)}
    patch(blocking)
    assert before == {kind: dict(vars(value)) for kind, value in vars(blocking).items() if isinstance(value, type)}
