"""What a program puts into requests: options, images and descriptions of tools.

Everywhere a plain dict, a text or a function does as well; these are the classes of ollama-python, by
their names. For example ``Tool(function=Tool.Function(name="add"))`` is ``{"type": "function", "function": {"name":
"add"}}`` over the wire.
"""

from __future__ import annotations

from metagpt_ollama_rs.record import Record, table_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any, Literal

    from metagpt_ollama_rs.record_dumps import Dump

__all__ = ["Image", "Options", "Tool"]


class Options(Record):
    """Options of a model; what is not set is left to the server. Those of newer servers are taken, too.

    >>> Options(temperature=0, num_ctx=8192).model_dump(exclude_none=True)
    {'num_ctx': 8192, 'temperature': 0.0}
    """

    __slots__ = ()
    _beyond = frozenset(("draft_num_predict", "min_p"))
    numa: bool | None
    num_ctx: int | None
    num_batch: int | None
    num_gpu: int | None
    main_gpu: int | None
    low_vram: bool | None
    f16_kv: bool | None
    logits_all: bool | None
    vocab_only: bool | None
    use_mmap: bool | None
    use_mlock: bool | None
    embedding_only: bool | None
    num_thread: int | None
    num_keep: int | None
    seed: int | None
    num_predict: int | None
    top_k: int | None
    top_p: float | None
    tfs_z: float | None
    typical_p: float | None
    repeat_last_n: int | None
    temperature: float | None
    repeat_penalty: float | None
    presence_penalty: float | None
    frequency_penalty: float | None
    mirostat: int | None
    mirostat_tau: float | None
    mirostat_eta: float | None
    penalize_newline: bool | None
    stop: Sequence[str] | None
    draft_num_predict: int | None
    min_p: float | None


class Image(Record):
    """An image of a message or a prompt: its bytes, the path of a file, or base64 text.

    Its dump is base64. The clients take the bytes, the path or the text without this class, too, and are stricter
    about what is an image.

    >>> Image(value=b"GIF89a...").model_dump()
    'R0lGODlhLi4u'
    """

    __slots__ = ()
    value: str | bytes | Path

    def _dump(self, dump: Dump, include: Any, exclude: Any) -> str:
        from metagpt_ollama_rs.images import lenient_image_text

        return lenient_image_text(self.value)


class Tool(Record):
    """The description of a tool. What a function, as a tool, becomes: `tools.function_tool`.

    >>> parameters = {"properties": {"city": {"type": "string"}}, "required": ["city"]}
    >>> tool = Tool(function={"name": "weather", "description": "The weather today.", "parameters": parameters})
    >>> tool.type, tool.function.parameters.type, tool.function.parameters.properties["city"].type
    ('function', 'object', 'string')
    """

    __slots__ = ()

    class Function(Record):
        """Name, description and parameters of a tool."""

        __slots__ = ()

        class Parameters(Record):
            """The parameters of a tool, as JSON Schema."""

            __slots__ = ()
            _aliases = {"defs": "$defs"}

            class Property(Record):
                """One parameter, as JSON Schema."""

                __slots__ = ()
                type: str | Sequence[str] | None
                items: Any | None
                description: str | None
                enum: Sequence[Any] | None

            type: Literal["object"] | None = "object"
            defs: Any | None
            items: Any | None
            required: Sequence[str] | None
            properties: Mapping[str, Property] | None

            _readers = {"properties": table_of(Property)}

        _nested = {"parameters": Parameters}
        name: str | None
        description: str | None
        parameters: Parameters | None

    _nested = {"function": Function}
    type: str | None = "function"
    function: Function | None
