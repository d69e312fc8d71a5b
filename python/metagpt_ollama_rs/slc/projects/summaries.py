"""Summaries of files and of whole projects, however long they are, by a model with a context of limited size.

    summarizer = Summarizer(options, "en")
    await summarizer.of_text("shop.py", text)       # Summary("The orders of a shop. …", faults=[])
    await summarizer.of_project("shop", {"shop.py": "The orders of …", "web/app.py": "The pages of …"})

A file that does not fit into the context is cut (see `text_pieces`), its pieces are summarised, and their summaries are
joined. So it is with a project: where the summaries of all files do not fit into one prompt, those of the deepest
folders are joined first. A piece that fails does not take the others with it.

How large the context is says `context_facts`: the request, the server, or else a careful number. ``num_ctx`` is never
changed for it, because the server would load the model anew. An estimate of tokens may be wrong; the server then
refuses the prompt, says by how much, and the pieces get smaller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Optional, TypeVar, cast

from metagpt_ollama_rs.context_facts import (
    ask_context,
    ask_loaded_context,
    known_context,
    note_limit,
    positive_count,
)
from metagpt_ollama_rs.errors import ConfigurationError, ContextOverflowError, OllamaError
from metagpt_ollama_rs.slc.calls import ToolOptions, aask, async_client
from metagpt_ollama_rs.slc.config import tool_config
from metagpt_ollama_rs.slc.parallel import gather_bounded, progress_bar
from metagpt_ollama_rs.slc.projects.project_files import shown
from metagpt_ollama_rs.slc.projects.text_pieces import Piece, cut_text
from metagpt_ollama_rs.slc.prompts import render_prompt
from metagpt_ollama_rs.text_cuts import first_part
from metagpt_ollama_rs.token_estimates import TokenEstimator, estimator_of, note_counts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from metagpt_ollama_rs.slc.prompt_language import PromptLanguage

__all__ = ["Summarizer", "Summary"]

Item = TypeVar("Item")

# What an answer gets of the context where the options do not say how long it may be.
_ANSWER_SHARE = 0.2
# What a model's template and the roles add to a prompt, in tokens.
_AROUND = 30
# Prompts of fewer tokens fit into any context that is in use, and nobody is asked how large it is.
_SMALL = 1000
# Pieces of fewer tokens are no use.
_LEAST_PIECE = 64
_LEAST_CHARACTERS = 200
# How much less is sent after the server has refused what should have fitted.
_SMALLER = 0.75

_EMPTY: dict[PromptLanguage, str] = {"en": "(empty)", "zh": "（空文件）"}
_LINES: dict[PromptLanguage, str] = {"en": "lines {}-{}", "zh": "第 {}-{} 行"}


class Summary(NamedTuple):
    """The ``text`` of a summary, and the ``faults``: which parts it lacks, and why.

    >>> Summary("A parser.", []).faults
    []
    """

    text: str
    faults: list[str]


class Summarizer:
    """Asks one model, with the same options, for all summaries of a tool's call.

    Args:
        options: those of the call. Their ``on_text`` is told the last summary only.
        language: that of all prompts.
        at_once: how many requests of one file, or of one project's folders, run at the same time.
        title: of the progress bar of these requests; without one there is no bar.

    >>> import asyncio
    >>> from metagpt_ollama_rs.slc import ollama_config
    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     ollama_config.base_url = server.url
    ...     server.answer("It prints a greeting.")
    ...     asyncio.run(Summarizer({}, "en").of_text("hello.py", "print('Hello')"))
    Summary(text='It prints a greeting.', faults=[])
    """

    def __init__(self, options: ToolOptions, language: PromptLanguage, at_once: int = 1, title: str = "") -> None:
        self._language: PromptLanguage = language
        self._at_once = at_once
        self._title = title
        self._loud = cast("ToolOptions", {**options, "language": language})
        self._quiet = cast("ToolOptions", {**self._loud, "on_text": None})
        self._model = options.get("model") or tool_config().model
        sent = options.get("options") or {}
        self._num_ctx = positive_count(sent.get("num_ctx", tool_config().context_length))
        self._num_predict = positive_count(sent.get("num_predict"))
        self._share = 1.0

    async def of_text(self, path: str, text: str, *, is_last: bool = False) -> Summary:
        """The summary of the file ``path``. ``is_last`` says that nothing is made of it, so that ``on_text`` hears it.

        Raises OllamaError if it, or every piece of it, fails.
        """
        if not text.strip():
            return Summary(_EMPTY[self._language], [])
        fields = {"path": shown(path), "code": text}
        if await self._fits("summarize_file", fields):
            try:
                return Summary(await self._ask("summarize_file", fields, is_last), [])
            except ContextOverflowError as error:
                self._learn(error, "summarize_file", fields)
        pieces = self._cut(path, text)
        outcomes = await self._gathered(pieces, lambda piece: self._of_piece(path, piece))
        labels = [_LINES[self._language].format(piece.first, piece.last) for piece in pieces]
        failed = [(label, outcome) for label, outcome in zip(labels, outcomes) if isinstance(outcome, Exception)]
        if len(failed) == len(pieces):
            raise failed[0][1]
        done = [(label, outcome) for label, outcome in zip(labels, outcomes) if isinstance(outcome, str)]
        joined = await self._joined("join_summaries", {"path": shown(path)}, done, is_last)
        return Summary(joined, [f"{label}: {error}" for label, error in failed])

    async def of_project(self, name: str, summaries: Mapping[str, str]) -> str:
        """The summary of the project ``name``, of the summaries of its files by their paths. Raises OllamaError."""
        entries = dict(summaries)
        while not await self._fits("summarize_project", {"path": name, "document": _document(list(entries.items()))}):
            deepest = max((path.rstrip("/").count("/") for path in entries), default=0)
            if deepest == 0:
                break
            folders: dict[str, list[tuple[str, str]]] = {}
            for path, summary in entries.items():
                inside = path.rstrip("/").count("/") == deepest
                key = path.rstrip("/").rpartition("/")[0] + "/" if inside else path
                folders.setdefault(key, []).append((path, summary))
            outcomes = await self._gathered(list(folders.items()), self._of_folder)
            entries = dict(zip(folders, _texts_of(outcomes)))
        return await self._joined("summarize_project", {"path": name}, list(entries.items()), True)

    async def _gathered(self, work: Sequence[Item], call: Callable[[Item], Awaitable[str]]) -> list[str | Exception]:
        with progress_bar(self._title, len(work) if self._title else 0) as advance:
            return await gather_bounded(work, call, at_once=self._at_once, on_done=advance)

    async def _of_folder(self, folder: tuple[str, list[tuple[str, str]]]) -> str:
        path, entries = folder
        if len(entries) == 1:
            return entries[0][1]
        return await self._joined("summarize_folder", {"path": shown(path)}, entries, False)

    async def _of_piece(self, path: str, piece: Piece) -> str:
        fields = self._piece_fields(path, piece)
        try:
            return await self._ask("summarize_part", fields, False)
        except ContextOverflowError as error:
            self._learn(error, "summarize_part", fields)
            if len(piece.text) < _LEAST_CHARACTERS:
                raise
        half = len(piece.text) // 2
        smaller = cut_text(path, piece.text, lambda text: len(text) <= half, piece.first)
        return "\n".join([await self._of_piece(path, part) for part in smaller])

    async def _joined(
        self, name: str, fields: Mapping[str, str], entries: Sequence[tuple[str, str]], is_last: bool
    ) -> str:
        """The answer to the prompt ``name`` about summaries with a label each, which are joined in groups before, as
        long as they do not fit together."""
        while True:
            filled = {**fields, "document": _document(entries)}
            if await self._fits(name, filled) or len(entries) == 1:
                try:
                    return await self._ask(name, filled, is_last)
                except ContextOverflowError as error:
                    self._learn(error, name, filled)
                    if len(entries) == 1:
                        raise
            entries = await self._merged(self._shortened(entries))

    async def _merged(self, entries: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """``entries`` in groups of neighbours that fit together, each group with one summary."""
        groups: list[list[tuple[str, str]]] = []
        for entry in entries:
            if groups and (len(groups[-1]) < 2 or self._fits_now("merge_summaries", [*groups[-1], entry])):
                groups[-1].append(entry)
            else:
                groups.append([entry])
        outcomes = await self._gathered(groups, self._of_group)
        labels = [f"{group[0][0]} … {group[-1][0]}" if len(group) > 1 else group[0][0] for group in groups]
        return list(zip(labels, _texts_of(outcomes)))

    async def _of_group(self, group: Sequence[tuple[str, str]]) -> str:
        if len(group) == 1:
            return group[0][1]
        return await self._ask("merge_summaries", {"document": _document(group)}, False)

    def _shortened(self, entries: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """``entries``, each cut so that two of them fit into a prompt: models may write more than they should."""
        room = (self._room() - self._weight("merge_summaries", {"document": ""})) / 2 - _AROUND
        estimator = self._estimator

        def fits(text: str) -> bool:
            return estimator.weight_at_most(text) <= room

        return [(label, text if fits(text) else first_part(text, fits) + "…") for label, text in entries]

    async def _ask(self, name: str, fields: Mapping[str, str], is_last: bool) -> str:
        return (await aask(name, fields, self._loud if is_last else self._quiet)).strip()

    async def _fits(self, name: str, fields: Mapping[str, str]) -> bool:
        """Whether the prompt fits. The server is asked for the size of the context if that matters."""
        weight = self._weight(name, fields)
        if weight <= min(_SMALL, self._room()):
            return True
        client = async_client()
        await ask_context(client, self._model, self._num_ctx)
        if weight > self._room() and not known_context(client.base_url, self._model, self._num_ctx).is_known:
            # Only a loaded model tells, and this one is to be loaded anyway.
            try:
                body = {"model": self._model, "stream": False, "options": self._quiet.get("options") or {}}
                await client.request_json("/api/generate", body, timeout=self._timeout)
            except OllamaError:
                # The call that follows says what is wrong.
                return True
            await ask_loaded_context(client, self._model, self._num_ctx)
        return weight <= self._room()

    def _fits_now(self, name: str, entries: Sequence[tuple[str, str]]) -> bool:
        return self._weight(name, {"document": _document(entries)}) <= self._room()

    def _cut(self, path: str, text: str) -> list[Piece]:
        room = self._room()
        if room - self._weight("summarize_part", self._piece_fields(path, Piece(1, 1, ""))) < _LEAST_PIECE:
            raise ConfigurationError(
                f"the context of {self._model} is too small for summaries: a prompt may have {round(room)} tokens",
                hint="set context_length (num_ctx)",
            )

        def fits(part: str) -> bool:
            return self._weight("summarize_part", self._piece_fields(path, Piece(1, 1, part))) <= room

        return cut_text(path, text, fits)

    def _piece_fields(self, path: str, piece: Piece) -> dict[str, str]:
        return {"path": shown(path), "lines": f"{piece.first}-{piece.last}", "code": piece.text}

    def _weight(self, name: str, fields: Mapping[str, str]) -> float:
        return self._estimator.weight_at_most(render_prompt(name, self._language, fields)) + _AROUND

    def _room(self) -> float:
        """How many tokens a prompt may have, by what is known."""
        size = known_context(async_client().base_url, self._model, self._num_ctx).tokens
        reserve = min(self._num_predict or size * _ANSWER_SHARE, size / 2)
        return (size - reserve) * self._share

    def _learn(self, error: ContextOverflowError, name: str, fields: Mapping[str, str]) -> None:
        """Takes what the server says of a prompt that it refused, so that the same prompt does not fit any more."""
        base_url = async_client().base_url
        note_limit(base_url, self._model, self._num_ctx, error.context_length)
        if error.prompt_tokens:
            payload = {"model": self._model, "prompt": render_prompt(name, self._language, fields)}
            note_counts(base_url, payload, {"prompt_eval_count": error.prompt_tokens})
        if self._weight(name, fields) <= self._room():
            self._share *= _SMALLER

    @property
    def _estimator(self) -> TokenEstimator:
        return estimator_of(async_client().base_url, self._model)

    @property
    def _timeout(self) -> Optional[float]:
        timeout = self._quiet.get("timeout")
        return tool_config().timeout if timeout is None else timeout


def _texts_of(outcomes: Sequence[str | Exception]) -> list[str]:
    """The outcomes of requests all of which are needed. Raises the first exception among them."""
    texts = []
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
        texts.append(outcome)
    return texts


def _document(entries: Sequence[tuple[str, str]]) -> str:
    """Summaries with their labels above them.

    >>> print(_document([("a.py", "A parser."), ("b.py", "Its tests.")]))
    a.py:
    A parser.
    <BLANKLINE>
    b.py:
    Its tests.
    """
    return "\n\n".join(f"{shown(label)}:\n{text}" for label, text in entries)
