"""What an Ollama server is to both servers here: its version, the paths of its endpoints, the full names of models.

Both servers imitate one. The scripted server answers what a test says, the embedded server what a model says. The
paths stand here and in the client's table of endpoints, because neither side may use the other's: each is a check on
the other. A test compares them. Standard library only.
"""

from __future__ import annotations

__all__ = [
    "CHAT",
    "DEFAULT_CONTEXT_LENGTH",
    "DEFAULT_MODEL",
    "EMBED",
    "EMBEDDINGS",
    "GENERATE",
    "PS",
    "ROOT",
    "ROOT_TEXT",
    "SHOW",
    "TAGS",
    "VERSION",
    "VERSION_PATH",
    "full_name",
    "registry_name",
]

# The version that both servers claim at /api/version.
VERSION = "0.33.0"

ROOT = "/"
VERSION_PATH = "/api/version"
TAGS = "/api/tags"
PS = "/api/ps"
SHOW = "/api/show"
CHAT = "/api/chat"
GENERATE = "/api/generate"
EMBED = "/api/embed"
EMBEDDINGS = "/api/embeddings"

# What GET / answers.
ROOT_TEXT = "Ollama is running"

# The default name of the embedded server's model, and the default length of its context in tokens.
DEFAULT_MODEL = "smollm2:135m"
DEFAULT_CONTEXT_LENGTH = 4096

# How a request may write that a model is of Ollama's own registry.
_REGISTRY = "registry.ollama.ai/library/"


def full_name(name: str) -> str:
    """The name of a model with its tag and without the address of Ollama's own registry.

    >>> full_name("smollm2"), full_name("registry.ollama.ai/library/smollm2:135m"), full_name("hf.co:443/a/b")
    ('smollm2:latest', 'smollm2:135m', 'hf.co:443/a/b:latest')
    """
    short = name[len(_REGISTRY) :] if name.startswith(_REGISTRY) else name
    return short if ":" in short.rpartition("/")[2] else short + ":latest"


def registry_name(name: str) -> str:
    """The name of a model with the address of Ollama's own registry, as some error messages have it.

    >>> registry_name("smollm2:135m")
    'registry.ollama.ai/library/smollm2:135m'
    """
    return _REGISTRY + name
