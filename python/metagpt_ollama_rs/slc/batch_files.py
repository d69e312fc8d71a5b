"""`BatchFileTool`: many files at once, searched, changed, renamed, put before a model; first as a dry run, and undone.

    tool = BatchFileTool("project")
    print(tool.replace("**/*.py", "old_name", "new_name"))                   # a diff; nothing is written
    print(tool.replace("**/*.py", "old_name", "new_name", apply=True))
    print(tool.undo())

What may be opened says `rooted_folder`, which bytes are text `file_texts`, how a batch gets to the disk and back
`file_steps`, with the journal of `file_journal`.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from metagpt_ollama_rs.errors import (
    ConfigurationError,
    ContextOverflowError,
    EmptyAnswerError,
    OllamaError,
    StreamError,
    UnusableAnswerError,
)
from metagpt_ollama_rs.slc.calls import ToolOptions, aask, check_tool_options
from metagpt_ollama_rs.slc.config import tool_config
from metagpt_ollama_rs.slc.files.file_answers import is_prose, new_lines
from metagpt_ollama_rs.slc.files.file_diffs import content_diff, count_lines, rename_diff
from metagpt_ollama_rs.slc.files.file_globs import PathGlob
from metagpt_ollama_rs.slc.files.file_journal import FileJournal
from metagpt_ollama_rs.slc.files.file_steps import (
    FileChange,
    FileProblem,
    apply_changes,
    left_alone,
    ordered_moves,
    reason_of,
    undo_batch,
)
from metagpt_ollama_rs.slc.files.file_texts import FileText, NotTextError, check_encoding, read_text
from metagpt_ollama_rs.slc.files.git_ignores import GitIgnores
from metagpt_ollama_rs.slc.files.limited_regex import RegexTimeoutError, check_regex, substitute_all
from metagpt_ollama_rs.slc.files.rooted_folder import (
    STATE_FOLDER,
    PathRefusedError,
    RootedFolder,
    check_target,
    check_writable,
    path_parts,
    shown_path,
)
from metagpt_ollama_rs.slc.parallel import run_all
from metagpt_ollama_rs.slc.prompt_language import prompt_language

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from typing_extensions import Unpack

    from metagpt_ollama_rs.slc.files.file_steps import UndoneBatch
    from metagpt_ollama_rs.slc.files.rooted_folder import FileBytes

__all__ = ["BatchFileTool", "BatchPlan", "BatchReport", "FileChange", "FileProblem"]

# Failures that say something of the file, and nothing of those to come.
_OF_ONE_FILE = (ContextOverflowError, EmptyAnswerError, StreamError, UnusableAnswerError)
# What a template of `rename` may name.
_TEMPLATE_FIELDS = ("name", "stem", "suffix", "folder", "number")


@dataclass(frozen=True)
class BatchReport:
    """What is to become of files, or what has become of them. As a text: the diff, a summary, what was left alone.

    Attributes:
        action: ``replace``, ``rename`` or ``apply_prompt``.
        changes: of each file that changes what changes.
        problems: the files that are left alone, and why.
        looked_at: how many files the pattern matches.
        number: that of the batch, if it was written, for `BatchFileTool.undo`; else None.

    >>> print(BatchReport("replace", (), (FileProblem("a.bin", "it is binary"),), looked_at=2))
    Nothing is changed in 2 files.
    left alone, it is binary: a.bin
    """

    action: str
    changes: tuple[FileChange, ...]
    problems: tuple[FileProblem, ...]
    looked_at: int
    number: Optional[int] = None
    notes: tuple[str, ...] = ()

    @property
    def diff(self) -> str:
        """The changes as one unified diff, for people: files in any encoding are shown as text."""
        return "".join(change.diff for change in self.changes)

    @property
    def patch(self) -> bytes:
        """The changes as one unified diff of bytes: what `git apply` and `patch -p1` need for files that are not UTF-8.
        For all others it is the same as ``diff``."""
        return b"".join(
            content_diff(change.path, change.before, change.after)
            if change.new_path is None
            else rename_diff(change.path, change.new_path)
            for change in self.changes
        )

    @property
    def summary(self) -> str:
        """What changes, in one line."""
        if not self.changes:
            if not self.looked_at:
                return "No file matches the pattern."
            return f"Nothing is changed in {_count_of_files(self.looked_at)}."
        pairs = [
            count_lines(content_diff(change.path, change.before, change.after))
            for change in self.changes
            if change.new_path is None
        ]
        lines = f" (+{sum(added for added, _ in pairs)} -{sum(gone for _, gone in pairs)} lines)" if pairs else ""
        verb = "renamed" if self.action == "rename" else "changed"
        count = _count_of_files(len(self.changes))
        if self.number is None:
            return f"{count} would be {verb}{lines}. This is a dry run: nothing was written; apply=True writes it."
        were = "was" if len(self.changes) == 1 else "were"
        return f"{count} {were} {verb}{lines}, as batch {self.number}; undo() puts them back."

    def __str__(self) -> str:
        return "\n".join(
            [*([self.diff] if self.changes else []), self.summary, *self.notes, *left_alone(self.problems)]
        )


@dataclass(frozen=True)
class BatchPlan(BatchReport):
    """A batch that was not written yet. `apply` writes precisely what it shows.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     file = pathlib.Path(root, "a.txt")
    ...     _ = file.write_text("one two")
    ...     plan = BatchFileTool(root).plan_replace("*.txt", "two", "three")
    ...     print(file.read_text(), plan.apply().number, file.read_text())
    one two 1 one three
    """

    _folder: Optional[RootedFolder] = field(default=None, repr=False)
    _steps: tuple[FileChange, ...] = field(default=(), repr=False)

    def apply(self) -> BatchReport:
        """Writes the changes as one batch, which `BatchFileTool.undo` can undo, also after a crash.

        Returns:
            What was written. Files that were changed in the meantime, or cannot be written, are left alone, and are
            among the problems; renames are made all or none.

        Raises:
            BatchError: nothing was written, because of the disk, or because an earlier batch was interrupted.
        """
        number, changes, problems = None, self.changes, self.problems
        if self._folder is not None and self.changes:
            applied = apply_changes(self._folder, FileJournal(self._folder), self.action, self._steps or self.changes)
            number, problems = applied.number, (*self.problems, *applied.problems)
            changes = self.changes if self._steps else applied.changed
        return BatchReport(self.action, changes, problems, self.looked_at, number, self.notes)


class _ReadFile(NamedTuple):
    path: str
    found: FileBytes
    text: FileText


class BatchFileTool:
    """Finds, reads, changes and renames many files below one folder, and nothing outside of it.

    What writes is a dry run unless ``apply=True``: it returns a unified diff. Files keep their encoding, line ends,
    mode and owner. Links, files with several names, binary and read-only files are left alone and named.

    Args:
        root: the folder. It may be reached through links; no link below it is followed.
        hidden: True to find files and folders whose names begin with a dot, too.
        ignored: True to find what ``.gitignore`` files name, too.
        encoding: that of files that are not UTF-8 and have no byte order mark, such as ``cp1252``. Without it GBK is
            recognised.
        max_bytes: files with more bytes are left alone.
        regex_seconds: how long a regular expression may take for all files.

    Raises:
        OSError: there is no such folder.
        PathRefusedError: the system cannot keep paths below a folder (Windows).

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     _ = pathlib.Path(root, "a.txt").write_text("one\\ntwo\\n")
    ...     print(BatchFileTool(root).replace("*.txt", "two", "2"))
    diff --git a/a.txt b/a.txt
    --- a/a.txt
    +++ b/a.txt
    @@ -1,2 +1,2 @@
     one
    -two
    +2
    <BLANKLINE>
    1 file would be changed (+1 -1 lines). This is a dry run: nothing was written; apply=True writes it.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        hidden: bool = False,
        ignored: bool = False,
        encoding: Optional[str] = None,
        max_bytes: int = 16 << 20,
        regex_seconds: float = 10.0,
    ) -> None:
        self._folder = RootedFolder(root)
        self._hidden = hidden
        self._ignored = ignored
        self._encoding = None if encoding is None else check_encoding(encoding)
        self._max_bytes = max_bytes
        self._regex_seconds = regex_seconds

    def find(self, pattern: str = "**/*") -> list[str]:
        """Lists the files that a pattern matches. Git's own folder, links, and what git ignores are left out.

        Outside of the root only git's rules are read: the ``.gitignore`` files of the folders above, up to the top of
        the repository, and its ``info/exclude``.

        Args:
            pattern: a path below the root, such as ``**/*.py``; ``*``, ``?`` and ``[...]`` match within a name, ``**``
                any number of folders.

        Returns:
            The paths below the root, sorted.

        Raises:
            PathRefusedError: the pattern leads out of the root.
        """
        glob = PathGlob(pattern, self._hidden)
        rules = None if self._ignored else GitIgnores(self._folder.path)

        def enters(parts: tuple[str, ...], _: int) -> bool:
            name = parts[-1] if parts else ""
            if name.casefold() == ".git" or name.startswith(STATE_FOLDER) or not glob.may_match_below(parts):
                return False
            if rules is None:
                return True
            if parts and rules.ignores(parts, is_folder=True):
                return False
            try:
                data = self._folder.read("/".join((*parts, ".gitignore")), limit=1 << 20).data
            except OSError:
                # There is none, or none that git would read.
                data = b""
            rules.enter(parts, data)
            return True

        return sorted(
            "/".join(parts)
            for parts in self._folder.walk(enters)
            if glob.matches(parts)
            and not parts[-1].startswith(STATE_FOLDER)
            and (rules is None or not rules.ignores(parts, is_folder=False))
        )

    def read(self, path: str) -> str:
        """Reads one file.

        Args:
            path: below the root.

        Returns:
            The text, with the line ends that the file has.

        Raises:
            PathRefusedError: the path leads out of the root or to what is no regular file.
            NotTextError: the file is binary, or its encoding is not known.
            FileNotFoundError: there is no such file.
        """
        data = self._folder.read(path, limit=self._max_bytes).data
        try:
            return read_text(data, str(path), self._encoding).text
        except NotTextError as error:
            raise NotTextError(f"{shown_path(str(path))}: {error.message}", hint=error.hint) from None

    def replace(self, pattern: str, old: str, new: str, *, regex: bool = False, apply: bool = False) -> str:
        r"""Replaces a text in many files.

        Args:
            pattern: which files, as for `find`.
            old: the text to replace, or a regular expression of Python's `re`, in which ``^`` and ``$`` match at the
                ends of lines. ``\n`` matches each kind of line end.
            new: what takes its place. With ``regex``, ``\1`` and ``\g<name>`` stand for groups (``$1`` does not).
            regex: True if ``old`` is a regular expression.
            apply: True to write the files. Without it nothing is written.

        Returns:
            A unified diff, a summary in one line, and the files that were left alone.

        Raises:
            ConfigurationError: the regular expression or the replacement is not valid, or takes too long.
            BatchError: nothing could be written.
        """
        return _shown_or_applied(self.plan_replace(pattern, old, new, regex=regex), apply)

    def rename(
        self, pattern: str, old: str, new: Optional[str] = None, *, regex: bool = False, apply: bool = False
    ) -> str:
        r"""Renames many files. No file is ever replaced by another one; files may swap their names.

        Args:
            pattern: which files, as for `find`.
            old: the text to replace in each file's name, or a regular expression. Without ``new`` it is a template of
                the new name: ``{stem}.md``, ``{number:03}{suffix}``, ``docs/{name}``. One with a ``/`` is a path below
                the root. Its fields are name, stem, suffix, folder and number (from 1).
            new: what takes the place of ``old``.
            regex: True if ``old`` is a regular expression.
            apply: True to rename the files. Without it nothing is done.

        Returns:
            A diff as git shows it, a summary in one line, and the files that were left alone.

        Raises:
            ConfigurationError: the template or the regular expression is not valid.
            BatchError: nothing could be renamed.
        """
        return _shown_or_applied(self.plan_rename(pattern, old, new, regex=regex), apply)

    def apply_prompt(
        self,
        pattern: str,
        instruction: str,
        *,
        apply: bool = False,
        at_once: int = 4,
        **options: Unpack[ToolOptions],
    ) -> str:
        """Has the model change many files as an instruction says, each by itself.

        A file for which the model has no usable answer is left alone and named, the others are changed: an answer that
        is empty or cut, or leaves something out, or is no Python in a Python file. With ``apply=True`` the model is
        asked anew; ``plan_prompt(...)`` gives an object whose ``apply()`` writes precisely what it shows.

        Args:
            pattern: which files, as for `find`.
            instruction: what to change.
            apply: True to write the files. Without it nothing is written.
            at_once: how many files the model is asked about at the same time.

        Returns:
            A unified diff, a summary in one line, and the files that were left alone.

        Raises:
            OllamaError: the model could not be asked about any file; or nothing could be written (BatchError).
        """
        return _shown_or_applied(self.plan_prompt(pattern, instruction, at_once=at_once, **options), apply)

    def undo(self, batch: Optional[int] = None, *, force: bool = False) -> str:
        """Puts the files back as they were before a batch, byte for byte, also if the batch was interrupted.

        A file that was changed after the batch is left alone and named; the batch then stays, for another ``undo``.

        Args:
            batch: the number of the batch; without it the newest one that was not undone.
            force: True to put files back that were changed after the batch.

        Returns:
            A summary in one line, and the files that were left alone.

        Raises:
            BatchError: there is no batch of this number, or not all could be undone.
        """
        return str(self.undo_report(batch, force=force))

    def undo_report(self, batch: Optional[int] = None, *, force: bool = False) -> UndoneBatch:
        """As `undo`. Returns the paths in the place of a text."""
        return undo_batch(self._folder, FileJournal(self._folder), batch, force=force)

    def plan_replace(self, pattern: str, old: str, new: str, *, regex: bool = False) -> BatchPlan:
        """As `replace`. Returns the changes, which ``apply()`` writes."""
        if not old:
            raise ConfigurationError("the text to replace is empty")
        if regex:
            check_regex(old, new)
        # Who writes a carriage return means it: line ends are then characters like others.
        exact = "\r" in old + new or (regex and r"\r" in old + new)

        def source_of(text: FileText) -> str:
            return text.text if exact else text.lines

        # Only the files that change are kept in memory, but for a regular expression, which runs on all at once.
        files, problems, count = self._read_all(pattern, lambda text: regex or old in source_of(text))
        sources = [source_of(file.text) for file in files]
        if regex:
            made = [text for text, _ in self._substituted(old, new, sources, [file.path for file in files])]
        else:
            made = [source.replace(old, new) for source in sources]
        changes: list[FileChange] = []
        for file, source, text in zip(files, sources, made):
            if text != source:
                self._add_change(file, text, changes, problems, exact=exact)
        notes = ("note: $ is written as it stands; \\1 is a group",) if regex and _has_dollar_group(new) else ()
        return self._plan("replace", changes, problems, count, notes=notes)

    def plan_rename(self, pattern: str, old: str, new: Optional[str] = None, *, regex: bool = False) -> BatchPlan:
        """As `rename`. Returns the changes, which ``apply()`` makes."""
        paths = self.find(pattern)
        names: dict[str, str] = {}
        problems: list[FileProblem] = []
        for path, new_path in zip(paths, self._new_paths(paths, old, new, regex)):
            if new_path == path:
                continue
            try:
                self._check_move(path, new_path)
                names[path] = new_path
            except OSError as error:
                problems.append(FileProblem(path, reason_of(new_path, error)))
        self._leave_taken_names(names, problems)
        changes = [
            FileChange(path, new_path=new_path, diff=rename_diff(path, new_path).decode())
            for path, new_path in names.items()
        ]
        moves = ordered_moves(names, f"{STATE_FOLDER}-move-")
        steps = tuple(FileChange(path, new_path=new_path) for path, new_path in moves)
        return self._plan("rename", changes, problems, len(paths), steps=steps)

    def plan_prompt(
        self, pattern: str, instruction: str, *, at_once: int = 4, **options: Unpack[ToolOptions]
    ) -> BatchPlan:
        """As `apply_prompt`. Returns the changes, which ``apply()`` writes."""
        check_tool_options("apply_prompt", options)
        if not instruction.strip():
            raise ConfigurationError("the instruction is empty")
        if options.get("language") is None and tool_config().language is None:
            # The paths are no words of the user's.
            options["language"] = prompt_language([instruction])
        files, problems, count = self._read_all(pattern, to_write=True)

        async def edited(file: _ReadFile) -> str:
            lines = file.text.lines
            fields = {"path": shown_path(file.path), "instruction": instruction}
            if is_prose(file.path):
                answer = await aask("edit_text_file", {**fields, "document": lines}, options)
            else:
                answer = await aask("edit_code_file", {**fields, "code": lines}, options)
            return new_lines(file.path, lines, answer)

        outcomes = run_all(files, edited, at_once=at_once, title="Files")
        failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        wrong = next((error for error in failures if not isinstance(error, OllamaError)), None)
        of_files = any(isinstance(error, _OF_ONE_FILE) for error in failures)
        if wrong is not None or (failures and len(failures) == len(files) and not of_files):
            raise wrong or failures[0]
        changes: list[FileChange] = []
        for file, outcome in zip(files, outcomes):
            if isinstance(outcome, Exception):
                problems.append(FileProblem(file.path, str(outcome).partition("\n")[0]))
            elif outcome != file.text.lines:
                self._add_change(file, outcome, changes, problems)
        return self._plan("apply_prompt", changes, problems, count)

    def _plan(
        self,
        action: str,
        changes: Sequence[FileChange],
        problems: Sequence[FileProblem],
        looked_at: int,
        *,
        notes: tuple[str, ...] = (),
        steps: tuple[FileChange, ...] = (),
    ) -> BatchPlan:
        ordered = tuple(sorted(problems, key=lambda problem: problem.path))
        return BatchPlan(action, tuple(changes), ordered, looked_at, None, notes, self._folder, steps)

    def _read_all(
        self, pattern: str, wanted: Callable[[FileText], bool] = lambda _: True, *, to_write: bool = False
    ) -> tuple[list[_ReadFile], list[FileProblem], int]:
        """The ``wanted`` ones of the texts that the pattern matches (only those that may be written, if they are
        ``to_write``), the files that are left alone, and how many files the pattern matches."""
        files, problems = [], []
        paths = self.find(pattern)
        for path in paths:
            try:
                found = self._folder.read(path, limit=self._max_bytes)
                if to_write:
                    check_writable(path, found.status)
                text = read_text(found.data, path, self._encoding)
                if wanted(text):
                    files.append(_ReadFile(path, found, text))
            except (OSError, NotTextError) as error:
                problems.append(FileProblem(path, reason_of(path, error)))
        return files, problems, len(paths)

    def _add_change(
        self,
        file: _ReadFile,
        text: str,
        changes: list[FileChange],
        problems: list[FileProblem],
        *,
        exact: bool = False,
    ) -> None:
        path, found = file.path, file.text
        try:
            check_writable(path, file.found.status)
            after = found.encode_exactly(text) if exact else found.encode(text)
        except UnicodeEncodeError as error:
            missing = error.object[error.start : error.end]
            problems.append(FileProblem(path, f"its encoding {found.encoding} has no {missing!r:.40}"))
            return
        except PathRefusedError as error:
            problems.append(FileProblem(path, reason_of(path, error)))
            return
        before, shown_after = found.text, after[len(found.mark) :].decode(found.encoding)
        if found.encoding == "utf-8":
            diff = content_diff(path, file.found.data, after)
        else:
            diff = content_diff(path, before.encode(), shown_after.encode())
        changes.append(FileChange(path, file.found.data, after, diff=diff.decode()))

    def _substituted(
        self, pattern: str, replacement: str, texts: Sequence[str], paths: Sequence[str]
    ) -> list[tuple[str, int]]:
        try:
            return substitute_all(pattern, replacement, texts, seconds=self._regex_seconds)
        except RegexTimeoutError as error:
            raise RegexTimeoutError(f"{shown_path(paths[error.index])}: {error.message}", hint=error.hint) from None

    def _new_paths(self, paths: Sequence[str], old: str, new: Optional[str], regex: bool) -> list[str]:
        split = [path.rpartition("/") for path in paths]
        if new is None:
            return [_from_template(old, path, number) for number, path in enumerate(paths, 1)]
        if not old:
            raise ConfigurationError("the text to replace is empty")
        names = [name for _, _, name in split]
        if regex:
            made = [name for name, _ in self._substituted(old, new, names, paths)]
        else:
            made = [name.replace(old, new) for name in names]
        return [f"{folder}{slash}{name}" for (folder, slash, _), name in zip(split, made)]

    def _check_move(self, path: str, new_path: str) -> None:
        """Raises OSError for a new name that cannot be given, whatever other files are called."""
        parts = path_parts(new_path)
        if "/".join(parts) != new_path:
            raise PathRefusedError(f"{new_path!r} is no name of a file")
        check_target(new_path)
        if any(part.casefold().startswith(STATE_FOLDER) for part in parts):
            # A batch would take such a file for one of its temporary files, and delete it.
            raise PathRefusedError(f"names that begin with {STATE_FOLDER} are those of temporary files")
        status = self._folder.status(path)
        if status is None:
            raise PathRefusedError("it is no longer there")
        # A name that is too long for the file system is refused here.
        self._folder.status(new_path)
        try:
            check_writable(path, status)
        except PathRefusedError as error:
            raise PathRefusedError(reason_of(path, error)) from error
        try:
            with self._folder.folder(parts[:-1]):
                pass
        except FileNotFoundError:
            raise PathRefusedError(f"there is no folder {shown_path('/'.join(parts[:-1]))}") from None

    def _leave_taken_names(self, names: dict[str, str], problems: list[FileProblem]) -> None:
        """Takes those moves out whose names are taken, by a file that stays or by another move."""
        while True:
            wanted: dict[str, list[str]] = {}
            for path, new_path in names.items():
                wanted.setdefault(new_path, []).append(path)
            refused: dict[str, str] = {}
            for new_path, paths in wanted.items():
                if len(paths) > 1:
                    refused.update(
                        (path, f"{len(paths)} files would get the name {shown_path(new_path)}") for path in paths
                    )
                elif new_path not in names and self._is_taken(new_path, by_other_than=paths[0]):
                    refused[paths[0]] = f"{shown_path(new_path)} is there already"
            if not refused:
                return
            for path, reason in refused.items():
                del names[path]
                problems.append(FileProblem(path, reason))

    def _is_taken(self, new_path: str, *, by_other_than: str) -> bool:
        new, old = self._folder.status(new_path), self._folder.status(by_other_than)
        # Where upper and lower case do not differ, a file has each spelling of its name.
        same = new is not None and old is not None and (new.st_dev, new.st_ino) == (old.st_dev, old.st_ino)
        return new is not None and not same


def _shown_or_applied(plan: BatchPlan, apply: bool) -> str:
    return str(plan.apply() if apply else plan)


def _from_template(template: str, path: str, number: int) -> str:
    folder, slash, name = path.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    values: dict[str, Any] = dict(zip(_TEMPLATE_FIELDS, (name, stem, dot + suffix, folder, number)))
    hint = f"its fields are {', '.join(map('{{{}}}'.format, _TEMPLATE_FIELDS))}; a brace is written twice"
    try:
        unknown = [found for _, found, _, _ in string.Formatter().parse(template) if found not in (None, *values)]
        if unknown:
            raise ConfigurationError(f"the template {template} has the field {unknown[0]!r}", hint=hint)
        made = template.format(**values)
    except (ValueError, TypeError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"the template {template} is not valid: {error}", hint=hint) from error
    if "/" not in made:
        return f"{folder}{slash}{made}"
    # In the root, `{folder}/` is nothing.
    return made if folder else made.removeprefix("/") if template.startswith("{folder}") else made


def _has_dollar_group(replacement: str) -> bool:
    return any(after[:1].isdigit() or after[:1] in ("{", "<", "&") for after in replacement.split("$")[1:])


def _count_of_files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"
