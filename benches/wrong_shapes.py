"""Wrong shapes: how small models write the JSON that MetaGPT asks for, each made from the value that it was to be.

The kinds are those of the public reports of MetaGPT's users (FoundationAgents/MetaGPT #840, #966, #987, #1383, #1425,
#1780, #1843) and of what small models are known for; the texts are made here. A shape turns any value of a place into
one text, and says what must come of it:

>>> print(SHAPES["trailing commas"].write({"Language": "en_us"}))
{
  "Language": "en_us",
}
>>> SHAPES["trailing commas"].recovery
'exact'

A ``recovery`` is ``exact`` (the value comes back), ``complete`` (what was written of it to its end, never anything
else) or ``none`` (there is nothing that could be taken for the value).

The scripted model that makes such mistakes and the tests of ``metagpt_ollama_rs.json_answers`` use them. No I/O.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

__all__ = ["PLACES", "SHAPES", "Case", "Place", "WrongShape", "cases", "cut_commands"]


class Place(NamedTuple):
    """Where MetaGPT parses JSON: what it asks for, as a schema, and values of that kind."""

    schema: dict[str, Any]
    values: tuple[Any, ...]


class WrongShape(NamedTuple):
    """A wrong shape: who writes it, and how.

    ``suits`` tells whether a value can be written so at all; ``cut`` that the answer ended at its token limit.
    """

    who: str
    write: Callable[[Any], str]
    recovery: str = "exact"
    suits: Callable[[Any], bool] = lambda _: True
    cut: bool = False


class Case(NamedTuple):
    """One value of one place in one wrong shape; ``text`` is the answer."""

    shape: str
    place: str
    value: Any
    text: str


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_COMMAND = _object(
    command_name={"enum": ["Plan.append_task", "Plan.finish_current_task", "Editor.write", "Editor.read", "end"]},
    args={"type": "object"},
)
_TASK = _object(task_id=_TEXT, dependent_task_ids=_TEXTS, instruction=_TEXT, task_type=_TEXT)
_PYTHON = 'import re\n\n\ndef main():\n    print("done")  # prints\n    return {"a": [1, 2]}\n'

PLACES = {
    # An ActionNode of several fields.
    "node": Place(
        {
            "type": "object",
            "properties": {
                "Language": _TEXT,
                "Original Requirements": _TEXT,
                "Product Goals": _TEXTS,
                "Priority": {"type": "integer"},
                "Is Finished": {"type": "boolean"},
            },
            "required": ["Language", "Original Requirements", "Product Goals", "Priority", "Is Finished"],
        },
        (
            {
                "Language": "en_us",
                "Original Requirements": "Make a snake game, please: the player's score is shown.",
                "Product Goals": ["Fun to play", "Fast (60 fps)", "Runs on Linux, too"],
                "Priority": 2,
                "Is Finished": False,
            },
            {
                "Language": "zh_cn",
                "Original Requirements": "写一个贪吃蛇游戏。\n要求：能显示分数；见 https://example.com/a?b=1#c // 🐍",
                "Product Goals": ["好玩", "简单"],
                "Priority": 10,
                "Is Finished": True,
            },
        ),
    ),
    # What RoleZero is to do next.
    "commands": Place(
        {"type": "array", "items": _COMMAND},
        (
            [
                {
                    "command_name": "Plan.append_task",
                    "args": {
                        "task_id": "1",
                        "dependent_task_ids": [],
                        "instruction": "Read the user's data.",
                        "assignee": "Alex",
                    },
                },
                {"command_name": "Editor.write", "args": {"path": "/tmp/main.py", "content": _PYTHON}},
                {"command_name": "end", "args": {}},
            ],
            [{"command_name": "Editor.read", "args": {"path": "src/app.py"}}],
            [
                {
                    "command_name": "Editor.write",
                    "args": {
                        "path": "C:\\Users\\me\\app.md",
                        "content": "The area \\(\\sqrt{2} \\cdot g\\),\nand a number: \\d+\\.",
                    },
                },
            ],
        ),
    ),
    # The tasks of a plan of DataInterpreter.
    "plan": Place(
        {"type": "array", "items": _TASK},
        (
            [
                {
                    "task_id": "1",
                    "dependent_task_ids": [],
                    "instruction": "Load the data from data/train.csv, and look at it.",
                    "task_type": "eda",
                },
                {
                    "task_id": "2",
                    "dependent_task_ids": ["1"],
                    "instruction": "Train a model; report its accuracy in %.",
                    "task_type": "model train",
                },
            ],
        ),
    ),
    # The names of the tools that are of use for a task.
    "tools": Place(
        {"type": "array", "items": {"type": "string", "enum": ["Browser", "Editor", "Terminal", "scrape_web_page"]}},
        (["Browser", "scrape_web_page"], ["Editor"]),
    ),
    # What is to be looked up on the web.
    "query": Place(
        _object(query=_TEXT), ({"query": "best laptops 2024 under $1,000"}, {"query": "2024年最好的笔记本电脑"})
    ),
}  # fmt: skip


class _Style(NamedTuple):
    """How the parts of a value are written. ``end`` closes the last element or member, ``comma`` all others."""

    indent: str = "  "
    text: Callable[[str], str] = lambda text: json.dumps(text, ensure_ascii=False)
    key: Callable[[str], str] = lambda key: json.dumps(key, ensure_ascii=False)
    word: Callable[[Any], str] = json.dumps
    colon: str = ": "
    comma: str = ","
    end: str = ""


def _write(value: Any, style: _Style, depth: int = 0) -> str:
    if isinstance(value, str):
        return style.text(value)
    if not isinstance(value, (dict, list)):
        return style.word(value)
    if isinstance(value, dict):
        parts = [f"{style.key(key)}{style.colon}{_write(part, style, depth + 1)}" for key, part in value.items()]
        brackets = "{}"
    else:
        parts = [_write(part, style, depth + 1) for part in value]
        brackets = "[]"
    if not parts:
        return brackets
    line = "\n" + style.indent * (depth + 1)
    inner = "".join(line + part + style.comma for part in parts[:-1]) + line + parts[-1] + style.end
    return brackets[0] + inner + "\n" + style.indent * depth + brackets[1]


def _plain(value: Any) -> str:
    return _write(value, _Style())


def _styled(**style: Any) -> Callable[[Any], str]:
    return lambda value: _write(value, _Style(**style))


def _around(template: str) -> Callable[[Any], str]:
    return lambda value: template.replace("JSON", _plain(value))


def _texts(value: Any) -> list[str]:
    """The texts in a value, keys left out."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in _texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]
    return [value] if isinstance(value, str) else []


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _has_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(part, dict) and part for part in value)


def _has_two_objects(value: Any) -> bool:
    return _has_objects(value) and len(value) > 1


def _raw(text: str, *escapes: str) -> str:
    """The text as JSON, with these escapes written as the characters that they stand for."""
    written = json.dumps(text, ensure_ascii=False)
    for escape in escapes:
        written = re.sub(
            r"\\(.)",
            lambda found, escape=escape: json.loads(f'"{escape}"') if found[0] == escape else found[0],
            written,
        )
    return written


def _single(text: str) -> str:
    return "'" + json.dumps(text, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"


def _single_with_apostrophes(text: str) -> str:
    """As `_single`, with the apostrophes within words as they are."""
    return re.sub(r"(?<=[^\W_])\\'(?=[^\W_])", "'", _single(text))


def _without_escaped_quotes(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace('\\"', '"')


def _with_backslashes(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\\\\", "\\")


def _full_width(text: str) -> str:
    return "“" + json.dumps(text, ensure_ascii=False)[1:-1] + "”"


def _bare(key: str) -> str:
    return key if re.fullmatch(r"[^\W\d]\w*", key) else json.dumps(key, ensure_ascii=False)


def _commented(mark: str) -> Callable[[Any], str]:
    def write(value: Any) -> str:
        lines = _plain(value).split("\n")
        return "\n".join(f"{line} {mark} {number}. as it was said, {{e.g.}} this" for number, line in enumerate(lines))

    return write


def _in_block_comments(value: Any) -> str:
    return re.sub(r"(?m)^( *)(?=\S)", r"\1/* this, * and \"that\" */ ", _plain(value))


def _renamed(change: Callable[[str], str]) -> Callable[[Any], str]:
    """The outermost keys in other letters."""

    def rename(value: Any) -> Any:
        if isinstance(value, list):
            return [rename(part) for part in value]
        return {change(key): part for key, part in value.items()} if isinstance(value, dict) else value

    return lambda value: _plain(rename(value))


def _map_scalars(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _map_scalars(part, change) for key, part in value.items()}
    if isinstance(value, list):
        return [_map_scalars(part, change) for part in value]
    return change(value)


def _scalars_as_text(value: Any) -> str:
    return _plain(_map_scalars(value, lambda part: json.dumps(part) if isinstance(part, (int, bool)) else part))


def _text_as_numbers(value: Any) -> str:
    is_number = re.compile("0|[1-9][0-9]{0,8}")
    return _plain(
        _map_scalars(value, lambda part: int(part) if isinstance(part, str) and is_number.fullmatch(part) else part)
    )


def _has_numbers(value: Any) -> bool:
    return any(not isinstance(part, str) for part in _scalars(value))


def _scalars(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [scalar for part in value.values() for scalar in _scalars(part)]
    if isinstance(value, list):
        return [scalar for part in value for scalar in _scalars(part)]
    return [value]


def _arguments_as_text(value: Any) -> str:
    return _plain([{**part, "args": json.dumps(part["args"], ensure_ascii=False)} for part in value])


def _are_commands(value: Any) -> bool:
    return _has_objects(value) and all(set(part) == {"command_name", "args"} for part in value)


def _without_middle_bracket(value: Any) -> str:
    """The first object of a list lacks its last bracket."""
    first, *rest = (_plain(part) for part in value)
    return "[" + ",\n".join([first[:-1].rstrip(), *rest]) + "]"


def _without_last(*brackets: str) -> Callable[[Any], str]:
    def write(value: Any) -> str:
        text = _plain(value)
        for bracket in brackets:
            text = text.rstrip()
            assert text[-1] == bracket
            text = text[:-1]
        return text

    return write


def _cut_in_last_text(value: Any) -> str:
    """Cut in the middle of the last text that is the value of a key."""
    text = _plain(value)
    end = text.rindex('"')
    start = text.rindex('"', 0, end)
    return text[: (start + end) // 2 + 1]


def _ends_with_text(value: Any) -> bool:
    """Whether the last thing in an object is a text of two characters or more, and no escapes are in it."""
    last = list(value.values())[-1] if isinstance(value, dict) and value else None
    return isinstance(last, str) and len(last) > 1 and json.dumps(last, ensure_ascii=False) == f'"{last}"'


def cut_commands(value: list[dict[str, Any]], share: float = 0.5) -> str:
    """A list of objects, cut in the middle of the last one; ``share`` is how much of that there is."""
    written = [_plain(part) for part in value]
    return "[\n" + ",\n".join([*written[:-1], written[-1][: max(1, int(len(written[-1]) * share))]])


def _echo(value: Any) -> str:
    """The example of a prompt, and then the answer."""
    example = _map_scalars(value, lambda part: "example" if isinstance(part, str) else part)
    return f"Format example:\n```json\n{_plain(example)}\n```\n\nMy answer:\n```json\n{_plain(value)}\n```"


def _as_schema(value: Any) -> str:
    kind = "array" if isinstance(value, list) else "object"
    return json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", "type": kind, "title": "Answer"}, indent=2)


def _as_yaml(value: Any) -> str:
    lines = []
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, dict):
            lines += [f"{'- ' if not place else '  '}{key}: {part[key]}" for place, key in enumerate(part)]
        else:
            lines.append(f"- {part}")
    return "\n".join(lines)


def _as_bullets(value: Any) -> str:
    parts = value if isinstance(value, list) else [value]
    return "\n".join(
        f"{number}. " + "; ".join(f"**{key}**: {text}" for key, text in part.items())
        if isinstance(part, dict)
        else f"* {part}"
        for number, part in enumerate(parts, 1)
    )


def _with_ellipsis(value: Any) -> str:
    text = _plain(value)
    return text[:-1].rstrip() + ",\n  ...\n" + text[-1]


def _with_two_values(value: dict[str, Any]) -> str:
    text = _plain(value)
    key = json.dumps(next(iter(value)), ensure_ascii=False)
    return text[:-1].rstrip() + f',\n  {key}: "something else"\n' + "}"


def _added_texts(value: Any) -> str:
    """The first text with a space in it, as a sum of two."""
    text = _plain(value)
    return re.sub(r'(?<=[\w,]) (?=\w[^"\n]*"[,\n])', ' " + "', text, count=1)


_FENCE = "```json\nJSON\n```"

SHAPES: dict[str, WrongShape] = {
    # What stands around the value.
    "prose before": WrongShape(
        "chat models that introduce each answer", _around("Sure! Here is what you asked for:\n\nJSON")
    ),
    "prose after": WrongShape(
        "chat models that explain themselves", _around("JSON\n\nThis covers what was asked; I hope it helps! :)")
    ),
    "prose in one line": WrongShape(
        "models of one billion parameters and less", lambda value: f"The answer is {json.dumps(value)} as you see."
    ),
    "prose with brackets": WrongShape(
        "models that think aloud, of code too",
        _around(
            "First I call `f(x)[0]` and use the f-string {name!r} {0}, then \\frac{1}{2} [1].\n"
            "- [ ] one\n- [x] two\n\nJSON\n\nIn short: {…} [sic]."
        ),
    ),
    "a fence": WrongShape("models that were trained on Markdown, where MetaGPT wants [CONTENT]", _around(_FENCE)),
    "a fence in capitals": WrongShape("the same, with another habit", _around("```Json\nJSON\n```")),
    "a fence of Python": WrongShape("models for code", _around("```python\nJSON\n```")),
    "a fence without a language": WrongShape("many", _around("Answer:\n```\nJSON\n```\n")),
    "a fence of tildes": WrongShape("models that were trained on Pandoc's Markdown", _around("~~~json\nJSON\n~~~")),
    "a fence on the same line": WrongShape("small models", lambda value: f"```json {json.dumps(value)} ```"),
    "a fence without an end": WrongShape("small models, and those with ``` as a stop word", _around("```json\nJSON\n")),
    "a fence in the tag": WrongShape("models that know both habits", _around(f"[CONTENT]\n{_FENCE}\n[/CONTENT]")),
    "a tag without an end": WrongShape("models for which the end of text comes first", _around("[CONTENT]\nJSON\n")),
    "a tag that ends as it begins": WrongShape("small models", _around("[CONTENT]\nJSON\n[CONTENT]\n")),
    "a tag of XML": WrongShape("models that were trained with tags for tools", _around("<json>\nJSON\n</json>")),
    "thoughts in a tag": WrongShape(
        "reasoning models without a field for their thoughts",
        _around('<think>\nThey want {"a": something} or [1, 2]… so be it.\n</think>\n\nJSON'),
    ),
    "an assignment": WrongShape("models for code", _around("```python\nanswer = JSON\nprint(answer)\n```")),
    "a byte order mark": WrongShape(
        "proxies and files in between", lambda value: "\ufeff" + _plain(value) + "\u200b\n"
    ),
    "the example first": WrongShape("small models, which copy what they see", _echo),
    "the same twice": WrongShape("small models that do not find the end", _around("JSON\n\nJSON\n")),
    # Its brackets and commas.
    "trailing commas": WrongShape("models that were trained on JavaScript and Python", _styled(end=",")),
    "no commas at line ends": WrongShape("small models", _styled(comma="")),
    "semicolons": WrongShape("models for code", _styled(comma=";")),
    "no last bracket": WrongShape("small models that end too early", lambda value: _plain(value)[:-1].rstrip()),
    "no last bracket in a fence": WrongShape(
        "the same", lambda value: f"```json\n{_plain(value)[:-1].rstrip()}\n```\nThat is all.", suits=_is_object
    ),
    "no last two brackets": WrongShape(
        "the same", _without_last("]", "}"), suits=lambda value: _has_objects(value) and bool(value[-1])
    ),
    "a last bracket too many": WrongShape(
        "models that lose count", lambda value: _plain(value) + "\n" + _plain(value)[-1]
    ),
    "a bracket of the other kind at the end": WrongShape(
        "MetaGPT's own repair knows these", _around("JSON]"), suits=_is_object
    ),
    "a bracket missing in the middle": WrongShape(
        "models that lose count", _without_middle_bracket, suits=_has_two_objects
    ),
    "no first bracket of a list": WrongShape(
        "RoleZero's models", lambda value: _plain(value)[1:].lstrip(), suits=_has_objects
    ),
    "no first bracket of an object": WrongShape(
        "models that continue the prompt", lambda value: _plain(value)[1:].lstrip(), suits=_is_object
    ),
    # Its texts and words.
    "single quotes": WrongShape("models that write Python", _styled(text=_single, key=_single)),
    "single quotes with apostrophes": WrongShape(
        "the same, in English", _styled(text=_single_with_apostrophes, key=_single_with_apostrophes)
    ),
    "Python's literals": WrongShape("models that print a dict", lambda value: repr(value)),
    "keys without quotes": WrongShape("models that were trained on JavaScript", _styled(key=_bare)),
    "comments after //": WrongShape("models that explain each line", _commented("//")),
    "comments after #": WrongShape("the same, from Python", _commented("#")),
    "comments in /* */": WrongShape("the same, from C", _in_block_comments),
    "line breaks in texts": WrongShape(
        "all that write code or Markdown into a field", _styled(text=lambda text: _raw(text, "\\n", "\\t", "\\r"))
    ),
    "quotes in texts": WrongShape(
        "small models that write code or speech into a field", _styled(text=_without_escaped_quotes)
    ),
    "backslashes in texts": WrongShape(
        "models that write LaTeX, regular expressions or Windows paths",
        _styled(text=_with_backslashes),
        # What JSON has a meaning for is lost.
        suits=lambda value: not any(re.search(r'\\[bfnrtu"\\/\']', text + '"') for text in _texts(value)),
    ),
    "escaped apostrophes": WrongShape(
        "models that write JavaScript",
        _styled(text=lambda text: json.dumps(text, ensure_ascii=False).replace("'", "\\'")),
    ),
    "escaped underscores": WrongShape(
        "Mistral's models, for which all is Markdown",
        lambda value: _plain(value).replace("_", "\\_"),
        suits=lambda value: "\\" not in _plain(value) and any("_" in key for key in _keys(value)),
    ),
    "triple quotes": WrongShape(
        "models that write Python",
        _styled(text=lambda text: f'"""{_raw(text, chr(92) + "n")[1:-1]}"""' if "\n" in text else json.dumps(text)),
    ),
    "backquotes": WrongShape(
        "models that write JavaScript",
        _styled(text=lambda text: f"`{_raw(text, chr(92) + 'n')[1:-1]}`" if "\n" in text else json.dumps(text)),
        suits=lambda value: not any("`" in text for text in _texts(value)),
    ),
    "Chinese punctuation": WrongShape(
        "Chinese models",
        _styled(text=_full_width, key=_full_width, colon="：", comma="，"),
        suits=lambda value: not any(mark in text for text in _texts(value) for mark in "“”"),
    ),
    "typographic quotes": WrongShape(
        "models that were trained on books",
        _styled(text=_full_width, key=_full_width),
        suits=lambda value: not any(mark in text for text in _texts(value) for mark in "“”"),
    ),
    # Its shape.
    "one object for a list": WrongShape(
        "RoleZero's models that have one command",
        lambda value: _plain(value[0]),
        suits=lambda value: _has_objects(value) and len(value) == 1,
    ),
    "a list of one for an object": WrongShape(
        "models that always write lists", lambda value: _plain([value]), suits=_is_object
    ),
    "a list under a key": WrongShape(
        "models that name what they answer", lambda value: _plain({"commands": value}), suits=_is_list
    ),
    "a list beside thoughts": WrongShape(
        "models that think first",
        lambda value: _plain({"thought": "I do it in order.", "result": value}),
        suits=_is_list,
    ),
    "an object under a key": WrongShape("the same", lambda value: _plain({"answer": value}), suits=_is_object),
    "an object in each line": WrongShape(
        "models that were trained on logs",
        lambda value: "\n".join(json.dumps(part) for part in value),
        suits=_has_objects,
    ),
    "objects with commas only": WrongShape(
        "small models", lambda value: ",\n".join(_plain(part) for part in value), suits=_has_objects
    ),
    "an object in each fence": WrongShape(
        "models that write step by step",
        lambda value: "\n".join(f"```json\n{_plain(part)}\n```" for part in value),
        suits=_has_objects,
    ),
    "keys in lower case": WrongShape("small models (MetaGPT's own repair knows these)", _renamed(str.lower)),
    "keys with other separators": WrongShape(
        "models that correct names",
        _renamed(lambda key: key.replace(" ", "_") if " " in key else key.replace("_", " ").title()),
    ),
    "numbers and truths as texts": WrongShape(
        "small models", _scalars_as_text, suits=lambda value: _has_numbers(value) and not _are_commands(value)
    ),
    "texts as numbers": WrongShape(
        "many: MetaGPT's task ids are texts",
        _text_as_numbers,
        suits=lambda value: _has_objects(value) and all("task_id" in part for part in value),
    ),
    "arguments as text": WrongShape("models that were trained with tools", _arguments_as_text, suits=_are_commands),
    "JSON as a text": WrongShape(
        "models that were trained with tools",
        lambda value: json.dumps(_plain(value)),
        suits=lambda value: not _is_names(value),
    ),
    # Its end.
    "a list cut in its last object": WrongShape(
        "every model at its token limit", cut_commands, "complete", suits=_has_two_objects, cut=True
    ),
    "a list cut in its only object": WrongShape(
        "the same",
        lambda value: cut_commands(value, 0.7),
        "none",
        suits=lambda value: _has_objects(value) and len(value) == 1,
        cut=True,
    ),
    "an object cut in its last text": WrongShape(
        "the same", _cut_in_last_text, "complete", suits=_ends_with_text, cut=True
    ),
    "an object cut before a required key": WrongShape(
        "the same",
        lambda value: _plain(value)[: len(_plain(value)) // 3],
        "none",
        suits=lambda value: _is_object(value) and len(value) > 2,
        cut=True,
    ),
    # What must not be taken for the value.
    "prose only": WrongShape(
        "models that refuse, or do not understand",
        lambda _: "I'm sorry, but I can't do that: it's not clear to me what {x} and [y] are. Could you say more?",
        "none",
    ),
    "code only": WrongShape(
        "models for code",
        lambda _: f"```python\n{_PYTHON}items = [1, 2]\nnames = {{'k': items[0]}}\n```",
        "none",
        suits=lambda value: True,
    ),
    "YAML": WrongShape("models that were trained on configuration files", _as_yaml, "none"),
    "a list of Markdown": WrongShape("chat models", _as_bullets, "none"),
    "a schema": WrongShape("small models that copy the schema of the request", _as_schema, "none"),
    "an ellipsis": WrongShape("models that shorten", _with_ellipsis, "none"),
    "two values for one key": WrongShape(
        "small models that repeat themselves", _with_two_values, "none", suits=_is_object
    ),
    "a sum of texts": WrongShape(
        "models that write Python or JavaScript",
        _added_texts,
        "none",
        suits=lambda value: _added_texts(value) != _plain(value),
    ),
    "broken after the example": WrongShape(
        "small models",
        lambda value: _echo(value).rpartition('"')[0] + "\n```\nThis is my answer.",
        "none",
    ),
}


def _keys(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for part in value.values() for key in _keys(part))]
    return [key for part in value for key in _keys(part)] if isinstance(value, list) else []


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


def cases() -> Iterator[Case]:
    """Every value of every place in every shape that makes something wrong of it."""
    for name, shape in SHAPES.items():
        for where, place in PLACES.items():
            for value in place.values:
                if shape.suits(value) and not _is_right(text := shape.write(value), value):
                    yield Case(name, where, value, text)


def _is_right(text: str, value: Any) -> bool:
    try:
        return bool(json.loads(text) == value)
    except ValueError:
        return False
