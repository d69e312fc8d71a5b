"""System One models: questions about a state, and an answer to each."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metagpt_ollama_rs import (
    AsyncClient,
    Client,
    SystemOneChoiceAnswer,
    SystemOneNoulAnswer,
    SystemOneNoulQuestion,
    SystemOneScoreAnswer,
    errors,
)
from metagpt_ollama_rs.testing import Reply, ScriptedServer

STATE = {"ticket": ["Duplicate charge", None], "paid": True}
TEAM = {"type": "choice", "instructions": {"task": "Route"}, "criteria": {"technical": None, "billing": "Payments"}}
URGENCY = {"type": "score", "instructions": "Urgency?", "criteria": ["Routine", "Urgent"]}
QUESTIONS = {"team": TEAM, "refund": SystemOneNoulQuestion(instructions=["Refund requested?"]), "urgency": URGENCY}
SENT = {"team": TEAM, "refund": {"type": "noul", "instructions": ["Refund requested?"]}, "urgency": URGENCY}
REPLY: dict[str, Any] = {
    "model": "m",
    "answers": {
        "team": {"type": "choice", "choice": "billing", "probabilities": {"billing": 1.0}, "confidence": 0.3},
        "refund": {"type": "noul", "noul": 0.9},
        "urgency": {"type": "score", "score": 0.25, "legend": {}, "probabilities": {"0": 0.75}, "confidence": 0.2},
    },
    "usage": {"input_tokens": 123, "output_tokens": 4},
}


def answers(server: ScriptedServer, *args: Any, **fields: Any) -> list[Any]:
    """Of both clients."""

    async def work() -> Any:
        return await AsyncClient(server.url).systemone(*args, **fields)

    return [Client(server.url).systemone(*args, **fields), asyncio.run(work())]


def test_questions_and_answers(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/v1/systemone", Reply.json(REPLY))
    for reply in answers(ollama_server, "m", STATE, QUESTIONS, "5m", headers={"X-Request": "7"}):
        assert reply.model_dump() == REPLY
        kinds = [SystemOneChoiceAnswer, SystemOneNoulAnswer, SystemOneScoreAnswer]
        assert [type(answer) for answer in reply.answers.values()] == kinds
        assert reply.answers["refund"].noul == 0.9
    for request in ollama_server.requests:
        assert request.json() == {"model": "m", "state": STATE, "questions": SENT, "keep_alive": "5m"}
        assert request.header("X-Request") == "7"


def test_what_is_no_question_is_refused(ollama_server: ScriptedServer) -> None:
    for questions in ({"a": {"type": "odd"}}, {"a": {"instructions": "?"}}, {"a": 1}, [], None):
        with pytest.raises(ValueError, match="questions"):
            Client(ollama_server.url).systemone("m", "It fell.", questions)  # type: ignore[arg-type]
    assert ollama_server.requests == []


def test_a_reply_without_answers(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/v1/systemone", Reply.json({"model": "m"}))
    with pytest.raises(errors.ProtocolError, match="no 'answers'"):
        Client(ollama_server.url).systemone("m", "It fell.", QUESTIONS)
