"""ollama-python's module of this name: the description of a function for a model."""

from __future__ import annotations

__all__: list[str] = []
