"""Requirements as users write them, made into arguments that an installer cannot misread.

    tomli>=2 ; python_version < "3.11"      # a requirement, parsed by `packaging`
    mine @ https://example.org/mine.whl     # a URL: refused unless it is allowed
    --index-url https://example.org/simple  # an option: refused unless it is allowed
    -r base.txt

A list has one of these in each element; a text has one in each line, as a requirements file does, with comments and
lines that a backslash continues. What is neither is refused, with its place.
"""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs.errors import ConfigurationError
from metagpt_ollama_rs.slc.extras import optional_module
from metagpt_ollama_rs.slc.machine.programs import hide_passwords

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Union

    from packaging.requirements import Requirement

    # One requirement, the text of a requirements file, the path of one, or a list with one requirement in each element.
    Requirements = Union[str, os.PathLike[str], Iterable[str]]
    # Which options are let through: none, all, or those with these names.
    AllowedOptions = Union[bool, Collection[str]]

__all__ = ["RequirementLine", "check_allowed", "option_arguments", "read_requirements", "requirement_text"]

# Names of packages that installers take for those of files, and files that are no packages.
_ARCHIVE = re.compile(r".*\.(whl|egg|zip|tar|tgz|tbz|txz|tlz|tar\.(gz|bz2|xz|lz|lzma|zst))", re.IGNORECASE)
_OTHER_FILE = re.compile(r"[^:]*\.(txt|in|toml|cfg|py)", re.IGNORECASE)
# A URL, or the path of a file or folder.
_ADDRESS = re.compile(r"(\w+\+)?\w+:\S+|[./~]\S*|\S+/\S*")
# Requirements files may give options to one requirement, such as its hashes.
_OPTIONS_BEHIND = re.compile(r"\s+(?=--\w)")
# The short options of pip and uv that have a value.
_WITH_VALUE = ("-c", "-e", "-f", "-i", "-r")
_INCLUDES = {"-r": "-r", "--requirement": "-r", "-c": "-c", "--constraint": "-c"}


@dataclass(frozen=True)
class RequirementLine:
    """One requirement, or one option.

    Attributes:
        where: its place, such as "requirements.txt, line 3".
        requirement: parsed, or None for an option and for a URL or path without a name.
        address: the URL or path, where there is no name to it, else "".
        options: the words of an option, or those that stand behind a requirement.
        constraint: whether it only counts where something else asks for the package (`-c`).

    >>> [line] = read_requirements("Tomli >= 2  # for TOML")
    >>> str(line.requirement), line.where
    ('Tomli>=2', 'requirements')
    """

    where: str
    requirement: Requirement | None = None
    address: str = ""
    options: tuple[str, ...] = ()
    constraint: bool = False


def read_requirements(requirements: Requirements, *, includes: bool | None = None) -> list[RequirementLine]:
    """The requirements and options of a list, a text or a file, in order.

    Args:
        requirements: one requirement or the text of a requirements file, the path of one (a `Path`), or a list.
        includes: whether `-r` and `-c` may be replaced by what stands in the files that they name (a relative name is
            relative to the file that says it, or to the working folder); None leaves these options as they are.

    Raises:
        ConfigurationError: something is neither a requirement nor an option, or a file cannot or may not be read.
        MissingLibraryError: `packaging` is not installed.
    """
    return list(_each_line(requirements, includes, ()))


def check_allowed(lines: Iterable[RequirementLine], *, urls: bool, options: AllowedOptions) -> None:
    """Raises ConfigurationError for the first URL, path or option that is not allowed, or is not one option."""
    for line in lines:
        if not urls and (line.address or (line.requirement and line.requirement.url)):
            raise ConfigurationError(
                f"{line.where}: a URL or path says by itself what is installed, and is not allowed: "
                f"{hide_passwords(line.address or str(line.requirement)):.200}",
                hint="allow_urls=True allows it",
            )
        if line.requirement and line.options:
            raise ConfigurationError(
                f"{line.where}: installers take options behind a requirement from files only: {line.options[0]:.200}",
                hint="give the file by -r, and allow that",
            )
        name = _option_name(line.options[0]) if line.options else ""
        if name and not (options is True or (options and name in options)):
            raise ConfigurationError(
                f"{line.where}: an option, where a requirement is expected: {name:.200}",
                hint=f"allow_options=[{name!r}] allows it",
            )
        option_arguments(line)


def requirement_text(requirement: Requirement) -> str:
    """A requirement as it is written anew; releases of `packaging` before 25 leave out a blank before the `@`.

    >>> [line] = read_requirements("Six@https://example.org/six.whl")
    >>> requirement_text(line.requirement)
    'Six @ https://example.org/six.whl'
    """
    return re.sub(r"^([^\s@]+)@ ", r"\1 @ ", str(requirement))


def option_arguments(line: RequirementLine) -> list[str]:
    """The option of a line as arguments, of which none can become a requirement or another option.

    A value is joined to its option, so that an installer refuses it where the option has none.
    Raises ConfigurationError for more than one option, or a value too many.

    >>> [line] = read_requirements("--index-url https://example.org")
    >>> option_arguments(line)
    ['--index-url=https://example.org']
    """
    if not line.options:
        return []
    first, *values = line.options
    if first.startswith("--"):
        arguments = [f"{first}={values[0]}"] if values else [first]
        most = 0 if "=" in first else 1
        fits = re.match(r"--\w", first) and len(values) <= most
    elif first[:2] in _WITH_VALUE:
        values = [*([first[2:]] if first[2:] else []), *values]
        arguments, fits = [first[:2], *values], len(values) == 1
    else:
        # Of `-Ue.` an installer would make two options.
        arguments, fits = [first], len(first) == 2 and not values
    if not fits or any(value.startswith("-") for value in values):
        shown = hide_passwords(" ".join(line.options))
        raise ConfigurationError(
            f"{line.where}: this is not one option with at most one value: {shown:.200}",
            hint="give each option an element, or a line, of its own",
        )
    return arguments


def _each_line(
    requirements: Requirements, includes: bool | None, reading: tuple[str, ...]
) -> Iterator[RequirementLine]:
    folder = ""
    if isinstance(requirements, os.PathLike):
        path = os.path.abspath(requirements)
        if path in reading:
            raise ConfigurationError(f"{path} includes itself")
        texts = [(f"{os.fspath(requirements)}, line {number}", text) for number, text in _lines(_file_text(path))]
        folder, reading = os.path.dirname(path), (*reading, path)
    elif isinstance(requirements, str):
        lines = list(_lines(requirements))
        texts = [(f"line {number}" if len(lines) > 1 else "requirements", text) for number, text in lines]
    else:
        texts = list(_elements(requirements))
    for where, text in texts:
        if "\n" in text or any(unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp", "Cs") for letter in text):
            raise ConfigurationError(f"{where}: a control character, or more than one line: {text!r:.200}")
        line = _read_line(where, text)
        included = _included(line) if includes is not None else None
        if included:
            option, name = included
            if not includes:
                hint = "allow_includes=True allows it"
                raise ConfigurationError(f"{where}: {option} reads another file, and is not allowed: {name}", hint=hint)
            for inner in _each_line(Path(folder, name), includes, reading):
                yield RequirementLine(
                    inner.where, inner.requirement, inner.address, inner.options, inner.constraint or option == "-c"
                )
        elif line:
            yield line


def _elements(requirements: Any) -> Iterator[tuple[str, str]]:
    if isinstance(requirements, Mapping) or not isinstance(requirements, Iterable):
        raise ConfigurationError(f"requirements must be a list of texts, or one text, and is {requirements!r:.200}")
    for index, element in enumerate(requirements):
        where = f"requirements[{index}]"
        if not isinstance(element, str):
            raise ConfigurationError(f"{where} must be a text, and is {element!r:.200}")
        yield where, _without_comment(element)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines with something in them, each with its number, without comments and with what continues them."""
    kept, start = "", 0
    for number, line in enumerate([*re.split(r"\r\n|\n|\r", text.lstrip("\ufeff")), ""], 1):
        start = start or number
        comment = re.match(r"\s*#", line)
        if line.endswith("\\") and not comment:
            kept += line[:-1]
            continue
        whole = _without_comment(kept + line)
        if whole:
            yield start, whole
        kept, start = "", 0


def _without_comment(text: str) -> str:
    return re.sub(r"(^|[ \t])#[^\n]*", "", text).strip(" \t").replace("\t", " ")


def _file_text(path: str) -> str:
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise OSError(0, "it is no regular file")
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigurationError(f"the requirements file {path} cannot be read: {reason}") from error


def _read_line(where: str, text: str) -> RequirementLine | None:
    if not text:
        return None
    if text.startswith("-"):
        return RequirementLine(where, options=_option_words(where, text))
    packaging = optional_module("packaging.requirements")
    own, *behind = _OPTIONS_BEHIND.split(text, maxsplit=1)
    try:
        requirement = packaging.Requirement(own)
    except packaging.InvalidRequirement as error:
        if _ADDRESS.fullmatch(own) and not _OTHER_FILE.fullmatch(own):
            return RequirementLine(where, address=own, options=_option_words(where, " ".join(behind)))
        # What follows the first line of the reason only points at the letter.
        reason = "it is the name of a file" if _OTHER_FILE.fullmatch(own) else str(error).partition("\n")[0]
        raise ConfigurationError(
            f"{where}: {hide_passwords(own)!r:.200} is no requirement: {reason}",
            hint="a requirement is a name with versions, such as 'requests>=2,<3'; several are a list, or one a line;"
            " a file of them is a Path",
        ) from error
    if requirement.url is None and (_ARCHIVE.fullmatch(requirement.name) or _OTHER_FILE.fullmatch(requirement.name)):
        raise ConfigurationError(
            f"{where}: {requirement.name!r:.200} is the name of a file, not of a package",
            hint="give Path(…) of a requirements file, or ./… of a package, and allow it",
        )
    return RequirementLine(where, requirement, options=_option_words(where, " ".join(behind)))


def _option_words(where: str, text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ConfigurationError(f"{where}: {text!r:.200} has a quotation mark too few") from error


def _option_name(word: str) -> str:
    """`--index-url` of `--index-url=https://…`, `-r` of `-rbase.txt`, "" for a value.

    >>> _option_name("--pre"), _option_name("-rbase.txt"), _option_name("base.txt")
    ('--pre', '-r', '')
    """
    if word.startswith("--"):
        return word.partition("=")[0]
    return word[:2] if word.startswith("-") else ""


def _included(line: RequirementLine | None) -> tuple[str, str] | None:
    """`-r` or `-c` and the name of the file, if the line is one of these."""
    first = line.options[0] if line and line.options and not line.requirement else ""
    option = _INCLUDES.get(_option_name(first))
    if line is None or option is None:
        return None
    glued = first.partition("=")[2] if first.startswith("--") else first[2:].lstrip("=")
    names = [*([glued] if glued else []), *line.options[1:]]
    if len(names) != 1 or "://" in names[0]:
        raise ConfigurationError(f"{line.where}: {first} takes the name of one file")
    return option, names[0]
