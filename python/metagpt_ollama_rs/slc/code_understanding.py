"""`CodeUnderstandingTool`: what a snippet, a file or a project does, where it is started, and its documentation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Union

from metagpt_ollama_rs._core import excerpt
from metagpt_ollama_rs.errors import ConfigurationError, OllamaError
from metagpt_ollama_rs.slc.calls import ToolOptions, ask, asked_language, check_tool_options
from metagpt_ollama_rs.slc.extras import optional_module
from metagpt_ollama_rs.slc.parallel import run_all, run_to_end
from metagpt_ollama_rs.slc.projects import entry_points
from metagpt_ollama_rs.slc.projects.doc_names import invented_names, unfenced_markdown
from metagpt_ollama_rs.slc.projects.project_files import (
    MAX_FILE_BYTES,
    MAX_TOTAL_BYTES,
    Project,
    ProjectFile,
    read_project,
    read_text_file,
    shown,
)
from metagpt_ollama_rs.slc.projects.summaries import Summarizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Unpack

    from metagpt_ollama_rs.slc.projects.entry_point import EntryPoint
    from metagpt_ollama_rs.slc.prompt_language import PromptLanguage

    AnyPath = Union[str, os.PathLike[str]]

__all__ = ["CodeUnderstandingTool"]

# What the results say beside the model's words.
_WORDS: dict[str, dict[PromptLanguage, str]] = {
    "title": {"en": "Summaries", "zh": "摘要"},
    "joining": {"en": "Summaries of summaries", "zh": "合并摘要"},
    "counts": {"en": "Files summarised: {} of {}.", "zh": "已总结 {} 个文件，共 {} 个。"},
    "failed": {"en": "Not summarised:", "zh": "未能总结："},
    "no overview": {
        "en": "The overview could not be written ({}). The summaries of the files:",
        "zh": "未能写出概述（{}）。各文件的摘要：",
    },
    "encodings": {"en": "Read in an encoding that was guessed: {}.", "zh": "以猜测的编码读取：{}。"},
    "invented": {
        "en": "Note: the code does not have these names, which the text documents: {}.",
        "zh": "注意：代码中没有文档所写的这些名称：{}。",
    },
    "asked": {
        "en": "No entry point was found by syntax. The model names these:",
        "zh": "未能通过语法找到入口点。以下是模型给出的结果：",
    },
    "none": {"en": "No entry point was found.", "zh": "没有找到入口点。"},
}
_LONGEST_ERROR = 300
# So many bytes of each file are looked at for entry points, and of all files.
_ENTRY_FILE_BYTES, _ENTRY_TOTAL_BYTES = 1_000_000, 100_000_000


class CodeUnderstandingTool:
    """Explains, summarises and documents code with the configured model.

    >>> from metagpt_ollama_rs.slc import ollama_config
    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     ollama_config.base_url = server.url
    ...     server.answer("It prints the number 1.")
    ...     CodeUnderstandingTool.explain_code("print(1)")
    'It prints the number 1.'
    """

    @staticmethod
    def explain_code(code: str, **options: Unpack[ToolOptions]) -> str:
        """Explains what code does and how.

        Args:
            code: the code to explain, in any programming language.

        Returns:
            The explanation.

        Raises:
            OllamaError: the model could not be asked, or its answer was cut.
        """
        return ask("explain_code", {"code": code}, options)

    @staticmethod
    def summarize_file(path: AnyPath, *, at_once: int = 4, **options: Unpack[ToolOptions]) -> str:
        """Summarises a text file. One that is longer than the model's context is summarised in pieces.

        Args:
            path: the path of the file.
            at_once: how many pieces of a long file the model is asked for at the same time.

        Returns:
            The summary. Pieces that failed are named below it.

        Raises:
            OSError: the file cannot be read.
            ConfigurationError: the file is no text.
            OllamaError: the model could not be asked, or its answer was cut.
        """
        check_tool_options("summarize_file", options)
        file = read_text_file(path)
        language = asked_language({"code": file.text}, options)
        summarizer = Summarizer(options, language, at_once, _WORDS["title"][language])
        summary = run_to_end(summarizer.of_text(file.path, file.text, is_last=True))
        return _with_notes(summary.text, [*_failures(summary.faults, language), *_encodings([file], language)])

    @staticmethod
    def summarize_project(
        root: AnyPath,
        *,
        at_once: int = 4,
        max_file_bytes: int = MAX_FILE_BYTES,
        max_total_bytes: int = MAX_TOTAL_BYTES,
        **options: Unpack[ToolOptions],
    ) -> str:
        """Summarises a project: each of its text files first, then their summaries together.

        Files that git ignores, hidden files, binaries, installed libraries, lock files and generated files are left
        out. A terminal shows a progress bar.

        Args:
            root: the path of the project's folder.
            at_once: how many files the model is asked for at the same time.
            max_file_bytes: longer files are left out.
            max_total_bytes: files are left out that would make it more together.

        Returns:
            An overview of the project. Below it are the numbers of files, which of them failed and why, and what was
            left out.

        Raises:
            OSError: the folder does not exist or cannot be read.
            ConfigurationError: there is no file to summarise, or pathspec is not installed.
            OllamaError: the model could not be asked for any file: the first file's error.
        """
        check_tool_options("summarize_project", options)
        project = read_project(root, max_file_bytes=max_file_bytes, max_total_bytes=max_total_bytes)
        if not project.files:
            raise ConfigurationError(f"{root} has no text files", hint=project.left_out.text("en"))
        language = _project_language(project, options)
        files = [file for file in project.files if file.text.strip()] or project.files
        one_each = Summarizer(options, language)
        outcomes = run_all(
            files,
            lambda file: one_each.of_text(file.path, file.text),
            at_once=at_once,
            title=_WORDS["title"][language],
        )
        done, faults = {}, []
        for file, outcome in zip(files, outcomes):
            if isinstance(outcome, Exception):
                faults.append(f"{shown(file.path)}: {outcome}")
            else:
                done[file.path] = outcome.text
                faults += [f"{shown(file.path)}, {fault}" for fault in outcome.faults]
        if not done:
            raise next(outcome for outcome in outcomes if isinstance(outcome, Exception))
        joining = Summarizer(options, language, at_once, _WORDS["joining"][language])
        text = _overview(project, done, joining, language)
        notes = [
            _WORDS["counts"][language].format(len(done), len(files)),
            *_failures(faults, language),
            *_encodings(project.files, language),
            project.left_out.text(language),
        ]
        return _with_notes(text, notes)

    @staticmethod
    def find_entry_points(root: AnyPath, **options: Unpack[ToolOptions]) -> str:
        """Finds where the programs of a project are started: by the syntax of its files and by what its manifests
        declare. Only where nothing is found so, the model is asked.

        Args:
            root: the path of the project's folder.

        Returns:
            One line for each entry point, such as ``app/main.py:12: main guard: main (python app/main.py)``, and below
            them what was left out.

        Raises:
            OSError: the folder does not exist or cannot be read.
            ConfigurationError: pathspec is not installed.
            OllamaError: the model had to be asked, and could not be.
        """
        check_tool_options("find_entry_points", options)
        project = _entry_project(root)
        language = _project_language(project, options)
        found = entry_points.entry_points_of(project)
        lines = [str(point) for point in found]
        if not lines and project.files:
            answered = entry_points.ask_for_entry_points(project, {**options, "language": language})
            lines = [_WORDS["asked"][language], *answered] if answered else []
        return _with_notes("\n".join(lines) or _WORDS["none"][language], [project.left_out.text(language)])

    @staticmethod
    def list_entry_points(root: AnyPath) -> list[EntryPoint]:
        """Finds where the programs of a project are started, by syntax alone.

        Args:
            root: the path of the project's folder.

        Returns:
            The entry points in the order of their paths and lines. Each has path, line, kind, name and run, the
            command that starts it.

        Raises:
            OSError: the folder does not exist or cannot be read.
            ConfigurationError: pathspec is not installed.
        """
        return entry_points.entry_points_of(_entry_project(root))

    @staticmethod
    def generate_docs(code: str, **options: Unpack[ToolOptions]) -> str:
        """Writes the documentation of code, in Markdown.

        Args:
            code: the code to document, in any programming language.

        Returns:
            The Markdown. Where the code is Python, a note at its end says which of the documented names it does not
            have.

        Raises:
            ConfigurationError: markdown-it-py is not installed.
            OllamaError: the model could not be asked, or its answer was cut.
        """
        # Before the model has worked for nothing.
        optional_module("markdown_it")
        text = unfenced_markdown(ask("generate_docs", {"code": code}, options))
        names = invented_names(text, code)
        language = asked_language({"code": code}, options)
        shown_names = ", ".join(f"`{name}`" for name in names)
        return _with_notes(text, [_WORDS["invented"][language].format(shown_names)] if names else [])


def _entry_project(root: AnyPath) -> Project:
    return read_project(root, max_file_bytes=_ENTRY_FILE_BYTES, max_total_bytes=_ENTRY_TOTAL_BYTES)


def _project_language(project: Project, options: ToolOptions) -> PromptLanguage:
    """The language of the project's readme, or of most files where it has none or the readme does not tell."""
    readmes = [file.text for file in project.files if file.path.lower().startswith("readme")]
    if readmes:
        return asked_language({"readme": readmes[0]}, options)
    languages = [asked_language({"code": file.text}, options) for file in project.files]
    return max(("en", "zh"), key=languages.count) if languages else asked_language({}, options)


def _overview(project: Project, done: dict[str, str], summarizer: Summarizer, language: PromptLanguage) -> str:
    """The summary of all; where that fails, those of the files, which took their time."""
    try:
        return run_to_end(summarizer.of_project(shown(Path(project.root).resolve().name), done))
    except OllamaError as error:
        texts = [f"{shown(path)}:\n{summary}" for path, summary in done.items()]
        return "\n\n".join([_WORDS["no overview"][language].format(_short_text(str(error))), *texts])


def _failures(faults: Sequence[str], language: PromptLanguage) -> list[str]:
    return ["\n".join([_WORDS["failed"][language], *(f"- {_short_text(fault)}" for fault in faults)])] if faults else []


def _encodings(files: Sequence[ProjectFile], language: PromptLanguage) -> list[str]:
    guessed = [file for file in files if file.encoding in ("gbk", "gb18030") or file.encoding.endswith("?")]
    names = ", ".join(f"{shown(file.path)} ({file.encoding})" for file in guessed)
    return [_WORDS["encodings"][language].format(names)] if guessed else []


def _with_notes(text: str, notes: Sequence[str]) -> str:
    """``text`` with the notes that say something below a line."""
    notes = [note for note in notes if note]
    return "\n\n".join([text, "---", "\n".join(notes)]) if notes else text


def _short_text(text: str) -> str:
    return excerpt(text.replace("\n", " "), _LONGEST_ERROR)
