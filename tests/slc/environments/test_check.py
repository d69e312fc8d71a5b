"""What `EnvManagerTool.check` says of requirements, and how they are read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from metagpt_ollama_rs import ConfigurationError
from metagpt_ollama_rs.slc import EnvManagerTool
from metagpt_ollama_rs.slc.extras import MissingLibraryError
from metagpt_ollama_rs.slc.machine.python_environments import ask_environment
from metagpt_ollama_rs.slc.machine.requirement_checks import check_requirements
from metagpt_ollama_rs.slc.machine.requirement_lists import read_requirements

STATUSES = [
    ("pack", "met"),
    ("PACK >= 2.0", "met"),
    ("pack==2.1.*", "met"),
    ("pack>=2.0,<3", "met"),
    ("pack===2.1.0", "met"),
    ("pack>=2.1rc1", "met"),
    ("pack>2.1", "too old"),
    ("pack>=2.2", "too old"),
    ("pack~=2.2", "too old"),
    ("pack==3", "too old"),
    ("pack<2", "too new"),
    ("pack<=2.0", "too new"),
    ("pack==2.0", "too new"),
    ("pack==2.0.*", "too new"),
    ("pack~=2.0.1", "too new"),
    ("pack!=2.1", "another one"),
    ("pack===2.1", "another one"),
    ("other", "missing"),
    ("other; python_version < '3'", "not needed"),
    ("pack>=9; sys_platform == 'plan9'", "not needed"),
    ("pack @ https://example.org/pack.whl", "another one"),
    ("./pack", "unknown"),
    ("early", "met"),
    ("early>=1", "too old"),
    ("odd", "met"),
    ("odd>=1", "unknown"),
    ("odd===2004-d", "met"),
]


@pytest.fixture
def check(environment):
    """Checks requirements against the environment; returns the report."""
    return lambda requirements, **options: EnvManagerTool.check_report(str(environment), requirements, **options)


def statuses(report) -> dict[str, str]:
    return {each.requirement: each.status for each in report.requirements}


def test_a_requirement_and_its_status(check, put_package):
    put_package("pack", "2.1.0")
    put_package("early", "1.0.dev3")
    put_package("odd", "2004-d")
    report = check([requirement for requirement, _ in STATUSES])
    assert [each.status for each in report.requirements] == [status for _, status in STATUSES]
    assert {each.status for each in report.requirements if each.ok} == {"met", "not needed"}


def test_the_text(environment, put_package):
    put_package("pack", "2.1")
    text = EnvManagerTool.check(str(environment), ["pack>=3", "other", "pack"])
    assert text.splitlines() == [
        f"{environment}: CPython {'.'.join(map(str, sys.version_info[:3]))}",
        "3 requirements: 1 too old, 1 missing, 1 met",
        "too old  pack>=3  2.1",
        "missing  other    -",
        "met      pack     2.1",
        "no conflicts between installed packages",
    ]


def test_markers_are_decided_for_that_environment():
    """Not for the one of this program: here it is one of another Python and of another system."""
    environment = ask_environment(None)
    environment.markers.update(python_version="3.8", python_full_version="3.8.1", sys_platform="win32")
    lines = read_requirements(
        ["a; python_version < '3.9'", "b; sys_platform == 'win32'", "c; python_full_version > '3.8.1'"]
    )
    report = check_requirements(environment, lines)
    assert [each.status for each in report.requirements] == ["missing", "missing", "not needed"]


def test_a_marker_that_cannot_be_decided(check, put_package):
    put_package("pack", "1.0", "other; python_version ~= 'x'", "more; extra == 'some' and python_version ~= 'x'",
                extras=("some",))  # fmt: skip
    report = check(["absent; python_version ~= 'x'", "pack[some]"])
    assert [(each.status, each.note) for each in report.requirements] == [
        ("unknown", "its marker cannot be decided"),
        ("met", ""),
    ]
    assert report.conflicts == ()


def test_extras_bring_requirements_of_their_own(check, put_package):
    put_package(
        "pack", "1.0", "base", "six>=2; extra == 'Big_Number'", "deep[more]; extra == 'big-number'",
        "nt-only; extra == 'big-number' and os_name == 'nt'", extras=("Big_Number",),
    )  # fmt: skip
    put_package("base", "1.0")
    put_package("six", "1.16")
    put_package("deep", "1.0", "deeper; extra == 'more'", "pack[big-number]; extra == 'more'", extras=("more",))
    report = check("pack[big.number]")
    assert [(each.requirement, each.status, each.where) for each in report.requirements] == [
        ("pack[big.number]", "met", "requirements"),
        ("six>=2", "too old", "pack[big-number]"),
        ("deep[more]", "met", "pack[big-number]"),
        ("deeper", "missing", "deep[more]"),
        ("pack[big-number]", "met", "deep[more]"),
    ]
    assert statuses(check("pack")) == {"pack": "met"}


def test_an_extra_that_there_is_not(check, put_package):
    put_package("pack", "1.0", extras=("known",))
    [found] = check("pack[known,unknown]").requirements
    assert (found.status, found.note) == ("unknown", "pack 1.0 has no extra unknown")


def test_conflicts_between_what_is_installed(check, put_package):
    put_package("a", "1.0", "b>=2", "c", "d; python_version < '3'", "e; extra == 'x'", "not valid !!", extras=("x",))
    put_package("b", "1.5", "a<2,>=1")
    report = check([])
    assert [str(conflict) for conflict in report.conflicts] == [
        "a 1.0 needs b>=2, and b 1.5 is installed",
        "a 1.0 needs c, which is not installed",
    ]
    assert not report.ok
    assert str(report).splitlines()[1:] == [
        "0 requirements",
        "conflicts between installed packages:",
        *(f"  {conflict}" for conflict in report.conflicts),
    ]


def test_a_package_that_hides_another_version_is_noted(check, put_package, tmp_path):
    first = put_package("twice", "1.0")
    put_package("twice", "2.0", folder=tmp_path / "elsewhere")
    first.parent.joinpath("added.pth").write_text(f"{tmp_path / 'elsewhere'}\n", encoding="utf-8")
    [found] = check("twice>=2").requirements
    assert (found.status, found.note) == ("too old", "later on the path there is 2.0, too")


def test_a_requirements_file(check, put_package, tmp_path):
    put_package("pack", "1.0")
    file = tmp_path / "requirements.txt"
    file.write_bytes(
        b"\xef\xbb\xbf# what we need\r\n"
        b"--index-url https://example.org/simple\r\n"
        b"pack \\\r\n  >= 1 \\\r\n  --hash=sha256:00 \\\r\n  --hash=sha256:01  # pinned\r\n"
        b"\r\n   # a comment that ends with \\\r\n"
        b"\tother ; python_version\t< '4' # and one more\r\n"
        b"url @ https://example.org/a#egg=b\r\n"
        b"-e ./here"
    )
    report = check(file)
    found = [(each.requirement, each.status, each.where.rpartition("/")[2]) for each in report.requirements]
    assert found == [
        ("pack>=1", "met", "requirements.txt, line 3"),
        ('other; python_version < "4"', "missing", "requirements.txt, line 9"),
        ("url @ https://example.org/a#egg=b", "missing", "requirements.txt, line 10"),
    ]
    assert [each.partition(" (")[0] for each in report.ignored] == [
        "--index-url https://example.org/simple",
        "--hash=sha256:00 --hash=sha256:01",
        "-e ./here",
    ]
    assert statuses(check(file.read_text(encoding="utf-8"))) == statuses(report)


def test_includes_are_refused_unless_they_are_allowed(check, put_package, tmp_path):
    put_package("inner", "1.0")
    (tmp_path / "deep").mkdir()
    (tmp_path / "all.txt").write_text("outer\n-r deep/more.txt\n-cdeep/limits.txt\n", encoding="utf-8")
    (tmp_path / "deep" / "more.txt").write_text("inner\n--requirement=most.txt\n", encoding="utf-8")
    (tmp_path / "deep" / "most.txt").write_text("innermost", encoding="utf-8")
    (tmp_path / "deep" / "limits.txt").write_text("inner<1\nabsent<1\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"all.txt, line 2: -r reads another file") as caught:
        check(tmp_path / "all.txt")
    assert caught.value.hint == "allow_includes=True allows it"
    assert statuses(check(tmp_path / "all.txt", allow_includes=True)) == {
        "outer": "missing",
        "inner": "met",
        "innermost": "missing",
        "inner<1": "too new",
        "absent<1": "not needed",
    }


def test_files_that_cannot_be_read(check, tmp_path):
    (tmp_path / "circle.txt").write_text("-r circle.txt", encoding="utf-8")
    (tmp_path / "missing.txt").write_text("-r no-such-file.txt", encoding="utf-8")
    (tmp_path / "url.txt").write_text("-r https://example.org/requirements.txt", encoding="utf-8")
    (tmp_path / "nameless.txt").write_text("-r", encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes(b"# caf\xe9\nsix\n")
    (tmp_path / "endless.txt").write_text("-r /dev/zero", encoding="utf-8")
    for name, said in [
        ("circle.txt", "includes itself"),
        ("endless.txt", "/dev/zero cannot be read: it is no regular file"),
        (".", "cannot be read: it is no regular file"),
        ("missing.txt", "no-such-file.txt cannot be read: No such file or directory"),
        ("url.txt", "takes the name of one file"),
        ("nameless.txt", "takes the name of one file"),
        ("latin.txt", "cannot be read: it is not UTF-8"),
    ]:
        with pytest.raises(ConfigurationError, match=said):
            check(tmp_path / name, allow_includes=True)


REFUSED = [
    ("six; rm -rf /", "is no requirement"),
    ("six && ls", "is no requirement"),
    ("six, packaging", "is no requirement"),
    ("$(touch x)", "is no requirement"),
    ("`ls`", "is no requirement"),
    ("six>=", "is no requirement"),
    ("six\n\n>=2", "line 3: '>=2' is no requirement"),
    ("requirements.txt", "is the name of a file"),
    ("pack-1.0.whl", "is the name of a file"),
    ("pack.tar.gz", "is the name of a file"),
    ("./requirements.txt", "is the name of a file"),
    ("requirements/dev.in", "is the name of a file"),
    ("six\x00", "a control character"),
    ("six\u2028>=1", "a control character"),
    ("si\u202ex", "a control character"),
    (["six\n--pre"], "more than one line"),
    (["six", "packaging\r\n-r x"], r"requirements\[1\]: .*more than one line"),
    ("--index-url 'x", "a quotation mark too few"),
    (["six", 7], r"requirements\[1\] must be a text, and is 7"),
    ({"six": ">=1"}, "must be a list of texts"),
    (7, "must be a list of texts"),
    (None, "must be a list of texts"),
    (b"six", "must be a text"),
]


def test_what_is_no_requirement_is_refused():
    for requirements, said in REFUSED:
        with pytest.raises(ConfigurationError, match=said):
            EnvManagerTool.check(None, requirements)


def test_a_list_may_have_comments_and_empty_elements():
    lines = read_requirements(iter(["six # for Python 2", "", "  ", "# nothing", "\tpackaging\t>= 1"]))
    assert [str(line.requirement) for line in lines] == ["six", "packaging>=1"]
    assert lines[1].where == "requirements[4]"


def test_without_packaging_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "packaging", None)
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'metagpt-ollama-rs\[slc\]'"):
        EnvManagerTool.check(None, "six")


def test_a_flag_that_is_a_text_is_refused():
    with pytest.raises(ConfigurationError, match="allow_includes must be True or False, and is 'false'"):
        EnvManagerTool.check(None, Path("requirements.txt"), allow_includes="false")
