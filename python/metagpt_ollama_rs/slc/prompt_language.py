"""In which language a model is asked: Chinese where what the user wrote is Chinese, else English.

>>> prompt_language(["写一个 quicksort 函数"]), prompt_language(["Write a quicksort."])
('zh', 'en')
>>> prompt_language(["Go"], code=["# 读取文件\\nopen(path)"])
'zh'

No I/O, nothing of the tools.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

__all__ = ["PromptLanguage", "prompt_language"]

PromptLanguage = Literal["zh", "en"]

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
# Japanese is written with Chinese characters, too, and Korean once was.
_OTHER = re.compile(r"[\u3040-\u30ff\uac00-\ud7af]")
_WORD = re.compile(r"[^\W\d_\u2e80-\uffff]+")
# A text of fewer words, such as the name of a programming language, says nothing about its writer.
_FEW_WORDS = 3
# A word in a sentence that is otherwise English does not make it Chinese; so many English words among them do not make
# a Chinese sentence English: a character of Chinese counts as much as half a word.
_WORDS_PER_CHARACTER = 2
# In code all words are English, and comments alone count.
_CHARACTERS_IN_CODE = 4


def prompt_language(texts: Iterable[str], code: Iterable[str] = ()) -> PromptLanguage:
    """``zh`` or ``en``, for what the user wrote: ``texts`` are prose; ``code`` is looked at where the prose is of too
    few words to tell."""
    prose = "\n".join(texts)
    han, words = len(_HAN.findall(prose)), len(_WORD.findall(prose))
    if _OTHER.search(prose):
        return "en"
    if han:
        return "zh" if han * _WORDS_PER_CHARACTER >= words else "en"
    if words >= _FEW_WORDS:
        return "en"
    comments = "\n".join(code)
    return "zh" if len(_HAN.findall(comments)) >= _CHARACTERS_IN_CODE and not _OTHER.search(comments) else "en"
