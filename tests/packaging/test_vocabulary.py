"""One word has one meaning: no type, class or function has a namesake, the glossary has words of the code, retired
words stay away."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUST = ROOT / "src"
PYTHON = ROOT / "python" / "metagpt_ollama_rs"

# Two implementations of one thing have the same names, and the enum of `http/lane.rs` chooses between them.
NAMESAKES = {
    "Response": {"http/lane.rs", "http/general/", "http/direct/"},
    "Timer": {"http/lane.rs", "http/general/", "http/direct/"},
}
# What stands in the place of the direct lane where there is none has its names.
STUB = "http/direct/unsupported.rs"

# What has one name in several Python modules, with the reason. All else that two modules define has two names.
SHARED = {
    "AsyncClient": "the client, and the same with the manners of ollama-python's",
    "Client": "the client, and the same with the manners of ollama-python's",
    "__dir__": "Python's",
    "__getattr__": "Python's",
    "_main": "what a module does that is run as a script",
    "add_arguments": "what each command has (`cli.main.Command`)",
    "find": "`installation` hands over what `find` finds in another interpreter",
    "install": "of the provider in MetaGPT's files, and of `ollama_compat` in the place of ollama",
    "main": "what the command line runs",
    "probe": "`installation` hands over what `probe` finds in another interpreter",
    "read": "is always said with its module: `gguf.read`, `files.read`",
    "read_configuration": "`installation` hands over what `config_file` finds in another interpreter",
    "run": "what each command has, and `running.run`, the work of one of them",
    "uninstall": "undoes `install`",
}
# The classes that have the name of a type in src/, with the reason.
COUNTERPARTS = {
    "Client": "the client, here and in the core",
    "ConnectTimeout": "the time to connect has run out: an exception here, a cause in the core",
    "Endpoint": "the core's is a part of this one",
    "Reply": "a reply, as the scripted server (public) and the core see it",
    "Request": "a request, as the scripted server (public) and the core see it",
    "Retry": "the same policy",
    "Vectors": "the same vectors",
}

# Words of former versions, with what is said for them.
RETIRED = {
    "alarm": "waker",
    "beginning": "head, or start",
    "bell": "waker",
    "careful": "lenient",
    "circles": "repetition",
    "datareturn": "what CPython calls it",
    "desk": "reader cell",
    "door": "callback, or consumer",
    "hub": "waker",
    "mold": "slot layout",
    "ordinary": "content line",
    "promise": "future, or reply sender",
    "seat": "what asyncio calls it",
    "sleeper": "parked task",
}

# Words of which no function and no type is named. As names of variables they are words like others.
RETIRED_IN_NAMES = {
    "place": "target, url, index: what it is",
    "turn": "iteration, or to yield",
}
DEFINING = {"fn", "struct", "enum", "union", "trait", "type", "def", "class"}

# Words that belong to one thing: where else they are not to be.
ELSEWHERE = {
    "chunk": ("src/wire", "src/py"),
    "framing": ("src/wire", "src/py"),
}
# Methods of slices, and the argument of `StreamDecoder`, which is public.
NOT_OURS = re.compile(r"r?(as_|split_)?(first_|last_)chunks?(_mut)?|(as_)?r?chunks(_exact)?(_mut)?")
PUBLIC = {("src/py/objects/stream_decoder.rs", "framing")}


def identifiers(imports, file: Path) -> Iterator[tuple[str, int]]:
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".rs":
        yield from ((token.word, token.line) for token in imports.tokens(text) if re.match(r"[A-Za-z_]", token.word))
    else:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME:
                yield token.string, token.start[0]


def words(identifier: str) -> list[str]:
    """`ReaderCell` and `reader_cell` are made of `reader` and `cell`."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", identifier)]


def sources() -> list[Path]:
    files = [*RUST.rglob("*.rs"), *PYTHON.rglob("*.py"), *PYTHON.rglob("*.pyi")]
    assert len(files) > 120
    return sorted(files)


def types(imports, files: list[Path]) -> dict[str, list[str]]:
    """The types that files define at their top, with the files; associated types and those in functions left out."""
    found = defaultdict(list)
    for file in files:
        depth = 0
        code = imports.tokens(file.read_text(encoding="utf-8"))
        for token, following in zip(code, code[1:]):
            depth += (token.word in imports.OPENING) - (token.word in imports.CLOSING)
            if (
                depth == 0
                and token.word in {"struct", "enum", "union", "trait", "type"}
                and following.word[0].isupper()
            ):
                found[following.word].append(file.relative_to(RUST).as_posix())
    return found


def test_no_two_types_have_one_name(imports):
    found = types(imports, [file for file in sorted(RUST.rglob("*.rs")) if file != RUST / STUB])
    assert len(found) > 150
    twice = {
        name: files
        for name, files in found.items()
        if len([file for file in files if not file.startswith(tuple(NAMESAKES.get(name, ["-"])))]) + (name in NAMESAKES)
        > 1
    }
    assert twice == {}


def defined() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The classes and the functions at the top of the package's modules, each with the modules."""
    classes, functions = defaultdict(list), defaultdict(list)
    for file in sorted(PYTHON.rglob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                classes[node.name].append(file.relative_to(PYTHON).as_posix())
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                functions[node.name].append(file.relative_to(PYTHON).as_posix())
    assert len(classes) > 100
    assert len(functions) > 200
    return classes, functions


def test_no_two_python_modules_define_one_name():
    classes, functions = defined()
    everything = {name: [*classes.get(name, []), *functions.get(name, [])] for name in {*classes, *functions}}
    twice = {name: files for name, files in everything.items() if len(files) > 1}
    assert {name: files for name, files in twice.items() if name not in SHARED} == {}
    assert set(SHARED) <= set(twice)


def test_a_python_class_and_a_rust_type_of_one_name_are_counterparts(imports):
    classes, _ = defined()
    assert set(classes) & set(types(imports, sorted(RUST.rglob("*.rs")))) == set(COUNTERPARTS)


def test_retired_words_stay_away(imports):
    found = [
        f"{file.relative_to(ROOT)}:{line}: {identifier} (say {RETIRED[word]})"
        for file in sources()
        for identifier, line in identifiers(imports, file)
        for word in ({*words(identifier), identifier.lower()} & set(RETIRED))
    ]
    assert found == []


def test_no_function_and_no_type_is_named_by_a_vague_word(imports):
    found = []
    for file in sources():
        code = list(identifiers(imports, file))
        for (keyword, _), (name, line) in zip(code, code[1:]):
            if keyword in DEFINING:
                found += [
                    f"{file.relative_to(ROOT)}:{line}: {name} (say {RETIRED_IN_NAMES[word]})"
                    for word in set(words(name)) & set(RETIRED_IN_NAMES)
                ]
    assert found == []


@pytest.mark.parametrize("word", sorted(ELSEWHERE))
def test_a_word_stays_where_it_belongs(imports, word):
    found = [
        f"{file.relative_to(ROOT)}:{line}: {identifier}"
        for folder in ELSEWHERE[word]
        for file in sorted((ROOT / folder).rglob("*.rs"))
        for identifier, line in identifiers(imports, file)
        if {word, f"{word}s"} & set(words(identifier))
        and not NOT_OURS.fullmatch(identifier)
        and (file.relative_to(ROOT).as_posix(), identifier) not in PUBLIC
    ]
    assert found == []


def glossary() -> list[str]:
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    section = re.search(r"^## Words\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    assert section
    return [line for line in section[1].splitlines() if line.startswith("|")]


def test_each_word_of_the_glossary_is_one_of_the_code(imports):
    table = glossary()
    assert 10 < len(table) <= 20
    in_code = {"_".join(words(identifier)) for file in sources() for identifier, _ in identifiers(imports, file)}
    for row in table[2:]:
        word = row.split("|")[1].strip().replace(" ", "_")
        assert any(re.search(rf"(^|_){word}(_|$)", identifier) for identifier in in_code), word


def test_words_of_an_identifier():
    assert words("ReaderCell") == words("reader_cell") == words("READER_CELL") == ["reader", "cell"]
    assert words("HTTPError2") == ["http", "error2"]
