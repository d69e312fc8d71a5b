"""What languages are called: those of programs, by Pygments' names and aliases, and those of people.

>>> code_language("js"), code_language("C++")
(CodeLanguage(id='javascript', name='JavaScript'), CodeLanguage(id='cpp', name='C++'))
>>> human_language("zh-TW"), human_language("deutsch")
('Traditional Chinese', 'German')

A name that is not known is refused, with the nearest one that is. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from metagpt_ollama_rs.errors import ConfigurationError
from metagpt_ollama_rs.slc.extras import optional_module
from metagpt_ollama_rs.slc.languages.language_detection import TEXT, own_name
from metagpt_ollama_rs.slc.languages.language_signs import SIGNS
from metagpt_ollama_rs.spelling import near_miss

__all__ = ["CodeLanguage", "code_language", "human_language"]

# What people say and Pygments does not know, by its alias.
_MORE_ALIASES = {"c plus plus": "cpp", "c sharp": "csharp", "ecmascript": "javascript", "node": "javascript",
                 "nodejs": "javascript", "objective c": "objective-c", "visual basic": "vb.net"}  # fmt: skip
# What Pygments calls by another name than people do.
_NAMES = {"r": "R", "dockerfile": "Dockerfile", "pascal": "Pascal", "nimrod": "Nim"}

# The code of ISO 639, the English name, and what people call it themselves and in Chinese.
_HUMAN_LANGUAGES = {
    "ar": ("Arabic", "العربية", "阿拉伯语"),
    "bg": ("Bulgarian", "български", "保加利亚语"),
    "bn": ("Bengali", "বাংলা", "孟加拉语"),
    "ca": ("Catalan", "català", "加泰罗尼亚语"),
    "cs": ("Czech", "čeština", "捷克语"),
    "da": ("Danish", "dansk", "丹麦语"),
    "de": ("German", "deutsch", "德语", "德文"),
    "el": ("Greek", "ελληνικά", "希腊语"),
    "en": ("English", "英语", "英文"),
    "es": ("Spanish", "español", "西班牙语"),
    "et": ("Estonian", "eesti", "爱沙尼亚语"),
    "fa": ("Persian", "farsi", "فارسی", "波斯语"),
    "fi": ("Finnish", "suomi", "芬兰语"),
    "fr": ("French", "français", "法语", "法文"),
    "he": ("Hebrew", "עברית", "希伯来语"),
    "hi": ("Hindi", "हिन्दी", "印地语"),
    "hr": ("Croatian", "hrvatski", "克罗地亚语"),
    "hu": ("Hungarian", "magyar", "匈牙利语"),
    "id": ("Indonesian", "bahasa indonesia", "印尼语"),
    "it": ("Italian", "italiano", "意大利语"),
    "ja": ("Japanese", "日本語", "日语", "日文"),
    "ko": ("Korean", "한국어", "韩语", "韩文"),
    "lt": ("Lithuanian", "lietuvių", "立陶宛语"),
    "lv": ("Latvian", "latviešu", "拉脱维亚语"),
    "ms": ("Malay", "bahasa melayu", "马来语"),
    "nb": ("Norwegian", "norsk", "no", "挪威语"),
    "nl": ("Dutch", "nederlands", "荷兰语"),
    "pl": ("Polish", "polski", "波兰语"),
    "pt": ("Portuguese", "português", "葡萄牙语"),
    "ro": ("Romanian", "română", "罗马尼亚语"),
    "ru": ("Russian", "русский", "俄语", "俄文"),
    "sk": ("Slovak", "slovenčina", "斯洛伐克语"),
    "sl": ("Slovenian", "slovenščina", "斯洛文尼亚语"),
    "sr": ("Serbian", "српски", "塞尔维亚语"),
    "sv": ("Swedish", "svenska", "瑞典语"),
    "sw": ("Swahili", "kiswahili", "斯瓦希里语"),
    "ta": ("Tamil", "தமிழ்", "泰米尔语"),
    "th": ("Thai", "ไทย", "泰语"),
    "tr": ("Turkish", "türkçe", "土耳其语"),
    "uk": ("Ukrainian", "українська", "乌克兰语"),
    "ur": ("Urdu", "اردو", "乌尔都语"),
    "vi": ("Vietnamese", "tiếng việt", "越南语"),
    "zh": ("Simplified Chinese", "chinese", "中文", "汉语", "简体中文", "mandarin", "chinese (simplified)"),
    "zh-hant": ("Traditional Chinese", "繁体中文", "繁體中文", "chinese (traditional)"),
}
_HUMAN_NAMES = {name.lower(): names[0] for code, names in _HUMAN_LANGUAGES.items() for name in (code, *names)}
# Regions in which Chinese is written with the traditional characters.
_TRADITIONAL = ("hant", "tw", "hk", "mo")
_TAG = re.compile(r"([a-z]{2,3})((?:[-_][a-z0-9]{2,8})+)")


class CodeLanguage(NamedTuple):
    """A programming language: as fences write it, and for people."""

    id: str
    name: str


def code_language(name: str) -> CodeLanguage:
    """The programming language of this name or alias, in any case. Raises ConfigurationError for an unknown one."""
    word = " ".join(name.lower().split())
    lexers = optional_module("pygments.lexers")
    try:
        lexer = lexers.find_lexer_class_by_name(_MORE_ALIASES.get(word, word))
    except optional_module("pygments.util").ClassNotFound:
        names = (one[0] for one in lexers.get_all_lexers() if one[1] and one[0].lower() == word)
        lexer = lexers.find_lexer_class(next(names, ""))
    id = TEXT if lexer is None else own_name(lexer)
    if id == TEXT:
        # The nearest of the usual ones, before all others.
        known = SIGNS if near_miss(word, SIGNS) else [alias for one in lexers.get_all_lexers() for alias in one[1]]
        raise _unknown("programming language", name, known)
    return CodeLanguage(id, _NAMES.get(id, lexer.name))


def human_language(name: str) -> str:
    """The English name of a language that people speak, by its name, its code, or a tag such as ``pt-BR``. Raises
    ConfigurationError for one that is not known."""
    word = " ".join(name.lower().split())
    if word in _HUMAN_NAMES:
        return _HUMAN_NAMES[word]
    tag = _TAG.fullmatch(word)
    if tag is None or tag[1] not in _HUMAN_LANGUAGES:
        raise _unknown("language", name, _HUMAN_NAMES)
    parts = re.split("[-_]", tag[2])[1:]
    if tag[1] == "zh":
        return _HUMAN_NAMES["zh-hant" if any(part in _TRADITIONAL for part in parts) else "zh"]
    return f"{_HUMAN_LANGUAGES[tag[1]][0]} ({'-'.join(part.upper() for part in parts)})"


def _unknown(what: str, name: str, known: Iterable[str]) -> ConfigurationError:
    close = near_miss(name, known) if name.strip() else None
    meant = f"; did you mean {close!r}?" if close else ""
    hint = "name one such as Rust or c++" if what == "programming language" else "name one such as German or zh"
    return ConfigurationError(f"{name!r:.60} is no {what} that is known here{meant}", hint=hint)
