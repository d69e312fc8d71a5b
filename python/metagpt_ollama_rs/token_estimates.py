"""How many tokens a text has, estimated from the counts that a server has returned for the model.

Ollama has no endpoint that counts tokens, and other tokenizers' files are not at hand offline. So a text is taken for
so many bytes of each script, and every script has a rate, tokens per byte. The first rates are those of small
vocabularies, so that they rather count too much. Each finished call tells how many tokens its texts had, and corrects
the rates by recursive least squares: the more, the more bytes of a script the texts have and the less is known of it.

What is learned is kept for the life of the process, by the server's address and the model's name: two small tables of
numbers for each model. Standard library and the compiled core only, no I/O.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from ._core import SCRIPTS, count_script_bytes
from .replies import count_of, thinking_of, tool_calls_of

__all__ = [
    "IMAGE_TOKENS",
    "TokenEstimator",
    "content_text",
    "estimator_of",
    "image_count",
    "learn_counts",
    "note_counts",
]

# What an image counts for, as Ollama itself counts it where it cuts a prompt.
IMAGE_TOKENS = 768

# What a model's template writes around each message, such as <|im_start|>user and <|im_end|>, and before the answer.
_MESSAGE_TOKENS = 5
_REQUEST_TOKENS = 3

# For each script the tokens per byte before anything is known, how uncertain that is (a standard deviation), and the
# limits that no tokenizer passes. `make bench-token-estimates` compares them with real
# tokenizers.
_RATES: dict[str, tuple[float, float, float, float]] = {
    "latin": (0.28, 0.06, 0.12, 0.6),
    "digits": (1.0, 0.35, 0.2, 1.0),
    "punctuation": (0.6, 0.2, 0.2, 1.0),
    "space": (0.25, 0.12, 0.03, 1.0),
    "lines": (0.8, 0.3, 0.1, 1.0),
    "cjk": (0.7, 0.25, 0.15, 1.0),
    "two_bytes": (0.55, 0.2, 0.12, 1.0),
    "other": (0.8, 0.3, 0.2, 1.0),
}

# Texts of one script differ so much from each other, as a share of their tokens.
_SPREAD = 0.06
# What a template, a last token or a trimmed space adds or takes away, in tokens.
_TOKENS_UNSURE = 4.0
# After each call the rates are a little less certain, so that a model that was pulled anew is learned, too.
_FORGETTING = 0.02
# A prompt's count that is lower than expected by more standard deviations than this is taken for a part of the count.
_PARTIAL = 4.0
# Shorter texts tell little beside what the template adds to them.
_SHORTEST = 120
# Estimates of texts like those that were learned from are wrong by less than this, as a share.
_MARGIN = 0.15
# Each model that is asked has an estimator; so many at most are kept.
_MOST_ESTIMATORS = 256
# So many calls of a model are kept until its estimator is asked for.
_MOST_NOTED = 8


class TokenEstimator:
    """The rates of one model. Objects may be used by several threads.

    >>> estimator = TokenEstimator()
    >>> estimator.tokens("Count the words of this sentence.")
    10
    >>> for _ in range(3):
    ...     estimator.learn(["Count the words of this sentence. " * 20], 140)
    >>> estimator.tokens("Count the words of this sentence.")
    7
    """

    def __init__(self) -> None:
        rows = [_RATES[script] for script in SCRIPTS]
        self._rates = [row[0] for row in rows]
        self._limits = [row[2:] for row in rows]
        self._forgetting = [(row[1] * _FORGETTING) ** 2 for row in rows]
        self._covariance = [[row[1] ** 2 if i == j else 0.0 for j in range(len(rows))] for i, row in enumerate(rows)]
        self._lock = threading.Lock()
        self.learned_tokens = 0

    @property
    def has_learned(self) -> bool:
        """Whether a server's counts have corrected the first, conservative rates."""
        return self.learned_tokens > 0

    @property
    def bytes_per_token(self) -> dict[str, float]:
        """By script, how many bytes a token has."""
        return {script: round(1 / rate, 2) for script, rate in zip(SCRIPTS, self._rates)}

    def tokens(self, text: str) -> int:
        """The estimate for a text, 0 for an empty one only."""
        return math.ceil(self.weight(text))

    def weight(self, text: str) -> float:
        """The estimate before it is rounded up, so that the parts of a text add up to the whole."""
        return sum(map(float.__mul__, self._rates, map(float, count_script_bytes(_utf8(text)))))

    def weight_at_most(self, text: str) -> float:
        """What the text hardly exceeds, to decide whether it fits."""
        return self.weight(text) * self.margin

    @property
    def margin(self) -> float:
        """By which factor a text may have more tokens than estimated. The first rates count too much anyway."""
        return 1 + _MARGIN if self.has_learned else 1.0

    def message_tokens(self, messages: Iterable[Mapping[str, Any]]) -> int:
        """The estimate for messages in MetaGPT's or Ollama's form, with what the template writes around them."""
        return math.ceil(sum(self.message_weight(message) for message in messages)) + _REQUEST_TOKENS

    def message_weight(self, message: Mapping[str, Any]) -> float:
        """The estimate for one message, before it is rounded up."""
        weight = self.weight(content_text(message)) + _MESSAGE_TOKENS + IMAGE_TOKENS * image_count(message)
        calls = message.get("tool_calls")
        return weight + (self.weight(json.dumps(calls, default=str)) if calls else 0.0)

    def learn(self, texts: Iterable[str], tokens: float, *, may_be_partial: bool = False) -> None:
        """Corrects the rates by texts that had ``tokens`` tokens together.

        A count that no tokenizer can have come to changes nothing, and one that ``may_be_partial`` not either if it is
        much lower than what is known of these scripts allows.
        """
        counts = [float(count) for count in count_script_bytes(b"".join(map(_utf8, texts)))]
        if sum(counts) < _SHORTEST:
            return
        least, most = (sum(count * row[side] for count, row in zip(counts, self._limits)) for side in (0, 1))
        if not least <= tokens <= most + _TOKENS_UNSURE:
            return
        with self._lock:
            if self._correct(counts, tokens, may_be_partial):
                self.learned_tokens += round(tokens)

    def _correct(self, counts: list[float], tokens: float, may_be_partial: bool) -> bool:
        """One step of recursive least squares. False, and no step, for a count that is too low to be a whole one."""
        covariance = self._covariance
        spread = [sum(map(float.__mul__, row, counts)) for row in covariance]
        noise = (_SPREAD * tokens) ** 2 + _TOKENS_UNSURE**2
        total = sum(map(float.__mul__, spread, counts)) + noise
        error = tokens - sum(map(float.__mul__, self._rates, counts))
        if may_be_partial and error < -_PARTIAL * math.sqrt(total):
            return False
        self._rates = [
            min(max(rate + part / total * error, least), most)
            for rate, part, (least, most) in zip(self._rates, spread, self._limits)
        ]
        for i, row in enumerate(covariance):
            gain = spread[i] / total
            covariance[i] = [value - gain * part for value, part in zip(row, spread)]
            covariance[i][i] += self._forgetting[i]
        return True


_estimators: dict[tuple[str, str], TokenEstimator] = {}
# The last finished calls of each model, request and reply, that its estimator has not learned from yet.
_noted: dict[tuple[str, str], deque[tuple[dict[str, Any], dict[str, Any]]]] = {}


def estimator_of(base_url: str, model: str) -> TokenEstimator:
    """The estimator of a model of a server, made at the first use. It has learned from the calls that were noted."""
    key = (base_url, model)
    estimator = _made_estimator(key)
    noted = _noted.get(key)
    while noted:
        # Another thread may take the last one in between.
        with contextlib.suppress(IndexError):
            learn_counts(estimator, *noted.popleft())
    return estimator


def _made_estimator(key: tuple[str, str]) -> TokenEstimator:
    found = _estimators.get(key)
    if found is None:
        if len(_estimators) >= _MOST_ESTIMATORS:
            _estimators.pop(next(iter(_estimators)), None)
        found = _estimators.setdefault(key, TokenEstimator())
    return found


def note_counts(base_url: str, payload: Mapping[str, Any], reply: Mapping[str, Any]) -> None:
    """Keeps a finished call for the estimator of its model, as for `learn_counts`.

    Most programs never ask for an estimate, so a call pays for next to nothing here: the last few of each model are
    kept, and learned from when their estimator is asked for.
    """
    messages, message = payload.get("messages"), reply.get("message")
    kept = dict(payload)
    if isinstance(messages, list):
        # Images are large, and nothing is learned from a prompt with one. The lists and the text of the answer may be
        # changed before they are read.
        has_images = any(isinstance(item, dict) and "images" in item for item in messages)
        kept["messages"] = [] if has_images else list(messages)
    if kept.get("images"):
        kept = {"model": payload.get("model")}
    answer = dict(reply)
    if isinstance(message, dict):
        answer["message"] = dict(message)
    key = (base_url, str(payload.get("model")))
    if key not in _noted and len(_noted) >= _MOST_ESTIMATORS:
        _noted.pop(next(iter(_noted)), None)
    _noted.setdefault(key, deque(maxlen=_MOST_NOTED)).append((kept, answer))


def learn_counts(estimator: TokenEstimator, payload: Mapping[str, Any], reply: Mapping[str, Any]) -> None:
    """Learns from the counts of a finished call: ``payload`` is the body of the request, ``reply`` the whole reply.

    The count of the answer covers its thinking, and is left alone where it covers tool calls. That of the prompt is
    left alone where something else than text was in it (images, tools, tokens of an earlier answer) and where it is far
    too low: very old servers count only what they had not cached.
    """
    reply = dict(reply)
    written = count_of(reply, "eval_count")
    message = reply.get("message")
    answer = (message.get("content") if isinstance(message, dict) else None) or reply.get("response")
    if written and isinstance(answer, str) and not tool_calls_of(reply):
        # The last token ends the answer and is no text.
        estimator.learn([answer, thinking_of(reply)], written - 1)
    read = count_of(reply, "prompt_eval_count")
    if not read or any(payload.get(name) for name in ("tools", "images", "context", "suffix", "template")):
        return
    messages = payload.get("messages")
    if isinstance(messages, list):
        if any(not isinstance(item, dict) or item.get("tool_calls") or image_count(item) for item in messages):
            return
        texts = [content_text(item) for item in messages]
    else:
        texts = [text for text in (payload.get("system"), payload.get("prompt")) if isinstance(text, str)]
    around = 0 if payload.get("raw") else _MESSAGE_TOKENS * len(texts) + _REQUEST_TOKENS
    estimator.learn(texts, read - around, may_be_partial=True)


def content_text(message: Mapping[str, Any]) -> str:
    """The text of a message, whose content may be a list of parts."""
    content = message.get("content")
    if isinstance(content, list):
        parts = (part.get("text") if isinstance(part, dict) else part for part in content)
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else "" if content is None else str(content)


def image_count(message: Mapping[str, Any]) -> int:
    """How many images a message has."""
    images = message.get("images")
    content: Any = message.get("content")
    parts = content if isinstance(content, list) else ()
    in_parts = sum(1 for part in parts if isinstance(part, dict) and part.get("type") in ("image_url", "image"))
    return in_parts + (len(images) if isinstance(images, (list, tuple)) else 0)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
