"""The code in the answer of a model: the block that is meant, without what stands around it.

>>> extract_code("Here it is:\\n```python\\nprint(1)\\n```\\nIt prints 1.")
'print(1)'
"""

from __future__ import annotations

import ast
from typing import Optional

from metagpt_ollama_rs.program_text import find_program_text
from metagpt_ollama_rs.slc.calls import ToolOptions, ask

__all__ = ["checked_python", "extract_code", "python_fault"]


def extract_code(answer: str, language: Optional[str] = None) -> str:
    """The code in ``answer``, which is to be in the programming language ``language`` (such as ``python``), None where
    that is not known. Where no block can be told from other text, the whole answer without white space around it."""
    found = find_program_text(answer.replace("\r\n", "\n"), python=language in (None, "python"))
    return found.text if found is not None else answer.strip()


def python_fault(code: str) -> Optional[str]:
    """What Python's parser says against ``code``, such as ``line 1: invalid syntax``; None where it takes it."""
    try:
        ast.parse(code)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error) or type(error).__name__
    return None


def checked_python(code: str, options: ToolOptions) -> str:
    """``code``, if it parses as Python; else what the model makes of it when it is asked once to correct it, or
    ``code`` where that does not parse either."""
    fault = python_fault(code)
    if fault is None:
        return code
    repaired = extract_code(ask("repair_python", {"error": fault, "code": code}, options), "python")
    return repaired if python_fault(repaired) is None else code
