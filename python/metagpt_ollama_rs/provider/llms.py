"""MetaGPT's two Ollama providers that answer with text, on this package's client, with the hooks of ``ollama_api.py``.

Two roads lead to a server. The short one hands the request to the client, which decodes in Rust and calls
``log_llm_stream`` once for each delta. The compatible one does step by step what MetaGPT's provider does; it is taken
when ``monkeypatches`` finds that user code has replaced one of those steps: the requestor's ``arequest``, a message's
``decode`` or ``get_choice``, one of the ``_processing_…`` hooks. Which road is decided anew for each call.

The model and the settings are read at the time of the call. The model that was set last wins: ``with_model`` of
MetaGPT 0.8.2 changes the shared configuration, that of its main branch the object.

What a server answers in the place of an answer is raised as a typed error (see ``metagpt_ollama_rs.errors``), never
returned as text, unless ``on_error: text`` asks for the latter. No I/O here.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Awaitable, Callable
from typing import Any, AsyncGenerator, AsyncIterator, Optional, TypeVar

from metagpt.configs.llm_config import LLMConfig
from metagpt.const import USE_CONFIG_TIMEOUT
from metagpt.logs import log_llm_stream, logger
from metagpt.provider.base_llm import BaseLLM
from metagpt.provider.general_api_requestor import GeneralAPIRequestor, OpenAIResponse
from metagpt.utils.cost_manager import TokenCostManager

from .. import AsyncClient, Timeout, _core
from ..endpoints import endpoint_at
from ..errors import (
    BadRequestError,
    EmptyAnswerError,
    IncompleteError,
    OllamaError,
    ProtocolError,
    ResponseError,
    StreamError,
)
from ..failures import from_core
from ..images import encode_images_in_thread, image_lists
from ..payloads import require_text
from .done_reasons import advice, cut_off, empty_answer
from .images import fetch_images, unread_images
from .messages import (
    OllamaMessageAPI,
    OllamaMessageBase,
    OllamaMessageChat,
    OllamaMessageEmbed,
    OllamaMessageEmbeddings,
    OllamaMessageGenerate,
    OllamaMessageMeta,
    path_of,
)
from .monkeypatches import REQUEST, current, untouched
from .replies import (
    Lines,
    calls_of,
    checked,
    count_of,
    error_of,
    holder_of,
    native,
    no_text,
    text_of,
    thinking_of,
)
from .settings import Settings, fields_set, overlay, read_settings
from .shared_clients import check_vision, refused_thinking, shared_client
from .stats_records import asking, mark, marked, record, recorded
from .structured import by_environment, complete, wanted_format, watch_nodes, wrapped
from .thinking import ThinkSplitter, split_thinking

__all__ = ["OllamaGenerate", "OllamaLLM"]

Messages = list[dict[str, Any]]
_T = TypeVar("_T")

_DECODE = OllamaMessageBase.decode
_PARSE = OllamaMessageBase._parse_input_msg
_APPLY = tuple(
    made.apply for made in (OllamaMessageChat, OllamaMessageGenerate, OllamaMessageEmbed, OllamaMessageEmbeddings)
)
_GET_CHOICE = (OllamaMessageChat.get_choice, OllamaMessageGenerate.get_choice)

# What `on_error: text` turns into an answer: the server's word against the request. That there is no server, that it
# is silent, or that the configuration is wrong is raised in any case.
_SERVER_SAID = (ResponseError, StreamError, ProtocolError, EmptyAnswerError)


# A prompt is taken for cut when a token would stand for more bytes than in any language or code; short ones never.
CUT_TOKENS = 256
CUT_BYTES_PER_TOKEN = 12

# On the compatible road, whether an answer goes in circles is looked at once for so many new characters.
REPETITION_LOOK = 4096


class _Watch:
    """Shows an answer that comes in pieces to ``refuse``, its text and its thinking, now and then and at the end."""

    def __init__(self, refuse: Callable[[str, str], None]) -> None:
        self._refuse = refuse
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._new = 0

    def feed(self, text: str, thinking: str, *, ended: bool) -> None:
        self._text.append(text)
        self._thinking.append(thinking)
        self._new += len(text) + len(thinking)
        if ended or self._new >= REPETITION_LOOK:
            self._new = 0
            self._refuse("".join(self._text), "".join(self._thinking))


@contextlib.asynccontextmanager
async def _closing(generator: AsyncGenerator[_T, None]) -> AsyncIterator[AsyncGenerator[_T, None]]:
    """Closes the generator behind a stream at the end, so that a server whose answer is not read on stops at once."""
    try:
        yield generator
    finally:
        await generator.aclose()


class _Built:
    """The message object that a provider made by itself, and what it was made of."""

    def __init__(self, api: OllamaMessageAPI, model: Optional[str], kwargs: dict[str, Any]) -> None:
        self.api, self.model, self.kwargs = api, model, copy.deepcopy(kwargs)
        self.message = OllamaMessageMeta.get_message(api)(model=model or "", **kwargs)


class OllamaLLM(BaseLLM):
    """``ollama``: ``/api/chat``.

    ``on_error`` is ``raise`` (the default) or ``text``, which returns the text of a server's error as the answer, and
    wins over the setting of the same name. ``reasoning_content`` is the thinking of the last answer, or None.
    ``last_response`` is the object that ended the last call: counters, durations, ``done_reason``.
    """

    _system_prompt_by_default = True
    _built: Optional[_Built] = None
    _model: Optional[str] = None
    _config_model: Optional[str] = None
    _read: Optional[tuple[Any, Any, Any, Settings]] = None
    last_response: Optional[dict[str, Any]] = None

    def __init__(self, config: LLMConfig, on_error: Optional[str] = None) -> None:
        self.client = current("GeneralAPIRequestor", GeneralAPIRequestor)(
            base_url=config.base_url, key=getattr(config, "api_key", None)
        )
        self.config = config
        self.http_method = "post"
        self.use_system_prompt = self._system_prompt_by_default and getattr(config, "use_system_prompt", True)
        self.cost_manager = current("TokenCostManager", TokenCostManager)()
        self.on_error = on_error
        self.reasoning_content: Optional[str] = None
        try:
            self.__init_ollama(config)
        except OllamaError as error:
            self._record(error, streamed=False)
            raise
        if self.answers_structured:
            watch_nodes()

    def __init_ollama(self, config: LLMConfig) -> None:
        self.model = config.model
        self.pricing_plan = self.model
        self._built = _Built(self._llama_api_inuse, self.model, self._llama_api_kwargs)
        self.ollama_message = self._built.message

    @property
    def model(self) -> Optional[str]:
        """The model's name: the one that was set last, here or in the configuration."""
        configured = getattr(getattr(self, "config", None), "model", None)
        if configured != self._config_model:
            self._model = self._config_model = configured
        return self._model

    @model.setter
    def model(self, value: Optional[str]) -> None:
        self._model = value
        self._config_model = getattr(getattr(self, "config", None), "model", None)

    def with_model(self, model: str) -> OllamaLLM:
        """Sets the model and returns this object."""
        super().with_model(model)
        self.model = model
        return self

    @property
    def _llama_api_inuse(self) -> OllamaMessageAPI:
        return OllamaMessageAPI.CHAT

    @property
    def _llama_api_kwargs(self) -> dict[str, Any]:
        settings = self._settings()
        return {"options": {**settings.options}, "stream": self.config.stream, **settings.request}

    @property
    def answers_structured(self) -> bool:
        """Whether the nodes that this object fills get structured answers: ``structured`` in ``extra_fields``, else
        what ``METAGPT_OLLAMA_STRUCTURED`` says."""
        wanted = self._settings().client.structured
        return by_environment() if wanted is None else wanted

    def support_image_input(self) -> bool:
        """Always True: whether the model can see is asked of the server at the first call with an image."""
        return True

    def get_usage(self, resp: dict[str, Any]) -> dict[str, int]:
        """The token counts of a reply; a count that the server left out is left out here."""
        counts = {theirs: count_of(resp, name) for name, theirs in _core.OPENAI_USAGE.items()}
        return {name: count for name, count in counts.items() if count is not None}

    def get_choice_text(self, rsp: dict[str, Any]) -> str:
        """The answer's text in a reply, or that of an error in its place. ``ProtocolError`` for what has neither."""
        if not isinstance(rsp, dict) or error_of(rsp) is not None or not self._reads_replies:
            return str(self.ollama_message.get_choice(rsp))
        text = text_of(rsp, model=self.model)
        if text is None and not thinking_of(rsp) and not calls_of(rsp):
            raise no_text(rsp, model=self.model)
        return text or ""

    @property
    def _reads_replies(self) -> bool:
        """Whether this package says what a reply's text is, and not a ``get_choice`` of the user's."""
        return untouched(self.ollama_message, "get_choice", *_GET_CHOICE)

    @functools.wraps(BaseLLM.aask)
    async def aask(self, msg: Any, *args: Any, **kwargs: Any) -> Any:
        """The answer to a question, as MetaGPT's ``BaseLLM.aask``; one that fills a node is wrapped for its parser."""
        if isinstance(msg, (bytes, bytearray, memoryview)):
            # MetaGPT would take them for a list of messages.
            msg = require_text(msg, "the question")
        answer = await super().aask(msg, *args, **kwargs)
        return answer if wanted_format(self) is None else wrapped(answer)

    async def acompletion(self, messages: Messages, timeout: int = USE_CONFIG_TIMEOUT) -> dict[str, Any]:
        """Answers ``messages`` with the server's whole reply, not streamed."""
        return await self._achat_completion(messages, timeout=self.get_timeout(timeout))

    @recorded(streamed=False)
    async def _achat_completion(self, messages: Messages, timeout: int = USE_CONFIG_TIMEOUT) -> dict[str, Any]:
        message = self._message()
        payload = await self._payload(message, messages, stream=False)
        try:
            if not untouched(self.client, "arequest", REQUEST):
                reply: dict[str, Any] = await self._through_requestor(message, payload, timeout, stream=False)
                return reply
            client = self._client()
            await self._check_images(client, payload)
            short = untouched(message, "decode", _DECODE) and untouched(self, "_processing_openai_response", _PROCESS)
            ask = self._ask_whole if short else self._ask_bytes
            return await self._asked(client, payload, lambda body: ask(client, message, body, timeout))
        except _SERVER_SAID as error:
            return self._as_text(self._explained(error), streamed=False)

    @recorded(streamed=True)
    async def _achat_completion_stream(self, messages: Messages, timeout: int = USE_CONFIG_TIMEOUT) -> str:
        message = self._message()
        payload = await self._payload(message, messages, stream=True)
        try:
            if not untouched(self.client, "arequest", REQUEST):
                answer = await self._through_requestor(message, payload, timeout, stream=True)
                return answer if isinstance(answer, str) else self.get_choice_text(answer)
            client = self._client()
            await self._check_images(client, payload)
            short = (
                untouched(message, "decode", _DECODE)
                and untouched(message, "get_choice", *_GET_CHOICE)
                and untouched(self, "_processing_openai_response_async_generator", _PROCESS_STREAM)
            )
            ask = self._ask_deltas if short else self._ask_lines
            return await self._asked(client, payload, lambda body: ask(client, message, body, timeout))
        except _SERVER_SAID as error:
            return self.get_choice_text(self._as_text(self._explained(error), streamed=True))

    async def _ask_whole(
        self, client: AsyncClient, message: OllamaMessageBase, payload: dict[str, Any], timeout: int
    ) -> dict[str, Any]:
        with asking():
            reply = await client.request_json(
                path_of(message.api_suffix), payload, timeout=self._limits(timeout), repetition_guard=self._guarded
            )
        self._warn_if_cut(payload, reply)
        return self._accounted(reply)

    async def _ask_deltas(
        self, client: AsyncClient, message: OllamaMessageBase, payload: dict[str, Any], timeout: int
    ) -> str:
        log = current("log_llm_stream", log_llm_stream)
        splitter = ThinkSplitter()

        def on_text(text: str) -> object:
            for piece in splitter.feed(text):
                log(piece)
            # All that follows is answer, and goes to the log without a stop here.
            return log if splitter.settled else None

        path, limits = path_of(message.api_suffix), self._limits(timeout)
        with asking():
            reply = await client.stream_text(
                path,
                payload,
                on_text,
                on_thinking=splitter.settle,
                timeout=limits,
                repetition_guard=self._guarded,
            )
        for piece in splitter.finish():
            log(piece)
        log("\n")
        self._warn_if_cut(payload, reply)
        return text_of(self._accounted(reply)) or ""

    async def _ask_bytes(
        self, client: AsyncClient, message: OllamaMessageBase, payload: dict[str, Any], timeout: int
    ) -> dict[str, Any]:
        path, limits = path_of(message.api_suffix), self._limits(timeout)
        with asking():
            data, content_type = await client.request_bytes(path, payload, timeout=limits)
        return self._processing_openai_response(OpenAIResponse(data, {"content-type": content_type}))

    async def _ask_lines(
        self, client: AsyncClient, message: OllamaMessageBase, payload: dict[str, Any], timeout: int
    ) -> str:
        async def chunks() -> AsyncGenerator[OpenAIResponse, None]:
            asked = client.stream_lines(path_of(message.api_suffix), payload, timeout=self._limits(timeout))
            with asking():
                async with _closing(asked) as lines:
                    async for line in lines:
                        yield OpenAIResponse(line, {})

        async with _closing(chunks()) as stream:
            if untouched(self, "_processing_openai_response_async_generator", _PROCESS_STREAM):
                return await self._collect(stream, must_end=True)
            return await self._processing_openai_response_async_generator(stream)

    async def _through_requestor(
        self, message: OllamaMessageBase, payload: dict[str, Any], timeout: int, *, stream: bool
    ) -> Any:
        asked: dict[str, Any] = {"stream": True} if stream else {}
        resp, _, _ = await self.client.arequest(
            method=self.http_method,
            url=message.api_suffix,
            params=payload,
            request_timeout=self.get_timeout(timeout),
            **asked,
        )
        if isinstance(resp, AsyncGenerator):
            async with _closing(resp) as chunks:
                return await self._processing_openai_response_async_generator(chunks)
        if isinstance(resp, OpenAIResponse):
            return self._processing_openai_response(resp)
        raise ValueError(f"arequest answered {type(resp).__name__}, not an OpenAIResponse or a generator of them")

    def _processing_openai_response(self, openai_resp: OpenAIResponse) -> dict[str, Any]:
        resp: dict[str, Any] = self.ollama_message.decode(openai_resp)
        if self._reads_replies:
            self._raise_error(resp)
            checked(resp, model=self.model)
            self._refuse_repetition(text_of(resp, model=self.model) or "", thinking_of(resp))
        return self._accounted(resp)

    async def _processing_openai_response_async_generator(
        self, ag_openai_resp: AsyncGenerator[OpenAIResponse, None]
    ) -> str:
        return await self._collect(ag_openai_resp, must_end=False)

    async def _collect(self, chunks: AsyncGenerator[OpenAIResponse, None], *, must_end: bool) -> str:
        """Decodes a stream line by line with the message's own methods, logs its text and returns it joined.

        ``must_end`` tells a server, whose stream is complete only with ``"done": true``, from a stand-in in a test.
        """
        log = current("log_llm_stream", log_llm_stream)
        message = self.ollama_message
        splitter = ThinkSplitter()
        watch = _Watch(self._refuse_repetition)
        lines = Lines(self.model)
        chosen: list[str] = []
        final: dict[str, Any] = {}
        async for raw_chunk in chunks:
            if isinstance(raw_chunk.data, (bytes, bytearray)) and not raw_chunk.data.strip():
                continue
            chunk = checked(message.decode(raw_chunk), model=self.model)
            if self._reads_replies:
                if error_of(chunk) is not None:
                    self._raise_error(chunk, partial=lines.text)
                text = lines.add(chunk)
                if lines.has_thinking:
                    splitter.settle()
                pieces = splitter.feed(text)
            else:
                holder, key = holder_of(chunk)
                pieces = [message.get_choice(chunk)] if holder.get(key) or not chunk.get("done", False) else []
                chosen += pieces
            for piece in pieces:
                log(piece)
            # With the tags of thinking, which goes in circles, too.
            said = text if self._reads_replies else "".join(pieces)
            thinking = thinking_of(chunk) if self._reads_replies else ""
            watch.feed(said, thinking, ended=chunk.get("done", False))
            if chunk.get("done", False):
                final = chunk
        for piece in splitter.finish():
            log(piece)
        if must_end and not final:
            raise from_core(
                "incomplete",
                message="the stream ended without done: true",
                partial=lines.text or "".join(chosen),
                model=self.model,
            )
        log("\n")
        if self._reads_replies:
            return text_of(self._accounted(lines.whole(final))) or ""
        self._update_costs(self.get_usage(final))
        return "".join(chosen)

    def _message(self) -> OllamaMessageBase:
        """The message object for this call, with the model and the settings of this moment.

        One that user code has put in the place of ours is left alone, and edits of ours (its ``model``, its
        ``additional_kwargs``) stay in force over the settings.
        """
        built = self._built
        if built is None or self.ollama_message is not built.message:
            return self.ollama_message
        api, kwargs = self._llama_api_inuse, self._llama_api_kwargs
        if api is not built.api:
            self._built = _Built(api, self.model, kwargs)
            self.ollama_message = self._built.message
            return self.ollama_message
        message = built.message
        if self.model != built.model:
            built.model = self.model
            message.model = self.model or ""
        if kwargs != built.kwargs:
            message.additional_kwargs = overlay(kwargs, built.kwargs, message.additional_kwargs)
            built.kwargs = copy.deepcopy(kwargs)
        return message

    async def _payload(self, message: OllamaMessageBase, messages: Messages, *, stream: bool) -> dict[str, Any]:
        # Made at once, with what holds at this moment; images are read afterwards, in a thread. Code of the user's may
        # do anything with an image, and gets it read.
        ours = untouched(message, "apply", *_APPLY) and untouched(message, "_parse_input_msg", _PARSE)
        with unread_images() if ours else contextlib.nullcontext():
            payload = message.apply(messages=messages)
        if endpoint_at(path_of(message.api_suffix)).lines == "answer":
            payload["stream"] = stream
            payload.setdefault("truncate", False)
            if not self._settings().client.shift:
                payload.setdefault("shift", False)
            if self.answers_structured:
                watch_nodes()
            node_format = wanted_format(self)
            if node_format is not None:
                # More telling than a format for every call, and the only one that the node's parser takes. Thinking
                # would come before it, or break it, depending on the server and the model.
                payload.update(format=node_format, think=False)
            elif payload.get("format"):
                # A model that can think does so unless told not to, and on many servers breaks the format by it.
                payload.setdefault("think", False)
        return await encode_images_in_thread(payload)

    def _settings(self) -> Settings:
        """The configuration of this moment, read anew only when it has changed."""
        api, config = self._llama_api_inuse, self.config
        values, names = getattr(config, "__dict__", {}), fields_set(config)
        # Compared in place, four times a call; what is kept is copied, because users edit `extra_fields`.
        if self._read is None or self._read[:3] != (api, values, names):
            kept = {name: {**value} if isinstance(value, dict) else value for name, value in values.items()}
            self._read = (api, kept, {*names}, read_settings(config, api.name.lower()))
        return self._read[3]

    def _client(self) -> AsyncClient:
        config = self.config
        # LLMConfig's default for base_url is OpenAI's address: unset means the server of OLLAMA_HOST.
        by_default = hasattr(config, "model_fields_set") and "base_url" not in fields_set(config)
        host = None if by_default else config.base_url or None
        return shared_client(host, getattr(config, "api_key", None) or None, self._settings().client)

    def _limits(self, timeout: int) -> Timeout:
        seconds = float(self.get_timeout(timeout))
        return Timeout(**{"first_token": seconds, "idle": seconds, **self._settings().client.timeouts})

    async def _check_images(self, client: AsyncClient, payload: dict[str, Any]) -> None:
        if image_lists(payload):
            await check_vision(client, str(payload.get("model")))
            settings = self._settings().client
            await fetch_images(payload, settings.proxy, settings.verify)

    async def _asked(
        self, client: AsyncClient, payload: dict[str, Any], ask: Callable[[dict[str, Any]], Awaitable[_T]]
    ) -> _T:
        """Asks; a model that refuses to think is asked once more without, and not asked to think again."""
        key = (client.base_url, str(payload.get("model")))
        if payload.get("think") and key in refused_thinking:
            payload = {name: value for name, value in payload.items() if name != "think"}
        try:
            return await ask(payload)
        except BadRequestError as error:
            if not payload.get("think") or "does not support thinking" not in str(error):
                raise
        logger.warning(f"the model {key[1]!r} does not support thinking: asked again without `think`")
        refused_thinking.add(key)
        return await ask({name: value for name, value in payload.items() if name != "think"})

    def _accounted(self, reply: dict[str, Any]) -> dict[str, Any]:
        """Counts the tokens of a whole reply, moves tagged thinking out of its text and checks that it is an answer.

        A reply whose text a ``get_choice`` of the user's is going to find is only counted.
        """
        if not self._reads_replies:
            self._update_costs(self.get_usage(reply))
            self.last_response = reply
            return reply
        reply = native(checked(reply, model=self.model))
        self._update_costs(self.get_usage(reply))
        holder, key = holder_of(reply)
        found, thinking = text_of(reply, model=self.model), thinking_of(reply)
        text = found or ""
        if not thinking:
            # Beside a field for the reasoning, marks in the text are text.
            text, thinking = split_thinking(text)
        if found is not None and holder[key] != text:
            holder[key] = text
        if thinking and not holder.get("thinking"):
            holder["thinking"] = thinking
        if reply.get("done") is False:
            raise from_core(
                "incomplete", message="the answer was cut short (done: false)", partial=text, model=self.model
            )
        self._keep(reply, found, text, thinking)
        return reply

    def _warn_if_cut(self, payload: dict[str, Any], reply: dict[str, Any]) -> None:
        """Warns when the server must have read much less than it was sent: one too old for ``truncate: false``."""
        read = (count_of(reply, "prompt_eval_count") or 0) + (count_of(reply, "prompt_eval_cached_count") or 0)
        texts = [payload.get("prompt"), payload.get("system")]
        texts += [item.get("content") for item in payload.get("messages") or () if isinstance(item, dict)]
        size = sum(len(text.encode("utf-8", "replace")) for text in texts if isinstance(text, str))
        if read >= CUT_TOKENS and size > read * CUT_BYTES_PER_TOKEN:
            logger.warning(
                f"the server read only {read} tokens of a prompt of {size} bytes: it seems to have cut the prompt to "
                f"fit the context. hint: set llm.context_length (num_ctx) higher, or update Ollama, which then refuses"
            )

    def _keep(self, reply: dict[str, Any], found: Optional[str], text: str, thinking: str) -> None:
        """Keeps what is known of a reply, checks that it is an answer, and warns of one that was cut.

        ``found`` is what stood in the place of its text, and ``text`` what is left of it without the reasoning.
        """
        self.reasoning_content = thinking or None
        self.last_response = reply
        options, formatted = self._asked_for()
        reason = reply.get("done_reason")
        if not text.strip() and not calls_of(reply):
            if found is None and not thinking and reason not in ("length", "load", "unload"):
                raise no_text(reply, model=self.model)
            raise empty_answer(reply, options, text=text, thinking=thinking, formatted=formatted, model=self.model)
        if reason != "length":
            return
        if wanted_format(self) is not None and not complete(text):
            error = from_core(
                "incomplete",
                message="the structured answer was cut at the token limit",
                partial=text,
                model=self.model,
            )
            error.hint = advice(reply, options)
            raise error
        logger.warning(cut_off(reply, options, text))

    def _explained(self, error: OllamaError) -> OllamaError:
        """``error``, or what it means: an answer that goes in circles of white space is an empty one."""
        if not isinstance(error, IncompleteError) or not error.repeated.isspace():
            return error
        text, thinking = error.partial, error.partial_thinking
        if not thinking:
            text, thinking = split_thinking(text)
        # Where no text has begun, it is the thinking that has no end.
        if text.strip() or (thinking.strip() and not error.partial):
            return error
        self.reasoning_content = thinking or None
        options, formatted = self._asked_for()
        empty = empty_answer(
            {}, options, text=text, thinking=thinking, formatted=formatted, model=self.model, endless=True
        )
        empty.url, empty.status = error.url, error.status
        if marked(error):
            mark(empty)
        return empty

    def _asked_for(self) -> tuple[dict[str, Any], bool]:
        """The options of this call, and whether it asks for a format."""
        asked = getattr(self.ollama_message, "additional_kwargs", {})
        return asked.get("options") or {}, wanted_format(self) is not None or bool(asked.get("format"))

    @property
    def _guarded(self) -> bool:
        return self._settings().client.repetition_guard

    def _refuse_repetition(self, text: str, thinking: str) -> None:
        if self._guarded:
            _core.refuse_repetition(text, thinking, self.model or "")

    def _raise_error(self, reply: Any, partial: Optional[str] = None) -> None:
        """Raises the typed error for an error object, as ``decode`` returns one and a server sends one."""
        text = error_of(reply) if isinstance(reply, dict) else None
        if text is None:
            return
        if partial is not None:
            raise from_core("mid_stream", message=text, server_text=text, partial=partial, model=self.model)
        if "raw_data" in reply:
            raise from_core("protocol", message=f"{text} | Raw: {reply['raw_data']}", model=self.model)
        raise from_core("status", message=text, server_text=text, model=self.model)

    def _record(self, error: OllamaError, *, streamed: bool) -> None:
        """Makes a record of an error of ours. Code that has replaced the requestor asks without the client."""
        record(self, error, streamed=streamed, replied=untouched(self.client, "arequest", REQUEST))

    def _as_text(self, error: OllamaError, *, streamed: bool) -> dict[str, Any]:
        """The error as the error dict of ``decode``, where the settings want it so; raises it otherwise."""
        self._record(error, streamed=streamed)
        if (self.on_error or self._settings().client.on_error) != "text":
            raise error
        return {"error": getattr(error, "error", "") or error.message, "raw_data": ""}


_PROCESS = OllamaLLM._processing_openai_response
_PROCESS_STREAM = OllamaLLM._processing_openai_response_async_generator


class OllamaGenerate(OllamaLLM):
    """``ollama.generate``: ``/api/generate``."""

    @property
    def _llama_api_inuse(self) -> OllamaMessageAPI:
        return OllamaMessageAPI.GENERATE
