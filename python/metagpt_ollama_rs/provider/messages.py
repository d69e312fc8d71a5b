"""From MetaGPT's messages to the body of a request, and from a reply to its text: one class per endpoint.

The classes, their names and their methods are those of MetaGPT's ``ollama_api.py``, so that code which patches or
subclasses them goes on working. Where the original sent ``messages[0]`` only, these send everything:

- chat: every message in order, every role. A content list becomes one text, its parts joined by a newline, and the
  images of that message.
- generate has one prompt and one system text. System messages are joined by a blank line into ``system``. A single
  other message is the prompt as it stands; a history is written as ``role: text`` paragraphs, and a last line
  ``assistant:`` asks for the next turn. Images of all messages go along.
- embeddings takes one prompt: all texts of all messages, joined by a newline. embed takes the same texts as a batch.

For example:

>>> messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello."}]
>>> OllamaMessageChat(model="llama3.2").apply(messages)["messages"] == messages
True
>>> OllamaMessageGenerate(model="llama3.2").apply(messages)
{'model': 'llama3.2', 'prompt': 'Say hello.', 'system': 'Be brief.'}
>>> OllamaMessageEmbed(model="nomic-embed-text").apply(messages)
{'model': 'nomic-embed-text', 'input': ['Be brief.', 'Say hello.']}

No I/O but the reading of an image file that a message names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum, auto
from typing import Any, Optional, Tuple

from metagpt.provider.general_api_requestor import OpenAIResponse

from .. import decode, endpoints, get_choice
from ..endpoints import Endpoint
from ..errors import ConfigurationError
from ..images import BYTES, checked_images
from ..payloads import require_text
from ..tools import sent_calls
from .copying import Copyable
from .images import METAGPT_PREFIX, image_base64

__all__ = [
    "OllamaMessageAPI",
    "OllamaMessageBase",
    "OllamaMessageChat",
    "OllamaMessageEmbed",
    "OllamaMessageEmbeddings",
    "OllamaMessageGenerate",
    "OllamaMessageMeta",
    "path_of",
]

# What MetaGPT leaves out of the paths of its message classes.
_PREFIX = "/api"


class OllamaMessageAPI(Enum):
    """The four endpoints, named as the rows of the table of endpoints; chat is the default.

    >>> OllamaMessageAPI.EMBED.endpoint.path, OllamaMessageAPI.EMBED.suffix
    ('/api/embed', '/embed')
    """

    CHAT = auto()
    GENERATE = auto()
    EMBED = auto()
    EMBEDDINGS = auto()

    @property
    def endpoint(self) -> Endpoint:
        """The row of the table of endpoints."""
        row: Endpoint = getattr(endpoints, self.name)
        return row

    @property
    def suffix(self) -> str:
        """The endpoint's path below ``/api``, such as ``/chat``."""
        return self.endpoint.path[len(_PREFIX) :]


def path_of(api_suffix: str) -> str:
    """The request's path: below ``/api``, unless a user's message class names a whole path of its own."""
    return api_suffix if api_suffix.startswith(("/api/", "/v1/")) else _PREFIX + api_suffix


class OllamaMessageBase(Copyable):
    """What the message classes have in common. ``additional_kwargs`` are put into every request as they are.

    >>> OllamaMessageChat(model="llama3.2", keep_alive=300).apply([])
    {'model': 'llama3.2', 'messages': [], 'keep_alive': 300}
    """

    api_type = OllamaMessageAPI.CHAT
    _needed = frozenset({"model", "additional_kwargs"})

    def __init__(self, model: str, **additional_kwargs: Any) -> None:
        self.model, self.additional_kwargs = model, additional_kwargs
        self._image_b64_rms = len(METAGPT_PREFIX)

    @property
    def api_suffix(self) -> str:
        """The endpoint's path below ``/api``, such as ``/chat``."""
        raise NotImplementedError

    def apply(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """The body of a request for ``messages``, which are MetaGPT's: ``[{"role": "user", "content": "Hi"}]``.

        Raises ``ConfigurationError`` (a ``ValueError``) for a message, a part or an image that cannot be sent.
        """
        raise NotImplementedError

    def decode(self, response: OpenAIResponse) -> dict[str, Any]:
        """The JSON value of the last line of ``response.data``; never raises on bad bytes (see ``decode``)."""
        return decode(response)  # type: ignore[no-any-return]

    def get_choice(self, to_choice_dict: dict[str, Any]) -> str:
        """The text of a decoded reply."""
        raise NotImplementedError

    def _parse_input_msg(self, msg: dict[str, Any]) -> Tuple[Optional[str], Optional[str]]:
        """One part of a content list: ``(text, None)`` or ``(None, bare base64 of an image)``."""
        kind = msg.get("type") if isinstance(msg, Mapping) else None
        if kind == "text":
            return require_text(msg["text"] or "", "the text of a part"), None
        if kind == "image_url":
            url = msg["image_url"]
            return None, image_base64(url["url"] if isinstance(url, Mapping) else url)
        raise ConfigurationError(f"a part of a message must be of type text or image_url, not {kind!r}")

    def _parts(self, content: Any) -> tuple[list[str], list[str]]:
        """The texts and the images of a message's content, which is a text, a list of parts or of texts, or None."""
        if content is None:
            return [], []
        if isinstance(content, BYTES):
            return [require_text(content, "the content of a message")], []
        if not isinstance(content, list):
            return [str(content)], []
        texts: list[str] = []
        images: list[str] = []
        for part in content:
            plain = isinstance(part, (str, *BYTES))
            text, image = (require_text(part, "a part of a message"), None) if plain else self._parse_input_msg(part)
            if text:
                texts.append(text)
            if image:
                images.append(image)
        return texts, images


class OllamaMessageMeta(type):
    """The metaclass that registers one message class for each endpoint: the first that has its ``api_type``.

    A subclass of such a class, with an ``api_type`` of its own or without, is not registered and replaces nothing. To
    use it, set ``llm.ollama_message`` to an object of it.

    >>> OllamaMessageMeta.get_message(OllamaMessageAPI.CHAT).__name__
    'OllamaMessageChat'
    """

    registed_message: dict[OllamaMessageAPI, type[OllamaMessageBase]] = {}

    def __init__(cls, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> None:
        super().__init__(name, bases, attrs)
        api_type = attrs.get("api_type")
        if isinstance(api_type, OllamaMessageAPI) and issubclass(cls, OllamaMessageBase):
            OllamaMessageMeta.registed_message.setdefault(api_type, cls)

    @classmethod
    def get_message(mcs, input_type: OllamaMessageAPI) -> type[OllamaMessageBase]:
        """The message class that is registered for an endpoint."""
        return mcs.registed_message[input_type]


class OllamaMessageChat(OllamaMessageBase, metaclass=OllamaMessageMeta):
    """Requests to ``/api/chat``: every message in order, with its role and its images.

    >>> OllamaMessageChat(model="llama3.2").apply([{"role": "user", "content": "Say hello."}])
    {'model': 'llama3.2', 'messages': [{'role': 'user', 'content': 'Say hello.'}]}
    """

    api_type = OllamaMessageAPI.CHAT

    @property
    def api_suffix(self) -> str:
        return OllamaMessageAPI.CHAT.suffix

    def apply(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        sends: dict[str, Any] = {"model": self.model, "messages": self._messages(messages)}
        sends.update(self.additional_kwargs)
        return sends

    def get_choice(self, to_choice_dict: dict[str, Any]) -> str:
        return get_choice(to_choice_dict)

    def _messages(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [self._message(message, f"messages[{index}]") for index, message in enumerate(_as_mappings(messages))]

    def _message(self, message: Mapping[str, Any], where: str) -> dict[str, Any]:
        texts, images = self._parts(message.get("content"))
        result: dict[str, Any] = {"role": message.get("role") or "user", "content": "\n".join(texts)}
        if message.get("images"):
            place = f"{where}.images"
            given = enumerate(checked_images(message["images"], place))
            images.extend(image_base64(image, f"{place}[{at}]") for at, image in given)
        if images:
            result["images"] = images
        for key in ("thinking", "tool_name", "tool_call_id"):
            if message.get(key):
                result[key] = message[key]
        if message.get("tool_calls"):
            result["tool_calls"] = sent_calls(message["tool_calls"], f"{where}.tool_calls")
        return result


class OllamaMessageGenerate(OllamaMessageChat, metaclass=OllamaMessageMeta):
    """Requests to ``/api/generate``: all messages become one prompt and one system text.

    >>> OllamaMessageGenerate(model="llama3.2").apply([{"role": "user", "content": "Say hello."}])
    {'model': 'llama3.2', 'prompt': 'Say hello.'}
    """

    api_type = OllamaMessageAPI.GENERATE

    @property
    def api_suffix(self) -> str:
        return OllamaMessageAPI.GENERATE.suffix

    def apply(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        plain = self._messages(messages)
        images = [image for message in plain for image in message.get("images", ())]
        system = "\n\n".join(message["content"] for message in plain if message["role"] == "system")
        turns = [message for message in plain if message["role"] != "system"]
        # An empty prompt would only load the model. A system text without other messages so becomes the prompt.
        prompt, system = (_as_prompt(turns), system) if turns else (system, "")
        sends: dict[str, Any] = {"model": self.model, "prompt": prompt}
        if system:
            sends["system"] = system
        if images:
            sends["images"] = images
        sends.update(self.additional_kwargs)
        return sends

    def get_choice(self, to_choice_dict: dict[str, Any]) -> str:
        if isinstance(to_choice_dict, dict) and "error" not in to_choice_dict and "response" in to_choice_dict:
            return to_choice_dict["response"] or ""
        return get_choice(to_choice_dict)


class OllamaMessageEmbeddings(OllamaMessageBase, metaclass=OllamaMessageMeta):
    """Requests to ``/api/embeddings``: all texts become one, which gets one vector.

    >>> OllamaMessageEmbeddings(model="nomic-embed-text").apply(["one", "two"])
    {'model': 'nomic-embed-text', 'prompt': 'one\\ntwo'}
    """

    api_type = OllamaMessageAPI.EMBEDDINGS

    @property
    def api_suffix(self) -> str:
        return OllamaMessageAPI.EMBEDDINGS.suffix

    def apply(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        sends: dict[str, Any] = {"model": self.model, "prompt": "\n".join(self._texts(messages))}
        sends.update(self.additional_kwargs)
        return sends

    def _texts(self, messages: list[dict[str, Any]]) -> list[str]:
        found: list[str] = []
        for message in _as_mappings(messages):
            texts, images = self._parts(message.get("content"))
            if images:
                raise ConfigurationError("an image cannot be embedded: Ollama's embedding endpoints take texts only")
            found.extend(texts)
        return found


class OllamaMessageEmbed(OllamaMessageEmbeddings, metaclass=OllamaMessageMeta):
    """Requests to ``/api/embed``: a batch of texts, each of which gets a vector, in their order.

    >>> OllamaMessageEmbed(model="nomic-embed-text").apply(["one", "two"])
    {'model': 'nomic-embed-text', 'input': ['one', 'two']}
    """

    api_type = OllamaMessageAPI.EMBED

    @property
    def api_suffix(self) -> str:
        return OllamaMessageAPI.EMBED.suffix

    def apply(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        sends: dict[str, Any] = {"model": self.model, "input": self._texts(messages)}
        sends.update(self.additional_kwargs)
        return sends


def _as_mappings(messages: Any) -> Iterable[Mapping[str, Any]]:
    """MetaGPT's messages as mappings: dicts as they are, a text as a user's message, ``Message`` objects converted."""
    for message in [messages] if isinstance(messages, (str, *BYTES, Mapping)) else messages:
        if isinstance(message, Mapping):
            yield message
        elif isinstance(message, (str, *BYTES)):
            yield {"role": "user", "content": message}
        elif hasattr(message, "to_dict"):
            yield message.to_dict()
        else:
            raise ConfigurationError(f"a message must be a dict, a text or a Message, not {type(message).__name__}")


def _as_prompt(turns: list[dict[str, Any]]) -> str:
    if len(turns) == 1:
        return str(turns[0]["content"])
    return "\n\n".join([f"{turn['role']}: {turn['content']}" for turn in turns] + ["assistant:"])
