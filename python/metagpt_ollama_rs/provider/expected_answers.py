"""What MetaGPT expects an answer to be, where it parses one: its JSON schema, and the text that the parser there takes.

MetaGPT's functions know the shape of the answer that they are about to parse, and call ``llm.aask(prompt)`` without it.
So the patches of these functions say it: `expect_answers` wraps a function, and what is asked while it runs
gets an `ExpectedAnswer`. The schema goes along as the ``format`` of the request where ``structured`` allows it (see
``structured.py``), and the answer is handed to MetaGPT in the form that its parser reads:

>>> FENCED.write(["Browser"], "")
'```json\\n[\\n    "Browser"\\n]\\n```'
>>> print(TAGGED.write({"name": "a"}, ""))
[CONTENT]
{
    "name": "a"
}
[/CONTENT]

An answer that MetaGPT's parser takes as it is stays as it is. One that has the value somewhere, in prose or in JSON
with mistakes, is repaired (``json_answers.py``); one without the value is left to MetaGPT.

Tasks that run at the same time have expectations of their own, and so have tasks that the function starts. Other calls
of the same LLM object are sent as if there were none. No I/O here.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Callable, NamedTuple, Optional

from metagpt.logs import logger

from ..json_answers import recover_json
from ..json_items import complete_items
from .patches.patch import is_switched_on, replace_function
from .stats_records import collect_call_ids, record_repairs

__all__ = [
    "BARE",
    "FENCED",
    "TAGGED",
    "TEXT",
    "AnswerForm",
    "ExpectedAnswer",
    "Question",
    "current_question",
    "dump_answer",
    "expect_answers",
    "expected_patch",
    "list_schema",
    "object_schema",
    "read_fence",
    "receive_question",
    "short_text_schema",
    "word_schema",
]

# A block of JSON as MetaGPT's ``CodeParser.parse_code`` finds it on the main branch.
_FENCE = re.compile(r"```json.*?\s+(.*?)\n```", re.DOTALL)
_TAGS = re.compile(r"\[CONTENT\](.*?)\[/CONTENT\]", re.DOTALL)


@dataclass(frozen=True)
class AnswerForm:
    """How an answer stands in a text: ``read`` gives what MetaGPT's parser finds in a text, ``write`` makes a text of a
    value. ``write`` also gets the text in which the value was found."""

    read: Callable[[str], str]
    write: Callable[[Any, str], str]


@dataclass(frozen=True)
class ExpectedAnswer:
    """The answer that MetaGPT is about to parse.

    ``schema`` is the JSON schema of the value. ``patch`` is the name by which ``unpatched`` switches this off. ``llm``
    is the LLM object that is asked; None: whichever one of this package is. ``sent_schema`` is sent as ``format`` in
    the place of ``schema``, and `form` writes values of both. ``wider_schema`` is that of other values which MetaGPT
    takes (it fills in what is missing, or tells the model what is wrong); they are read, and never asked for.
    ``automatic`` says that ``structured: auto`` sends the format.

    An answer that was cut at the token limit is repaired if all that the schema requires is there, and else left to
    what MetaGPT does for an answer that does not parse. ``refuses_cut`` makes it an error instead, if it had a format.
    ``cut_items`` makes it an error in any case, unless it is a list that has complete items, which are used.
    """

    schema: Mapping[str, Any]
    form: AnswerForm
    patch: str
    llm: Any = None
    sent_schema: Optional[Mapping[str, Any]] = None
    wider_schema: Optional[Mapping[str, Any]] = None
    refuses_cut: bool = False
    cut_items: bool = False
    automatic: bool = True

    @property
    def format(self) -> Mapping[str, Any]:
        """The schema for the request."""
        return self.schema if self.sent_schema is None else self.sent_schema


class _Chooser(NamedTuple):
    """Says which answer is expected to the text of a question, None for free text, while a function of MetaGPT runs in
    ``task``. A task that is started meanwhile inherits the context, and asks on its own account."""

    task: Optional[asyncio.Task[Any]]
    choose: Callable[[str], Optional[ExpectedAnswer]]


_chooser: ContextVar[Optional[_Chooser]] = ContextVar("metagpt_ollama_rs_chooser", default=None)
_question: ContextVar[Optional[Question]] = ContextVar("metagpt_ollama_rs_question", default=None)


@dataclass
class Question:
    """One call of ``aask`` whose answer MetaGPT parses: ``prompt`` is its text, ``formatted`` is true once the schema
    is in the request, ``cut`` once the answer has ended at the token limit. ``without_format`` has the fields of the
    request that the schema has replaced.
    """

    llm: Any
    expected: ExpectedAnswer
    prompt: str = ""
    formatted: bool = False
    cut: bool = False
    without_format: Mapping[str, Any] = field(default_factory=dict)
    repairs: tuple[str, ...] = ()
    call_ids: Sequence[str] = ()

    def usable_text(self, answer: str) -> Optional[str]:
        """The text for MetaGPT's parser; None where ``answer`` has no value of the schema."""
        expected, form = self.expected, self.expected.form
        if self.cut and expected.cut_items:
            return self._text_of_complete_items(answer)
        found_by_metagpt = form.read(answer)
        # To bare JSON, which a format brings, some parsers say in the log that they miss the fence.
        if not self.cut and not (self.formatted and found_by_metagpt == answer):
            plain = recover_json(found_by_metagpt, expected.schema)
            if plain is not None and not plain.repairs:
                return answer
        for schema in (expected.sent_schema, expected.schema, expected.wider_schema):
            found = None if schema is None else recover_json(answer, schema, cut=self.cut, prompt=self.prompt)
            if found is not None:
                self.repairs = found.repairs
                return form.write(found.value, answer)
        return None

    def is_spoilt_by_cut(self, answer: str) -> bool:
        """Whether ``answer``, which has ended at the token limit, must be an error."""
        self.cut = True
        refused = self.expected.cut_items or (self.expected.refuses_cut and self.formatted)
        return refused and self.usable_text(answer) is None

    def _text_of_complete_items(self, answer: str) -> Optional[str]:
        items = complete_items(answer, self.expected.schema.get("items", {}))
        if not items:
            return None
        self.repairs = ("cut",)
        return self.expected.form.write(items, answer)

    def finish(self, answer: Any) -> Any:
        """The answer as MetaGPT gets it. What was repaired goes into the record of the call."""
        text = self.usable_text(answer) if isinstance(answer, str) else None
        if text is None:
            return answer
        record_repairs(self.call_ids, self.repairs, model=self.llm.model)
        return text


def expect_answers(
    module: ModuleType, name: str, make: Callable[[Mapping[str, Any], str], Optional[ExpectedAnswer]]
) -> None:
    """Wraps an async function of a module of MetaGPT (``WritePlan.run``, ``parse_commands``), so that its questions get
    the answers that ``make`` expects. One that this release doesn't have, or that is not async, is left alone.

    ``make`` gets the function's arguments by their names and the text of a question, once this package's LLM object is
    asked one; it returns None for free text. What it raises means free text, too: then the function is that of another
    release, which it doesn't know.
    """
    class_name, _, function_name = name.rpartition(".")
    owner = getattr(module, class_name, None) if class_name else module
    if owner is not None and inspect.iscoroutinefunction(vars(owner).get(function_name)):

        def wrap(stock: Any) -> Any:
            return _wrap_asking(make, stock)

        replace_function(owner, function_name, wrap)


def _wrap_asking(make: Callable[[Mapping[str, Any], str], Optional[ExpectedAnswer]], stock: Any) -> Any:
    signature = inspect.signature(stock)

    def choose(args: Any, kwargs: Any, question: str) -> Optional[ExpectedAnswer]:
        try:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return make(bound.arguments, question)
        except Exception as error:
            logger.debug(f"no answer is expected of {stock.__qualname__}: {error!r}")
            return None

    async def ask(*args: Any, **kwargs: Any) -> Any:
        token = _chooser.set(_Chooser(_running_task(), functools.partial(choose, args, kwargs)))
        try:
            return await stock(*args, **kwargs)
        finally:
            _chooser.reset(token)

    return ask


def _running_task() -> Optional[asyncio.Task[Any]]:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _expected_answer(question: str) -> Optional[ExpectedAnswer]:
    chooser = _chooser.get()
    return chooser.choose(question) if chooser is not None and chooser.task is _running_task() else None


def expected_patch(names: Collection[str]) -> bool:
    """Whether the function that runs in this task expects an answer for one of the patches ``names``, which is switched
    on for the LLM object that is asked."""
    expected = _expected_answer("")
    return expected is not None and expected.patch in names and is_switched_on(expected.patch, expected.llm)


@contextlib.contextmanager
def receive_question(llm: Any, message: Any) -> Iterator[Optional[Question]]:
    """The question that ``llm`` is asked with ``message``, or None where its answer is free text. It is the current one
    until the block ends."""
    prompt = _last_text(message)
    expected = _expected_answer(prompt)
    question = None
    if expected is not None and expected.llm in (None, llm) and is_switched_on(expected.patch, llm):
        question = Question(llm, expected, prompt)
    token = _question.set(question)
    try:
        if question is None:
            yield None
            return
        with collect_call_ids() as question.call_ids:
            yield question
    finally:
        _question.reset(token)


def current_question(llm: Any) -> Optional[Question]:
    """The question that ``llm`` is being asked in this task, if MetaGPT parses its answer."""
    question = _question.get()
    return question if question is not None and question.llm is llm else None


def _last_text(message: Any) -> str:
    """The text of a question: of a message, or of the last one of several."""
    if isinstance(message, (list, tuple)):
        message = message[-1] if message else ""
    content = message.get("content", "") if isinstance(message, Mapping) else getattr(message, "content", message)
    return content if isinstance(content, str) else ""


def dump_answer(value: Any) -> str:
    """``value`` as JSON that survives what MetaGPT does to an answer before it is parsed.

    Its parsers end at the first ``[/CONTENT]`` and at three backticks, and with ``repair_llm_output`` what follows a
    ``#`` or ``//`` is cut off where an escaped quote hides that it is in a string. Backticks, slashes and quotes stand
    in strings only, where JSON can escape them.

    >>> dump_answer(["```", 'a "b"'])
    '[\\n    "\\\\u0060\\\\u0060\\\\u0060",\\n    "a \\\\u0022b\\\\u0022"\\n]'
    """
    text = json.dumps(value, indent=4, ensure_ascii=False)
    text = text.replace("[/CONTENT]", "[\\/CONTENT]").replace("```", "\\u0060" * 3)
    return re.sub(r"\\(.)", lambda pair: "\\u0022" if pair[1] == '"' else pair[0], text)


def read_fence(text: str) -> str:
    """What all releases of MetaGPT take for the JSON in ``text``: the first block of code, or all of it where there is
    none. Release 0.8.2 takes a block of any language, ended by any three backticks; what its main branch would read
    otherwise is "" here.
    """
    start = text.find("```")
    if start < 0:
        return text
    found = _FENCE.match(text, start)
    return found[1] if found and "```" not in found[1] else ""


def _read_tags(text: str) -> str:
    found = _TAGS.search(text)
    return found[1] if found else ""


TAGGED = AnswerForm(_read_tags, lambda value, _: f"[CONTENT]\n{dump_answer(value)}\n[/CONTENT]")
FENCED = AnswerForm(read_fence, lambda value, _: f"```json\n{dump_answer(value)}\n```")
BARE = AnswerForm(lambda text: text, lambda value, _: dump_answer(value))

TEXT: Mapping[str, Any] = {"type": "string"}


def object_schema(**properties: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an object that has just these properties, which models write in this order."""
    return {
        "type": "object",
        "properties": {name: dict(schema) for name, schema in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }


def short_text_schema(length: int) -> dict[str, Any]:
    """The schema of a text of at most ``length`` characters, where a longer one is no answer: small models may write a
    text without an end."""
    return {**TEXT, "maxLength": length}


def list_schema(items: Mapping[str, Any], least: int = 0, most: Optional[int] = None) -> dict[str, Any]:
    """The schema of a list of ``least`` to ``most`` items; small models may write one without an end otherwise."""
    bounds = {"minItems": least, **({} if most is None else {"maxItems": max(least, most)})}
    return {"type": "array", "items": dict(items), **bounds}


def word_schema(words: Collection[str]) -> dict[str, Any]:
    """The schema of a text that is one of ``words``; any text where there are none."""
    return {"type": "string", "enum": list(words)} if words else dict(TEXT)
