"""Requests and replies of System One models, which score questions about a state instead of writing text.

A request such as ``{"state": "The cup fell.", "questions": {"broken": {"type": "noul", "instructions": "Is it
broken?"}}}`` gives ``{"answers": {"broken": {"type": "noul", "noul": 0.9}}, …}``: for each question, by its name, an
answer of the same ``type``.
"""

from __future__ import annotations

from typing import Annotated, Any, Union

from metagpt_ollama_rs.kinds import Tagged
from metagpt_ollama_rs.record import Record, table_of, tagged_class

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

__all__ = [
    "SystemOneAnswer",
    "SystemOneChoiceAnswer",
    "SystemOneChoiceQuestion",
    "SystemOneContent",
    "SystemOneNoulAnswer",
    "SystemOneNoulQuestion",
    "SystemOneQuestion",
    "SystemOneRequest",
    "SystemOneResponse",
    "SystemOneScoreAnswer",
    "SystemOneScoreQuestion",
    "SystemOneUsage",
]

# Text, or an object or list that becomes text.
SystemOneContent = Union[str, dict[str, Any], list[Any]]


class SystemOneChoiceQuestion(Record):
    """Which of several: the keys of ``criteria`` are the choices, each with a description or None.

    >>> SystemOneChoiceQuestion(instructions="Which colour?", criteria={"red": None, "blue": "or cyan"}).type
    'choice'
    """

    __slots__ = ()
    type: Literal["choice"] = "choice"
    instructions: SystemOneContent
    criteria: dict[str, str | None]


class SystemOneNoulQuestion(Record):
    """Whether something is so; ``criteria`` may say what ``"false"`` and ``"true"`` mean.

    >>> SystemOneNoulQuestion(instructions="Is it broken?").criteria is None
    True
    """

    __slots__ = ()
    type: Literal["noul"] = "noul"
    instructions: SystemOneContent
    criteria: dict[Literal["false", "true"], str] | None


class SystemOneScoreQuestion(Record):
    """How much; ``criteria`` describe the scores, from the lowest (0) to the highest.

    >>> SystemOneScoreQuestion(instructions="How warm?", criteria=["cold", "hot"]).criteria[-1]
    'hot'
    """

    __slots__ = ()
    type: Literal["score"] = "score"
    instructions: SystemOneContent
    criteria: list[str]


SystemOneQuestion = Annotated[
    Union[SystemOneChoiceQuestion, SystemOneNoulQuestion, SystemOneScoreQuestion], Tagged("type")
]


class SystemOneRequest(Record):
    """A state, and questions about it by their names.

    >>> questions = {"broken": {"type": "noul", "instructions": "Is it broken?"}}
    >>> type(SystemOneRequest(model="m", state="The cup fell.", questions=questions).questions["broken"]).__name__
    'SystemOneNoulQuestion'
    """

    __slots__ = ()
    _readers = {
        "questions": table_of(
            tagged_class(
                "type",
                {
                    "choice": SystemOneChoiceQuestion,
                    "noul": SystemOneNoulQuestion,
                    "score": SystemOneScoreQuestion,
                },
            )
        )
    }
    model: str
    state: SystemOneContent
    questions: dict[str, SystemOneQuestion]
    keep_alive: float | str | None


class SystemOneNoulAnswer(Record):
    """``noul`` is the probability of true.

    >>> SystemOneNoulAnswer(type="noul", noul=0.9).noul
    0.9
    """

    __slots__ = ()
    type: Literal["noul"]
    noul: float


class SystemOneChoiceAnswer(Record):
    """The choice, and the probability of each.

    >>> SystemOneChoiceAnswer(type="choice", choice="red", probabilities={"red": 1.0}, confidence=1.0).choice
    'red'
    """

    __slots__ = ()
    type: Literal["choice"]
    choice: str
    probabilities: dict[str, float]
    confidence: float


class SystemOneScoreAnswer(Record):
    """``score`` is the expected score, counted from 0, with a fraction; ``legend`` says what the whole ones mean.

    >>> legend, probabilities = {"0": "cold", "1": "hot"}, {"0": 0.25, "1": 0.75}
    >>> SystemOneScoreAnswer(
    ...     type="score", score=0.75, legend=legend, probabilities=probabilities, confidence=0.5
    ... ).score
    0.75
    """

    __slots__ = ()
    type: Literal["score"]
    score: float
    legend: dict[str, str]
    probabilities: dict[str, float]
    confidence: float


SystemOneAnswer = Annotated[Union[SystemOneNoulAnswer, SystemOneChoiceAnswer, SystemOneScoreAnswer], Tagged("type")]


class SystemOneUsage(Record):
    """What the answers took.

    >>> SystemOneUsage(input_tokens=20, output_tokens=0).input_tokens
    20
    """

    __slots__ = ()
    input_tokens: int
    output_tokens: int


class SystemOneResponse(Record):
    """An answer to each question, by its name.

    >>> reply = SystemOneResponse({"answers": {"broken": {"type": "noul", "noul": 0.9}}})
    >>> reply.answers["broken"].noul
    0.9
    """

    __slots__ = ()
    _nested = {"usage": SystemOneUsage}
    _readers = {
        "answers": table_of(
            tagged_class(
                "type",
                {"choice": SystemOneChoiceAnswer, "noul": SystemOneNoulAnswer, "score": SystemOneScoreAnswer},
            )
        )
    }
    model: str
    answers: dict[str, SystemOneAnswer]
    usage: SystemOneUsage
