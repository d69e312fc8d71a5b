"""What the server's replies become: views of their JSON objects with attribute and item access.

A record wraps the dict that was received and copies nothing; the dicts in a list of records become records there, when
the list is first asked for, so that a change of the list or of what is in it takes effect. ``reply.message.content``
and ``reply["message"]["content"]`` are the same; a field that Ollama left out is ``None`` as an attribute and a
``KeyError`` as an item, as in ollama-python. Fields that this package doesn't know stay reachable in both ways.

The pieces of a stream are the hot objects here. For a content line the core (``src/py/objects/slot_layout.rs``) makes
no dict: it fills the slots in which ``ChatResponse``, ``GenerateResponse`` and ``Message`` keep what such a line says,
so that a plain read of them runs no code of ours. Everything else asks for ``_data``; the dict is then made from the
slots, the slots are emptied, and from there on the record is like any other.
"""

from __future__ import annotations

from metagpt_ollama_rs import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
    from typing import Any


class Record:
    """A JSON object. Two records are equal if their classes and objects are; a record can be pickled.

    >>> record = Record({"model": "llama3.2", "details": {"family": "llama"}})
    >>> record.model, record["details"]
    ('llama3.2', {'family': 'llama'})
    >>> record.get("size", 0), "size" in record
    (0, False)
    >>> record.model_dump_json()
    '{"model":"llama3.2","details":{"family":"llama"}}'
    """

    __slots__ = ("_data",)
    _data: dict[str, Any]
    _fields: frozenset[str] = frozenset()
    _nested: dict[str, type[Record]] = {}
    # What a content line always says, and its keys whose values are in slots, in the order in which Ollama writes them.
    _always: dict[str, Any] = {}
    _content_line: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        own = (name for name in cls.__annotations__ if not name.startswith("_"))
        cls._fields = cls._fields.union(own)

    def __init__(self, data: Mapping[str, Any] | None = None, /, **fields: Any) -> None:
        record = data if isinstance(data, dict) and not fields else {**(data or {}), **fields}
        object.__setattr__(self, "_data", record)

    def _wrap(self, name: str, value: Any) -> Any:
        nested = self._nested.get(name)
        if nested is None:
            return value
        if isinstance(value, dict):
            return nested(value)
        if isinstance(value, list):
            # In place, so that there is one list: whoever changes it changes this record.
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    value[index] = nested(item)
        return value

    def _make_dict(self) -> dict[str, Any]:
        """The dict of a record whose values are in slots; it is the record's from then on, and the slots are empty."""
        read = object.__getattribute__
        data = dict(self._always)
        try:
            for name in self._content_line:
                value = read(self, name)
                data[name] = value._data if isinstance(value, Record) else value
        except AttributeError:
            # Another thread has emptied the slots.
            return read(self, "_data")  # type: ignore[no-any-return]
        return _core.adopt_dict(self, data, self._content_line)

    def __getattr__(self, name: str) -> Any:
        if name == "_data":
            return self._make_dict()
        if name in self._data:
            return self._wrap(name, self._data[name])
        if name in self._fields:
            return None
        # What a server sends may be long, and not only text.
        names = _core.excerpt(", ".join(self._data), 200)
        raise AttributeError(f"{type(self).__name__} has no field {name!r}; it has {names}")

    def __setattr__(self, name: str, value: Any) -> None:
        self._data[name] = value

    def __getitem__(self, name: str) -> Any:
        return self._wrap(name, self._data[name])

    def __setitem__(self, name: str, value: Any) -> None:
        self._data[name] = value

    def __contains__(self, name: object) -> bool:
        return name in self._data

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def get(self, name: str, default: Any = None) -> Any:
        """The field, or ``default`` if the server left it out."""
        return self[name] if name in self._data else default

    def keys(self) -> KeysView[str]:
        return self._data.keys()

    def values(self) -> ValuesView[Any]:
        return self._data.values()

    def items(self) -> ItemsView[str, Any]:
        return self._data.items()

    def model_dump(self, *, mode: str = "python", exclude_none: bool = False) -> dict[str, Any]:
        """The JSON object as a new dict. ``mode`` is taken for compatibility and changes nothing."""
        data: dict[str, Any] = _as_json(self._data)
        return {key: value for key, value in data.items() if value is not None} if exclude_none else data

    def model_dump_json(self) -> str:
        """The JSON object as text."""
        return _core.dumps(_as_json(self._data)).decode()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Record):
            return type(self) is type(other) and _as_json(self._data) == _as_json(other._data)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={self[name]!r}" for name in self._data)
        return f"{type(self).__name__}({fields})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self._data,))


def _as_json(value: Any) -> Any:
    """A copy of ``value`` as JSON has it, the records in its lists as dicts."""
    if isinstance(value, Record):
        value = value._data
    if isinstance(value, dict):
        return {key: _as_json(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if value is None or isinstance(value, (str, int, float)):
        return value
    import copy

    return copy.deepcopy(value)


class ToolFunction(Record):
    """Name and arguments of a call.

    ``arguments`` is a dict, also where the server sent JSON text, ``""``, null or nothing. Text that is no JSON object
    stays a str: it is all that is known of what the model wanted.

    >>> ToolFunction(name="add", arguments='{"a": 1}').arguments
    {'a': 1}
    """

    __slots__ = ()
    name: str
    arguments: dict[str, Any]

    def __init__(self, data: Mapping[str, Any] | None = None, /, **fields: Any) -> None:
        super().__init__(data, **fields)
        if not isinstance(self._data.get("arguments"), dict):
            _core.parse_tool_arguments(self._data)


class ToolCall(Record):
    """A call that the model asks for.

    >>> ToolCall(function={"name": "add", "arguments": {"a": 1}}).function.name
    'add'
    """

    __slots__ = ()
    _nested = {"function": ToolFunction}
    id: str | None
    function: ToolFunction


class Message(Record):
    """A message of a chat; ``thinking`` and ``tool_calls`` are None when there are none.

    >>> message = Message(role="assistant", content="Hello")
    >>> message.content, message.thinking
    ('Hello', None)
    """

    __slots__ = ("content",)
    _always = {"role": "assistant"}
    _content_line = ("content",)
    _nested = {"tool_calls": ToolCall}
    role: str
    content: str | None
    thinking: str | None
    images: Sequence[str] | None
    tool_calls: Sequence[ToolCall] | None
    tool_name: str | None


class Logprob(Record):
    """The log probability of a token, and of its alternatives.

    >>> logprob = Logprob(token="Hi", logprob=-0.5, top_logprobs=[{"token": "Hello", "logprob": -1.0}])
    >>> logprob.top_logprobs[0].token
    'Hello'
    """

    __slots__ = ()
    token: str
    logprob: float
    bytes: Sequence[int] | None
    top_logprobs: Sequence[Logprob] | None


Logprob._nested = {"top_logprobs": Logprob}


class _Counted(Record):
    """The counters of a reply: counts in tokens, durations in nanoseconds, None where absent.

    The annotations are the names in ``_core.COUNTERS``, for type checkers; a test compares them.
    """

    __slots__ = ()
    total_duration: int | None
    load_duration: int | None
    prompt_eval_count: int | None
    prompt_eval_cached_count: int | None
    prompt_eval_duration: int | None
    eval_count: int | None
    eval_duration: int | None

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens of the answer per second of generation; None if the server gave no counts."""
        count, duration = self.eval_count, self.eval_duration
        return count * 1e9 / duration if count and duration else None

    @property
    def load_seconds(self) -> float | None:
        """Seconds for loading the model; None if the server did not say."""
        return None if self.load_duration is None else self.load_duration / 1e9

    @property
    def prompt_tokens(self) -> int | None:
        """Tokens of the prompt, those from the cache among them (of all inputs, for embeddings); None if the server
        did not say."""
        return self.prompt_eval_count

    @property
    def cached_tokens(self) -> int | None:
        """Tokens of the prompt that the server still had in its cache; None if the server did not say."""
        return self.prompt_eval_cached_count

    @property
    def answer_tokens(self) -> int | None:
        """Tokens of the answer, thinking among them; None if the server did not say."""
        return self.eval_count


class _Generation(_Counted):
    """What the replies of chat, generate and embed have in common."""

    __slots__ = ("created_at", "done", "model")
    _nested = {"logprobs": Logprob}
    model: str | None
    created_at: str | None
    done: bool | None
    done_reason: str | None
    logprobs: Sequence[Logprob] | None


class ChatResponse(_Generation):
    """A reply of ``/api/chat``, or one piece of it.

    >>> reply = ChatResponse(message={"role": "assistant", "content": "Hello"}, eval_count=2, eval_duration=50_000_000)
    >>> reply.message.content, reply["message"]["role"], reply.tokens_per_second
    ('Hello', 'assistant', 40.0)
    """

    __slots__ = ("message",)
    _content_line = ("model", "created_at", "message", "done")
    _nested = {"message": Message, "logprobs": Logprob}
    message: Message


class GenerateResponse(_Generation):
    """A reply of ``/api/generate``, or one piece of it. ``context`` is a list of token ids.

    >>> reply = GenerateResponse(response="Hello", prompt_eval_count=7)
    >>> reply.response, reply.prompt_tokens, reply.done_reason
    ('Hello', 7, None)
    """

    __slots__ = ("response",)
    _content_line = ("model", "created_at", "response", "done")
    response: str
    thinking: str | None
    context: Sequence[int] | None


class EmbedResponse(_Generation):
    """Vectors of ``/api/embed``: ``embeddings[i]`` belongs to ``input[i]``, L2-normalised by the server.

    >>> EmbedResponse(embeddings=[[0.6, 0.8], [1.0, 0.0]]).embeddings[1]
    [1.0, 0.0]
    """

    __slots__ = ()
    embeddings: Sequence[Sequence[float]]


class EmbeddingsResponse(Record):
    """The vector of ``/api/embeddings``, not normalised.

    >>> EmbeddingsResponse(embedding=[3.0, 4.0]).embedding
    [3.0, 4.0]
    """

    __slots__ = ()
    embedding: Sequence[float]


class ModelDetails(Record):
    """Format, family and size of a model.

    >>> ModelDetails(family="llama", parameter_size="3.2B").parameter_size
    '3.2B'
    """

    __slots__ = ()
    parent_model: str | None
    format: str | None
    family: str | None
    families: Sequence[str] | None
    parameter_size: str | None
    quantization_level: str | None


class Model(Record):
    """A model of ``/api/tags`` or ``/api/ps``; sizes in bytes.

    >>> Model(name="llama3.2:latest", size=2_019_393_189, details={"format": "gguf"}).details.format
    'gguf'
    """

    __slots__ = ()
    _nested = {"details": ModelDetails}
    model: str | None
    name: str | None
    modified_at: str | None
    digest: str | None
    size: int | None
    size_vram: int | None
    expires_at: str | None
    context_length: int | None
    capabilities: Sequence[str] | None
    details: ModelDetails | None


class ListResponse(Record):
    """The models on disk.

    >>> [model.name for model in ListResponse(models=[{"name": "llama3.2:latest"}]).models]
    ['llama3.2:latest']
    """

    __slots__ = ()
    _nested = {"models": Model}
    models: Sequence[Model]


class ProcessResponse(Record):
    """The models in memory.

    >>> ProcessResponse(models=[{"name": "llama3.2:latest", "size_vram": 0}]).models[0].size_vram
    0
    """

    __slots__ = ()
    _nested = {"models": Model}
    models: Sequence[Model]


class ShowResponse(Record):
    """What the server knows of a model (``/api/show``). ``modelinfo`` is the server's ``model_info``.

    >>> ShowResponse(capabilities=["completion", "tools"], model_info={"llama.context_length": 131072}).modelinfo
    {'llama.context_length': 131072}
    """

    __slots__ = ()
    _nested = {"details": ModelDetails}
    modified_at: str | None
    template: str | None
    modelfile: str | None
    license: str | None
    parameters: str | None
    model_info: Mapping[str, Any] | None
    capabilities: Sequence[str] | None
    details: ModelDetails | None

    @property
    def modelinfo(self) -> Mapping[str, Any] | None:
        return self.model_info


class ProgressResponse(Record):
    """A line of a pull, push or create; ``completed`` and ``total`` in bytes.

    >>> report = ProgressResponse(status="pulling 849a5ddf83cb", completed=50, total=200)
    >>> report.completed / report.total
    0.25
    """

    __slots__ = ()
    status: str | None
    digest: str | None
    completed: int | None
    total: int | None


class StatusResponse(Record):
    """The outcome of a request that answers nothing else.

    >>> StatusResponse(status="success").status
    'success'
    """

    __slots__ = ()
    status: str | None


__all__ = [
    "ChatResponse",
    "EmbedResponse",
    "EmbeddingsResponse",
    "GenerateResponse",
    "ListResponse",
    "Logprob",
    "Message",
    "Model",
    "ModelDetails",
    "ProcessResponse",
    "ProgressResponse",
    "Record",
    "ShowResponse",
    "StatusResponse",
    "ToolCall",
    "ToolFunction",
]
