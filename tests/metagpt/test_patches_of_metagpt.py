"""How MetaGPT's functions are replaced, and how each patch is switched off."""

from __future__ import annotations

import functools
import sys
from types import ModuleType

import pytest
import tenacity
from metagpt.actions import WriteCode
from metagpt.logs import logger
from metagpt.utils.common import CodeParser

from metagpt_ollama_rs.errors import ConfigurationError
from metagpt_ollama_rs.patch_names import PATCH_NAMES, parse_unpatched
from metagpt_ollama_rs.provider.patches.patch import is_metagpts_own, is_switched_on, replace_function
from metagpt_ollama_rs.provider.patches.table import METHODS, PATCHES, apply_patches

ONE = min(PATCH_NAMES)


def module_of(monkeypatch, name, source):
    made = ModuleType(name)
    made.__file__ = f"{name}.py"
    exec(compile(source, made.__file__, "exec"), vars(made))
    monkeypatch.setitem(sys.modules, name, made)
    return made


def doubled(stock):
    return lambda *arguments: 2 * stock(*arguments)


def test_every_patch_has_a_name_and_every_name_a_patch():
    assert {patch.name for patch in PATCHES} | METHODS == set(PATCH_NAMES)


def test_a_function_is_replaced_once_with_its_copies(monkeypatch):
    owner = module_of(monkeypatch, "metagpt.owner", "def size(): return 1")
    copying = module_of(monkeypatch, "metagpt.copying", "from metagpt.owner import size")
    elsewhere = module_of(monkeypatch, "elsewhere", "from metagpt.owner import size")
    for _ in range(2):
        replace_function(owner, "size", doubled)
    assert (owner.size(), copying.size(), elsewhere.size()) == (2, 2, 1)
    assert owner.size.__name__ == "size"


def test_several_patches_replace_one_function(monkeypatch):
    owner = module_of(monkeypatch, "metagpt.owner", "def size(): return 1")
    copying = module_of(monkeypatch, "metagpt.copying", "from metagpt.owner import size")

    def raised(stock):
        return lambda: stock() + 1

    for _ in range(2):
        replace_function(owner, "size", doubled)
        replace_function(owner, "size", raised)
    assert (owner.size(), copying.size()) == (3, 3)


def test_methods_of_each_kind_are_replaced(monkeypatch):
    source = (
        "class Sizes:\n"
        "    def plain(self): return 1\n"
        "    @staticmethod\n"
        "    def static(): return 2\n"
        "    @classmethod\n"
        "    def of_class(cls): return 3\n"
    )
    sizes = module_of(monkeypatch, "metagpt.sizes", source).Sizes
    for name in ("plain", "static", "of_class", "not_there"):
        replace_function(sizes, name, doubled)
    assert (sizes().plain(), sizes.static(), sizes.of_class()) == (2, 4, 6)


def test_what_users_have_put_there_stays(monkeypatch):
    owner = module_of(monkeypatch, "metagpt.owner", "def size(): return 1")
    owner.size = lambda: 5
    replace_function(owner, "size", doubled)
    assert owner.size() == 5


@pytest.mark.parametrize("is_patched", [False, True])
def test_what_users_have_wrapped_stays(monkeypatch, is_patched):
    owner = module_of(monkeypatch, "metagpt.owner", "def size(): return 1")
    if is_patched:
        replace_function(owner, "size", doubled)

    def cautious(stock):
        @functools.wraps(stock)
        def size():
            return stock() + 10

        return size

    owner.size = wrapped = cautious(owner.size)
    replace_function(owner, "size", lambda stock: lambda: 0)
    assert owner.size is wrapped
    assert not is_metagpts_own(owner, "size")


def test_decorators_of_metagpt_and_tenacity_are_its_own(monkeypatch):
    deciding = (
        "import functools\n"
        "def decorate(function):\n"
        "    @functools.wraps(function)\n"
        "    def decorated(): return function() + 1\n"
        "    return decorated\n"
    )
    decorator = module_of(monkeypatch, "metagpt.decorator", deciding)
    owner = module_of(monkeypatch, "metagpt.owner", "def size(): return 1")
    owner.size = tenacity.retry(decorator.decorate(owner.size))
    for _ in range(2):
        replace_function(owner, "size", doubled)
    assert owner.size() == 4
    assert is_metagpts_own(owner, "size")


def test_a_users_parse_code_is_asked_inside_write_code(monkeypatch, ask, answers):
    stock = CodeParser.parse_code

    @functools.wraps(stock)
    def parse_code(*args, **kwargs):
        return f"# checked\n{stock(*args, **kwargs)}"

    monkeypatch.setattr(CodeParser, "parse_code", staticmethod(parse_code))
    apply_patches()
    answers("```python\nprint(1)\n```")
    written = ask("ours", lambda llm: WriteCode(llm=llm).write_code("## Code: a.py. Write code")).value
    assert written == "# checked\nprint(1)"


def test_the_environment_switches_patches_off(monkeypatch):
    assert is_switched_on(ONE)
    for value in (ONE, "all", f" {ONE} , {ONE}"):
        monkeypatch.setenv("METAGPT_OLLAMA_UNPATCHED", value)
        assert not is_switched_on(ONE)


def test_a_name_that_no_patch_has_is_told_once_and_nothing_is_switched_off(monkeypatch):
    said = []
    sink = logger.add(said.append, level="WARNING")
    monkeypatch.setenv("METAGPT_OLLAMA_UNPATCHED", f"{ONE}x")
    try:
        assert is_switched_on(ONE)
        assert is_switched_on(ONE)
    finally:
        logger.remove(sink)
    (line,) = said
    assert f"did you mean {ONE}?" in line


def test_a_configuration_switches_patches_off_for_itself(ask):
    async def states(llm):
        return is_switched_on(ONE, llm)

    assert ask("ours", states).value is True
    assert ask("ours", states, extra_fields={"unpatched": ONE}).value is False
    assert ask("ours", states, extra_fields={"unpatched": "all"}).value is False
    assert ask("original", states).value is False


def test_right_names_count_beside_a_misspelt_one(monkeypatch):
    said = []
    sink = logger.add(said.append, level="WARNING")
    monkeypatch.setenv("METAGPT_OLLAMA_UNPATCHED", f"{ONE}, costz token_counts")
    try:
        assert not is_switched_on(ONE)
        assert not is_switched_on("token_counts")
        assert is_switched_on("costs")
    finally:
        logger.remove(sink)
    (line,) = said
    assert "did you mean costs?" in line


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("", set()),
        ("all", set(PATCH_NAMES)),
        (ONE, {ONE}),
        (f"{ONE.upper()}, {ONE}", {ONE}),
        ("All", set(PATCH_NAMES)),
    ],
)
def test_texts_that_name_patches(value, names):
    assert parse_unpatched(value) == names


def test_a_wrong_name_in_the_configuration_is_an_error(ask):
    async def nothing(llm):
        return None

    error = ask("ours", nothing, extra_fields={"unpatched": f"{ONE}x"}).error
    assert isinstance(error, ConfigurationError)
    assert f"did you mean {ONE}?" in str(error)


@pytest.mark.parametrize(
    ("extra_fields", "message"),
    [
        (
            {"unpatched": "Node_answer, token_counts"},
            "llm.extra_fields.unpatched must be names of patches, or all, but no patch is called 'Node_answer' "
            "(did you mean node_answers?)",
        ),
        ({"unpached": "costs"}, "llm.extra_fields.unpached is not a setting\nhint: did you mean unpatched?"),
    ],
)
def test_the_error_says_what_is_meant(ask, extra_fields, message):
    async def nothing(llm):
        return None

    assert str(ask("ours", nothing, extra_fields=extra_fields).error) == message
