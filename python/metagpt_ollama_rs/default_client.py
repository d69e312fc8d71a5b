"""The module's functions (``metagpt_ollama_rs.chat`` and the like): methods of one client, shared by the whole process.

The client reads the environment (``OLLAMA_HOST`` and the others) when the first of them is called, so that importing
the package reads nothing, and a variable that is set before the first call counts. `configure` gives it other
arguments; names that were imported before go along::

    import metagpt_ollama_rs as ollama

    ollama.configure("http://gpu-box:11434", timeout=60)
    ollama.chat("llama3.2", [{"role": "user", "content": "Hello"}])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs.client import Client

__all__ = [
    "DefaultClient",
    "chat",
    "configure",
    "copy",
    "create",
    "create_blob",
    "default_client",
    "delete",
    "embed",
    "embed_array",
    "embeddings",
    "generate",
    "list",
    "ps",
    "pull",
    "push",
    "show",
    "systemone",
    "version",
    "web_fetch",
    "web_search",
]


class DefaultClient(Client):
    """A client that, made without arguments, reads the environment when it is first used.

    >>> client = DefaultClient()
    >>> vars(client)
    {}
    >>> client.base_url.startswith("http")
    True
    """

    def __init__(self, host: str | None = None, **arguments: Any) -> None:
        if host is not None or arguments:
            super().__init__(host, **arguments)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if not name.startswith("__"):
                # Of two threads that come here at the same time the first one's parts are kept, each in one step.
                for part, value in vars(Client()).items():
                    vars(self).setdefault(part, value)
            try:
                return vars(self)[name]
            except KeyError:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None


default_client = DefaultClient()


def configure(host: str | None = None, **arguments: Any) -> None:
    """Makes the module's functions use a client with these arguments, those of `Client`, from now on.

    What is under way goes on with the one before. Without arguments the environment is read anew. Raises what `Client`
    raises; then nothing changes.

    >>> configure("http://127.0.0.1:11435", timeout=60)
    >>> default_client.base_url
    'http://127.0.0.1:11435'
    """
    vars(default_client).update(vars(Client(host, **arguments)))


chat = default_client.chat
generate = default_client.generate
embed = default_client.embed
embed_array = default_client.embed_array
embeddings = default_client.embeddings
pull = default_client.pull
push = default_client.push
create = default_client.create
create_blob = default_client.create_blob
delete = default_client.delete
list = default_client.list
copy = default_client.copy
show = default_client.show
ps = default_client.ps
version = default_client.version
web_search = default_client.web_search
web_fetch = default_client.web_fetch
systemone = default_client.systemone
