"""`MultiLanguageTool`: which language code is in, the code in another one, its comments in another human language."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Optional

from metagpt_ollama_rs.errors import ConfigurationError, UnusableAnswerError
from metagpt_ollama_rs.json_answers import recover_json
from metagpt_ollama_rs.slc.calls import ToolOptions, ask, check_tool_options
from metagpt_ollama_rs.slc.code_answers import checked_python, extract_code
from metagpt_ollama_rs.slc.halves import in_halves
from metagpt_ollama_rs.slc.languages.code_comments import Comments, read_comments
from metagpt_ollama_rs.slc.languages.language_detection import TEXT, detect_code_language
from metagpt_ollama_rs.slc.languages.language_names import code_language, human_language

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["MultiLanguageTool"]

# So many comments, and about so many characters of them, are translated by one request: small models lose count.
_MOST_COMMENTS = 20
_MOST_CHARACTERS = 4000


class MultiLanguageTool:
    """Detects the language of code, and translates code and comments with the configured model.

    >>> MultiLanguageTool.detect_language("fn main() {}")
    'rust'
    >>> from metagpt_ollama_rs.slc import ollama_config
    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     ollama_config.base_url = server.url
    ...     server.answer('{"1": "数量"}')
    ...     MultiLanguageTool.translate_comments("x = 1  # the number", "zh")
    'x = 1  # 数量'
    """

    @staticmethod
    def detect_language(code: str, filename: Optional[str] = None) -> str:
        """Tells which programming language code is in, without asking a model.

        Args:
            code: the code, a file or a part of one.
            filename: the name of its file, if it has one.

        Returns:
            The language as fences of Markdown name it, such as python, cpp or bash; text where it is not known.
        """
        return detect_code_language(code, filename)

    @staticmethod
    def translate_code(
        code: str, target: str, source: Optional[str] = None, *, raw: bool = False, **options: Unpack[ToolOptions]
    ) -> str:
        """Translates code into another programming language.

        Args:
            code: the code to translate.
            target: the programming language to translate it into, such as Rust, js or C++.
            source: the programming language that it is in; detected if it is not given.
            raw: True for the whole answer of the model as it came.

        Returns:
            The translated code, without a fence or text around it. Code that is in the target language already comes
            back as it is.

        Raises:
            ConfigurationError: there is no such programming language.
            OllamaError: the model could not be asked, or its answer was cut.
        """
        check_tool_options("translate_code", options)
        to = code_language(target)
        known = source or detect_code_language(code)
        if known == TEXT:
            fields = {"code": code, "target": to.name}
            answer = ask("translate_code", fields, options)
        else:
            of = code_language(known)
            if of.id == to.id:
                return code
            answer = ask("translate_code_from", {"code": code, "target": to.name, "source": of.name}, options)
        if raw:
            return answer
        translated = extract_code(answer, to.id)
        return checked_python(translated, options) if to.id == "python" else translated

    @staticmethod
    def translate_comments(code: str, target: str, source: Optional[str] = None, **options: Unpack[ToolOptions]) -> str:
        """Translates the comments and docstrings of code into another human language, and changes nothing else.

        Args:
            code: the code whose comments are to be translated.
            target: the language to translate them into, such as en, zh or Chinese.
            source: the programming language that the code is in; detected if it is not given.

        Returns:
            The code with translated comments. Line ends, indentation and the number of lines are the same. Comments
            that programs read, such as noqa or eslint-disable, are left as they are.

        Raises:
            ConfigurationError: there is no such language, or the programming language is not known.
            UnusableAnswerError: the answer does not have the translations, or they would change the code.
            OllamaError: the model could not be asked, or its answer was cut.
        """
        check_tool_options("translate_comments", options)
        to = human_language(target)
        language = code_language(source).id if source else detect_code_language(code)
        if language == TEXT and code.strip():
            raise ConfigurationError(
                "the programming language of the code is not known", hint="name it: source='python'"
            )
        plain = code[1:] if code.startswith("\ufeff") else code
        byte_order_mark = code[: len(code) - len(plain)]
        comments = read_comments(plain, language)

        def translate(part: range) -> list[str]:
            asked = {str(number + 1): comments.texts[number] for number in part}
            document = json.dumps(asked, ensure_ascii=False, indent=1)
            answer = ask("translate_comments", {"document": document, "target": to}, options, format=_schema(asked))
            found = recover_json(answer, _schema(asked))
            if found is None:
                raise _NoTranslations(answer)
            return [found.value[number] for number in asked]

        texts: list[str] = []
        try:
            for part in _batches(comments.texts):
                for translated in in_halves(part, translate, options):
                    texts += translated
        except _NoTranslations as error:
            return byte_order_mark + _translated_as_a_whole(comments, error.answer, language)
        translated_code = comments.replaced(texts)
        if translated_code is None:
            raise _refused("the translated comments would change the code", "\n".join(texts))
        return byte_order_mark + translated_code


class _NoTranslations(Exception):
    """``answer`` is not the object that was asked for."""

    def __init__(self, answer: str) -> None:
        super().__init__(answer)
        self.answer = answer


def _schema(asked: dict[str, str]) -> dict[str, object]:
    """The schema of the translations: an object with the same keys, so that none is left out."""
    return {
        "type": "object",
        "properties": {number: {"type": "string"} for number in asked},
        "required": list(asked),
        "additionalProperties": False,
    }


def _batches(texts: Sequence[str]) -> Iterator[range]:
    """The numbers of ``texts``, by requests."""
    start = size = 0
    for number, text in enumerate(texts):
        if number > start and (number - start >= _MOST_COMMENTS or size + len(text) > _MOST_CHARACTERS):
            yield range(start, number)
            start, size = number, 0
        size += len(text)
    if start < len(texts):
        yield range(start, len(texts))


def _translated_as_a_whole(comments: Comments, answer: str, language: str) -> str:
    """The code in an answer of a model that wrote all of it anew, with other comments. Raises UnusableAnswerError if it
    is not the same code."""
    code = comments.same_program(extract_code(answer, language))
    if code is None:
        raise _refused("the answer has not the translations of the comments, or other code", answer)
    return code


def _refused(message: str, answer: str) -> UnusableAnswerError:
    return UnusableAnswerError(message, hint="ask again, or another model", partial=answer)
