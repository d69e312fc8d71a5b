"""Expects objects of what MetaGPT's actions and helpers ask about a text: its outline, its resources, its judgement.

Most of these functions are of the main branch: the analysis of requirements, the import of a repository, the score of
an experience, the resources in a message. Release 0.8.2 has the outline of a tutorial, the data of an invoice, the use
cases of a class, and the thoughts of a tree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ...schemas import answer_schema
from ..expected_answers import (
    FENCED,
    TEXT,
    ExpectedAnswer,
    expect_answers,
    list_schema,
    object_schema,
    word_schema,
)
from .searches import literal_form

__all__ = [
    "expect_evaluations",
    "expect_files",
    "expect_invoices",
    "expect_outlines",
    "expect_resources",
    "expect_scores",
    "expect_source_paths",
    "expect_thoughts",
    "expect_use_cases",
]

_DICT = literal_form("{", "}")
_TEXTS = list_schema(TEXT)


def expect_thoughts(module: ModuleType) -> None:
    """Wraps `metagpt.strategy.tot.ThoughtSolverBase.generate_thoughts`, which hands the answer to ``eval``."""
    expect_answers(module, "ThoughtSolverBase.generate_thoughts", _thoughts)


def expect_scores(module: ModuleType) -> None:
    """Wraps `metagpt.exp_pool.scorers.simple.SimpleScorer.evaluate`."""
    expect_answers(module, "SimpleScorer.evaluate", _score)


def expect_resources(module: ModuleType) -> None:
    """Wraps `metagpt.schema.Message.parse_resources`."""
    expect_answers(module, "Message.parse_resources", _resources)


def expect_evaluations(module: ModuleType) -> None:
    """Wraps `metagpt.actions.requirement_analysis.evaluate_action.EvaluateAction._evaluate`."""
    expect_answers(module, "EvaluateAction._evaluate", _evaluation)


def expect_files(module: ModuleType) -> None:
    """Wraps `metagpt.actions.requirement_analysis.framework.write_framework.WriteFramework._write`."""
    expect_answers(module, "WriteFramework._write", _files)


def expect_source_paths(module: ModuleType) -> None:
    """Wraps the methods of `metagpt.actions.import_repo.ImportRepo` that ask for a path."""
    expect_answers(module, "ImportRepo._guess_src_workspace", _source_folder)
    expect_answers(module, "ImportRepo._guess_main_entry", _main_file)


def expect_use_cases(module: ModuleType) -> None:
    """Wraps the methods of `metagpt.actions.rebuild_sequence_view.RebuildSequenceView` whose answers are JSON."""
    details = getattr(module, "ReverseUseCaseDetails", None)
    if details is not None:
        schema = answer_schema(details.model_json_schema())

        def use_cases(arguments: Mapping[str, Any], _question: str) -> ExpectedAnswer:
            return ExpectedAnswer(schema, FENCED, "source_answers", arguments["self"].llm)

        expect_answers(module, "RebuildSequenceView._rebuild_use_case", use_cases)
    expect_answers(module, "RebuildSequenceView._search_participants", _participants)


def expect_outlines(module: ModuleType) -> None:
    """Wraps `metagpt.actions.write_tutorial.WriteDirectory.run`."""
    expect_answers(module, "WriteDirectory.run", _outline)


def expect_invoices(module: ModuleType) -> None:
    """Wraps `metagpt.actions.invoice_ocr.GenerateTable.run`."""
    expect_answers(module, "GenerateTable.run", _invoice)


def _thoughts(arguments: Mapping[str, Any], _question: str) -> ExpectedAnswer:
    solver = arguments["self"]
    # MetaGPT makes a number of the id.
    number = {"type": "string", "pattern": "^[1-9][0-9]{0,2}$"}
    node = object_schema(node_id=number, node_state_instruction=TEXT)
    nodes = list_schema(node, least=1, most=solver.config.n_generate_sample)
    return ExpectedAnswer(nodes, FENCED, "tree_thoughts", solver.llm)


def _score(arguments: Mapping[str, Any], _question: str) -> ExpectedAnswer:
    score = object_schema(val={"type": "integer", "enum": list(range(1, 11))}, reason=TEXT)
    return ExpectedAnswer(score, FENCED, "score_answers", arguments["self"].llm)


def _resources(arguments: Mapping[str, Any], _question: str) -> ExpectedAnswer:
    resources = list_schema(object_schema(resource_type=TEXT, value=TEXT, description=TEXT))
    found = object_schema(resources=resources, reason=TEXT)
    # A caller describes what it wants beside these as "the project path if exists": there may be none.
    more = {key: answer_schema({}) for key in arguments["key_descriptions"] or ()}
    found["properties"] = {**more, **found["properties"]}
    return ExpectedAnswer(found, FENCED, "resource_answers", arguments["llm"])


def _evaluation(arguments: Mapping[str, Any], question: str) -> ExpectedAnswer:
    # The prompts name the keys that they want: - an "issues" key containing …
    kinds = {"conclusion": TEXT, "is_pass": {"type": "boolean"}}
    wanted = [*re.findall(r'^- an? "(\w+)" key', question, re.MULTILINE), *kinds]
    verdict = object_schema(**{key: kinds.get(key, _TEXTS) for key in dict.fromkeys(wanted)})
    return ExpectedAnswer(verdict, FENCED, "requirement_answers", arguments["self"].llm)


def _files(arguments: Mapping[str, Any], _question: str) -> ExpectedAnswer:
    files = list_schema(object_schema(path=TEXT, filename=TEXT, content=TEXT), least=1)
    return ExpectedAnswer(files, FENCED, "requirement_answers", arguments["self"].llm)


def _source_folder(arguments: Mapping[str, Any], question: str) -> ExpectedAnswer:
    folders = word_schema(re.findall(r"^- (.+)$", question, re.MULTILINE))
    return ExpectedAnswer(object_schema(src=folders, reason=TEXT), FENCED, "source_answers", arguments["self"].llm)


def _main_file(arguments: Mapping[str, Any], _question: str) -> ExpectedAnswer:
    files = word_schema([str(entry) for entry in arguments["entries"]])
    return ExpectedAnswer(object_schema(filename=files, reason=TEXT), FENCED, "source_answers", arguments["self"].llm)


def _participants(arguments: Mapping[str, Any], _question: str) -> ExpectedAnswer:
    reasons = list_schema(object_schema(class_name=TEXT, reference=TEXT))
    return ExpectedAnswer(
        object_schema(class_names=_TEXTS, reasons=reasons), FENCED, "source_answers", arguments["self"].llm
    )


def _outline(arguments: Mapping[str, Any], _question: str) -> ExpectedAnswer:
    chapter = {"type": "object", "additionalProperties": dict(_TEXTS)}
    outline = object_schema(title=TEXT, directory=list_schema(chapter, least=1))
    return ExpectedAnswer(outline, _DICT, "text_answers", arguments["self"].llm)


def _invoice(arguments: Mapping[str, Any], _question: str) -> ExpectedAnswer:
    invoice = object_schema(**dict.fromkeys(("收款人", "城市", "总费用/元", "开票日期"), TEXT))
    return ExpectedAnswer(invoice, _DICT, "text_answers", arguments["self"].llm)
