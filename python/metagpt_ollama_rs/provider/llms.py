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
from .done_reasons import cut_off_warning, empty_answer_error, limit_hint
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
from .monkeypatches import STOCK_AREQUEST, is_unpatched, patched_or_stock
from .replies import (
    ReplyAccumulator,
    count_of,
    error_of,
    find_text,
    from_openai_format,
    no_text_error,
    require_object,
    text_of,
    thinking_of,
    tool_calls_of,
)
from .settings import Settings, fields_set, overlay, read_settings
from .shared_clients import check_vision, refused_thinking, shared_client
from .stats_records import is_recorded, mark_recorded, record_error, recorded_by_client, records_errors
from .structured import (
    current_format,
    is_json_object,
    structured_by_environment,
    wrap_action_nodes,
    wrap_in_content_tags,
)
from .thinking import ThinkSplitter, split_thinking

__all__ = ["OllamaGenerate", "OllamaLLM"]

Messages = list[dict[str, Any]]
_T = TypeVar("_T")

_STOCK_DECODE = OllamaMessageBase.decode
_STOCK_PARSE_INPUT_MSG = OllamaMessageBase._parse_input_msg
_STOCK_APPLY = tuple(
    made.apply for made in (OllamaMessageChat, OllamaMessageGenerate, OllamaMessageEmbed, OllamaMessageEmbeddings)
)
_STOCK_GET_CHOICE = (OllamaMessageChat.get_choice, OllamaMessageGenerate.get_choice)

# What `on_error: text` turns into an answer: the server's word against the request. That there is no server, that it
# is silent, or that the configuration is wrong is raised in any case.
_SERVER_ERRORS = (ResponseError, StreamError, ProtocolError, EmptyAnswerError)


# A prompt is taken for cut when a token would stand for more bytes than in any language or code; short ones never.
CUT_PROMPT_MIN_TOKENS = 256
CUT_PROMPT_BYTES_PER_TOKEN = 12

# On the compatible road, whether an answer goes in circles is looked at once for so many new characters.
REPETITION_LOOK = 4096


class _RepetitionMonitor:
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
async def _aclosing(generator: AsyncGenerator[_T, None]) -> AsyncIterator[AsyncGenerator[_T, None]]:
    """Closes the generator behind a stream at the end, so that a server whose answer is not read on stops at once."""
    try:
        yield generator
    finally:
        await generator.aclose()


class _OwnMessage:
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
    _own_message: Optional[_OwnMessage] = None
    _model: Optional[str] = None
    _config_model: Optional[str] = None
    _settings_cache: Optional[tuple[Any, Any, Any, Settings]] = None
    last_response: Optional[dict[str, Any]] = None

    def __init__(self, config: LLMConfig, on_error: Optional[str] = None) -> None:
        self.client = patched_or_stock("GeneralAPIRequestor", GeneralAPIRequestor)(
            base_url=config.base_url, key=getattr(config, "api_key", None)
        )
        self.config = config
        self.http_method = "post"
        self.use_system_prompt = self._system_prompt_by_default and getattr(config, "use_system_prompt", True)
        self.cost_manager = patched_or_stock("TokenCostManager", TokenCostManager)()
        self.on_error = on_error
        self.reasoning_content: Optional[str] = None
        try:
            self.__init_ollama(config)
        except OllamaError as error:
            self._record(error, streamed=False)
            raise
        if self.answers_structured:
            wrap_action_nodes()

    def __init_ollama(self, config: LLMConfig) -> None:
        self.model = config.model
        self.pricing_plan = self.model
        self._own_message = _OwnMessage(self._llama_api_inuse, self.model, self._llama_api_kwargs)
        self.ollama_message = self._own_message.message

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
        return structured_by_environment() if wanted is None else wanted

    def support_image_input(self) -> bool:
        """Always True: whether the model can see is asked of the server at the first call with an image."""
        return True

    def get_usage(self, resp: dict[str, Any]) -> dict[str, int]:
        """The token counts of a reply; a count that the server left out is left out here."""
        counts = {theirs: count_of(resp, name) for name, theirs in _core.OPENAI_USAGE.items()}
        return {name: count for name, count in counts.items() if count is not None}

    def get_choice_text(self, rsp: dict[str, Any]) -> str:
        """The answer's text in a reply, or that of an error in its place. ``ProtocolError`` for what has neither."""
        if not isinstance(rsp, dict) or error_of(rsp) is not None or not self._has_stock_get_choice:
            return str(self.ollama_message.get_choice(rsp))
        text = text_of(rsp, model=self.model)
        if text is None and not thinking_of(rsp) and not tool_calls_of(rsp):
            raise no_text_error(rsp, model=self.model)
        return text or ""

    @property
    def _has_stock_get_choice(self) -> bool:
        """Whether this package says what a reply's text is, and not a ``get_choice`` of the user's."""
        return is_unpatched(self.ollama_message, "get_choice", *_STOCK_GET_CHOICE)

    @functools.wraps(BaseLLM.aask)
    async def aask(self, msg: Any, *args: Any, **kwargs: Any) -> Any:
        """The answer to a question, as MetaGPT's ``BaseLLM.aask``; one that fills a node is wrapped for its parser."""
        if isinstance(msg, (bytes, bytearray, memoryview)):
            # MetaGPT would take them for a list of messages.
            msg = require_text(msg, "the question")
        answer = await super().aask(msg, *args, **kwargs)
        return answer if current_format(self) is None else wrap_in_content_tags(answer)

    async def acompletion(self, messages: Messages, timeout: int = USE_CONFIG_TIMEOUT) -> dict[str, Any]:
        """Answers ``messages`` with the server's whole reply, not streamed."""
        return await self._achat_completion(messages, timeout=self.get_timeout(timeout))

    @records_errors(streamed=False)
    async def _achat_completion(self, messages: Messages, timeout: int = USE_CONFIG_TIMEOUT) -> dict[str, Any]:
        message = self._message()
        payload = await self._payload(message, messages, stream=False)
        try:
            if not is_unpatched(self.client, "arequest", STOCK_AREQUEST):
                reply: dict[str, Any] = await self._through_requestor(message, payload, timeout, stream=False)
                return reply
            client = self._client()
            await self._check_images(client, payload)
            short = is_unpatched(message, "decode", _STOCK_DECODE) and is_unpatched(
                self, "_processing_openai_response", _STOCK_PROCESS_RESPONSE
            )
            ask = self._ask_whole if short else self._ask_bytes
            return await self._ask_with_or_without_think(
                client, payload, lambda body: ask(client, message, body, timeout)
            )
        except _SERVER_ERRORS as error:
            return self._error_as_reply(self._as_empty_answer(error), streamed=False)

    @records_errors(streamed=True)
    async def _achat_completion_stream(self, messages: Messages, timeout: int = USE_CONFIG_TIMEOUT) -> str:
        message = self._message()
        payload = await self._payload(message, messages, stream=True)
        try:
            if not is_unpatched(self.client, "arequest", STOCK_AREQUEST):
                answer = await self._through_requestor(message, payload, timeout, stream=True)
                return answer if isinstance(answer, str) else self.get_choice_text(answer)
            client = self._client()
            await self._check_images(client, payload)
            short = (
                is_unpatched(message, "decode", _STOCK_DECODE)
                and is_unpatched(message, "get_choice", *_STOCK_GET_CHOICE)
                and is_unpatched(self, "_processing_openai_response_async_generator", _STOCK_PROCESS_STREAM)
            )
            ask = self._ask_deltas if short else self._ask_lines
            return await self._ask_with_or_without_think(
                client, payload, lambda body: ask(client, message, body, timeout)
            )
        except _SERVER_ERRORS as error:
            return self.get_choice_text(self._error_as_reply(self._as_empty_answer(error), streamed=True))

    async def _ask_whole(
        self, client: AsyncClient, message: OllamaMessageBase, payload: dict[str, Any], timeout: int
    ) -> dict[str, Any]:
        with recorded_by_client():
            reply = await client.request_json(
                path_of(message.api_suffix),
                payload,
                timeout=self._timeout_limits(timeout),
                repetition_guard=self._repetition_guard,
            )
        self._warn_of_cut_prompt(payload, reply)
        return self._finish_reply(reply)

    async def _ask_deltas(
        self, client: AsyncClient, message: OllamaMessageBase, payload: dict[str, Any], timeout: int
    ) -> str:
        log = patched_or_stock("log_llm_stream", log_llm_stream)
        splitter = ThinkSplitter()

        def on_text(text: str) -> object:
            for piece in splitter.feed(text):
                log(piece)
            # All that follows is answer, and goes to the log without a stop here.
            return log if splitter.passes_through else None

        path, limits = path_of(message.api_suffix), self._timeout_limits(timeout)
        with recorded_by_client():
            reply = await client.stream_text(
                path,
                payload,
                on_text,
                on_thinking=splitter.pass_through,
                timeout=limits,
                repetition_guard=self._repetition_guard,
            )
        for piece in splitter.finish():
            log(piece)
        log("\n")
        self._warn_of_cut_prompt(payload, reply)
        return text_of(self._finish_reply(reply)) or ""

    async def _ask_bytes(
        self, client: AsyncClient, message: OllamaMessageBase, payload: dict[str, Any], timeout: int
    ) -> dict[str, Any]:
        path, limits = path_of(message.api_suffix), self._timeout_limits(timeout)
        with recorded_by_client():
            data, content_type = await client.request_bytes(path, payload, timeout=limits)
        return self._processing_openai_response(OpenAIResponse(data, {"content-type": content_type}))

    async def _ask_lines(
        self, client: AsyncClient, message: OllamaMessageBase, payload: dict[str, Any], timeout: int
    ) -> str:
        async def chunks() -> AsyncGenerator[OpenAIResponse, None]:
            asked = client.stream_lines(path_of(message.api_suffix), payload, timeout=self._timeout_limits(timeout))
            with recorded_by_client():
                async with _aclosing(asked) as lines:
                    async for line in lines:
                        yield OpenAIResponse(line, {})

        async with _aclosing(chunks()) as stream:
            if is_unpatched(self, "_processing_openai_response_async_generator", _STOCK_PROCESS_STREAM):
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
            async with _aclosing(resp) as chunks:
                return await self._processing_openai_response_async_generator(chunks)
        if isinstance(resp, OpenAIResponse):
            return self._processing_openai_response(resp)
        raise ValueError(f"arequest answered {type(resp).__name__}, not an OpenAIResponse or a generator of them")

    def _processing_openai_response(self, openai_resp: OpenAIResponse) -> dict[str, Any]:
        resp: dict[str, Any] = self.ollama_message.decode(openai_resp)
        if self._has_stock_get_choice:
            self._raise_error(resp)
            require_object(resp, model=self.model)
            self._refuse_repetition(text_of(resp, model=self.model) or "", thinking_of(resp))
        return self._finish_reply(resp)

    async def _processing_openai_response_async_generator(
        self, ag_openai_resp: AsyncGenerator[OpenAIResponse, None]
    ) -> str:
        return await self._collect(ag_openai_resp, must_end=False)

    async def _collect(self, chunks: AsyncGenerator[OpenAIResponse, None], *, must_end: bool) -> str:
        """Decodes a stream line by line with the message's own methods, logs its text and returns it joined.

        ``must_end`` tells a server, whose stream is complete only with ``"done": true``, from a stand-in in a test.
        """
        log = patched_or_stock("log_llm_stream", log_llm_stream)
        message = self.ollama_message
        splitter = ThinkSplitter()
        watch = _RepetitionMonitor(self._refuse_repetition)
        lines = ReplyAccumulator(self.model)
        chosen: list[str] = []
        final: dict[str, Any] = {}
        async for raw_chunk in chunks:
            if isinstance(raw_chunk.data, (bytes, bytearray)) and not raw_chunk.data.strip():
                continue
            chunk = require_object(message.decode(raw_chunk), model=self.model)
            if self._has_stock_get_choice:
                if error_of(chunk) is not None:
                    self._raise_error(chunk, partial=lines.text)
                text = lines.add(chunk)
                if lines.has_thinking:
                    splitter.pass_through()
                pieces = splitter.feed(text)
            else:
                holder, key = find_text(chunk)
                pieces = [message.get_choice(chunk)] if holder.get(key) or not chunk.get("done", False) else []
                chosen += pieces
            for piece in pieces:
                log(piece)
            # With the tags of thinking, which goes in circles, too.
            said = text if self._has_stock_get_choice else "".join(pieces)
            thinking = thinking_of(chunk) if self._has_stock_get_choice else ""
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
        if self._has_stock_get_choice:
            return text_of(self._finish_reply(lines.build(final))) or ""
        self._update_costs(self.get_usage(final))
        return "".join(chosen)

    def _message(self) -> OllamaMessageBase:
        """The message object for this call, with the model and the settings of this moment.

        One that user code has put in the place of ours is left alone, and edits of ours (its ``model``, its
        ``additional_kwargs``) stay in force over the settings.
        """
        built = self._own_message
        if built is None or self.ollama_message is not built.message:
            return self.ollama_message
        api, kwargs = self._llama_api_inuse, self._llama_api_kwargs
        if api is not built.api:
            self._own_message = _OwnMessage(api, self.model, kwargs)
            self.ollama_message = self._own_message.message
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
        ours = is_unpatched(message, "apply", *_STOCK_APPLY) and is_unpatched(
            message, "_parse_input_msg", _STOCK_PARSE_INPUT_MSG
        )
        with unread_images() if ours else contextlib.nullcontext():
            payload = message.apply(messages=messages)
        if endpoint_at(path_of(message.api_suffix)).lines == "answer":
            payload["stream"] = stream
            payload.setdefault("truncate", False)
            if not self._settings().client.shift:
                payload.setdefault("shift", False)
            if self.answers_structured:
                wrap_action_nodes()
            node_format = current_format(self)
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
        if self._settings_cache is None or self._settings_cache[:3] != (api, values, names):
            kept = {name: {**value} if isinstance(value, dict) else value for name, value in values.items()}
            self._settings_cache = (api, kept, {*names}, read_settings(config, api.name.lower()))
        return self._settings_cache[3]

    def _client(self) -> AsyncClient:
        config = self.config
        # LLMConfig's default for base_url is OpenAI's address: unset means the server of OLLAMA_HOST.
        by_default = hasattr(config, "model_fields_set") and "base_url" not in fields_set(config)
        host = None if by_default else config.base_url or None
        return shared_client(host, getattr(config, "api_key", None) or None, self._settings().client)

    def _timeout_limits(self, timeout: int) -> Timeout:
        seconds = float(self.get_timeout(timeout))
        return Timeout(**{"first_token": seconds, "idle": seconds, **self._settings().client.timeouts})

    async def _check_images(self, client: AsyncClient, payload: dict[str, Any]) -> None:
        if image_lists(payload):
            await check_vision(client, str(payload.get("model")))
            settings = self._settings().client
            await fetch_images(payload, settings.proxy, settings.verify)

    async def _ask_with_or_without_think(
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

    def _finish_reply(self, reply: dict[str, Any]) -> dict[str, Any]:
        """Counts the tokens of a whole reply, moves tagged thinking out of its text and checks that it is an answer.

        A reply whose text a ``get_choice`` of the user's is going to find is only counted.
        """
        if not self._has_stock_get_choice:
            self._update_costs(self.get_usage(reply))
            self.last_response = reply
            return reply
        reply = from_openai_format(require_object(reply, model=self.model))
        self._update_costs(self.get_usage(reply))
        holder, key = find_text(reply)
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
        self._check_answer(reply, found, text, thinking)
        return reply

    def _warn_of_cut_prompt(self, payload: dict[str, Any], reply: dict[str, Any]) -> None:
        """Warns when the server must have read much less than it was sent: one too old for ``truncate: false``."""
        read = (count_of(reply, "prompt_eval_count") or 0) + (count_of(reply, "prompt_eval_cached_count") or 0)
        texts = [payload.get("prompt"), payload.get("system")]
        texts += [item.get("content") for item in payload.get("messages") or () if isinstance(item, dict)]
        size = sum(len(text.encode("utf-8", "replace")) for text in texts if isinstance(text, str))
        if read >= CUT_PROMPT_MIN_TOKENS and size > read * CUT_PROMPT_BYTES_PER_TOKEN:
            logger.warning(
                f"the server read only {read} tokens of a prompt of {size} bytes: it seems to have cut the prompt to "
                f"fit the context. hint: set llm.context_length (num_ctx) higher, or update Ollama, which then refuses"
            )

    def _check_answer(self, reply: dict[str, Any], found: Optional[str], text: str, thinking: str) -> None:
        """Keeps what is known of a reply, checks that it is an answer, and warns of one that was cut.

        ``found`` is what stood in the place of its text, and ``text`` what is left of it without the reasoning.
        """
        self.reasoning_content = thinking or None
        self.last_response = reply
        options, formatted = self._sent_options()
        reason = reply.get("done_reason")
        if not text.strip() and not tool_calls_of(reply):
            if found is None and not thinking and reason not in ("length", "load", "unload"):
                raise no_text_error(reply, model=self.model)
            raise empty_answer_error(
                reply, options, text=text, thinking=thinking, formatted=formatted, model=self.model
            )
        if reason != "length":
            return
        if current_format(self) is not None and not is_json_object(text):
            error = from_core(
                "incomplete",
                message="the structured answer was cut at the token limit",
                partial=text,
                model=self.model,
            )
            error.hint = limit_hint(reply, options)
            raise error
        logger.warning(cut_off_warning(reply, options, text))

    def _as_empty_answer(self, error: OllamaError) -> OllamaError:
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
        options, formatted = self._sent_options()
        empty = empty_answer_error(
            {}, options, text=text, thinking=thinking, formatted=formatted, model=self.model, endless=True
        )
        empty.url, empty.status = error.url, error.status
        if is_recorded(error):
            mark_recorded(empty)
        return empty

    def _sent_options(self) -> tuple[dict[str, Any], bool]:
        """The options of this call, and whether it asks for a format."""
        asked = getattr(self.ollama_message, "additional_kwargs", {})
        return asked.get("options") or {}, current_format(self) is not None or bool(asked.get("format"))

    @property
    def _repetition_guard(self) -> bool:
        return self._settings().client.repetition_guard

    def _refuse_repetition(self, text: str, thinking: str) -> None:
        if self._repetition_guard:
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
        record_error(self, error, streamed=streamed, replied=is_unpatched(self.client, "arequest", STOCK_AREQUEST))

    def _error_as_reply(self, error: OllamaError, *, streamed: bool) -> dict[str, Any]:
        """The error as the error dict of ``decode``, where the settings want it so; raises it otherwise."""
        self._record(error, streamed=streamed)
        if (self.on_error or self._settings().client.on_error) != "text":
            raise error
        return {"error": getattr(error, "error", "") or error.message, "raw_data": ""}


_STOCK_PROCESS_RESPONSE = OllamaLLM._processing_openai_response
_STOCK_PROCESS_STREAM = OllamaLLM._processing_openai_response_async_generator


class OllamaGenerate(OllamaLLM):
    """``ollama.generate``: ``/api/generate``."""

    @property
    def _llama_api_inuse(self) -> OllamaMessageAPI:
        return OllamaMessageAPI.GENERATE
