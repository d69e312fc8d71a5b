"""The guide's `decode` and `get_choice` in plain Python, step by step: what the Rust versions are compared with."""

from __future__ import annotations

import json
from typing import Any


class ErrorDict(dict):  # type: ignore[type-arg]
    """An error dict of the oracle: where one comes out, ours may do better."""


def decode(data: bytes) -> Any:
    decoded = data.decode("utf-8")
    text = decoded[1:] if decoded.startswith("\ufeff") else decoded
    parsed = []
    for line in text.strip().split("\n"):
        line = line.strip()
        if not line:
            continue
        if line.startswith("data: "):
            line = line[6:]
        if line == "[DONE]":
            continue
        try:
            parsed.append(json.loads(line))
        except (ValueError, RecursionError):
            continue
    if parsed:
        return parsed[-1]
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        return ErrorDict(error=f"JSON 解析失败: {error}", raw_data=decoded[:200])
    except Exception as error:
        return ErrorDict(error=f"响应解析失败: {error}")


def get_choice(d: dict[str, Any]) -> Any:
    if "error" in d:
        return f"[Ollama Error] {d['error']} | Raw: {str(d.get('raw_data', ''))[:200]}"
    if "message" in d:
        message = d["message"]
        if message.get("role") == "assistant":
            return message.get("content", "")
        return str(message)
    return str(d)


def get_response_choice(d: dict[str, Any]) -> Any:
    if "error" in d:
        return f"[Ollama Error] {d['error']} | Raw: {str(d.get('raw_data', ''))[:200]}"
    if "response" in d:
        return d["response"]
    return str(d)


def same(ours: Any, theirs: Any) -> bool:
    """Equal value of equal type, all the way down: 1 is not 1.0, -0.0 is not 0.0, NaN is NaN, key order counts."""
    if type(ours) is not type(theirs):
        return False
    if isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(same(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, float):
        return repr(ours) == repr(theirs)
    return bool(ours == theirs)
