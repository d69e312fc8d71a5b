"""MetaGPT's two Ollama providers that answer with text, on this package's client, with the hooks of ``ollama_api.py``.

A call takes one of two paths. On the fast path the client sends the request, decodes the reply in Rust and calls
``log_llm_stream`` once for each delta. The compatible path does step by step what MetaGPT's provider does; it is taken
where ``monkeypatches`` finds that user code has replaced one of those steps: the requestor's ``arequest``, a message's
``decode`` or ``get_choice``, one of the ``_processing_…`` hooks. Each call decides anew which path it takes.

The model and the settings are read at the time of the call. The model that was set last wins: ``with_model`` of
MetaGPT 0.8.2 changes the shared configuration, that of its main branch the object.

An error that a server sends instead of an answer is raised as a typed error (see ``metagpt_ollama_rs.errors``), unless
``on_error: text`` in the configuration asks for its text as the answer. No I/O here.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from typing import Any, AsyncGenerator, Optional

from metagpt.configs.llm_config import LLMConfig
from metagpt.const import USE_CONFIG_TIMEOUT
from metagpt.logs import log_llm_stream, logger
from metagpt.provider.base_llm import BaseLLM
from metagpt.provider.general_api_requestor import GeneralAPIRequestor, OpenAIResponse
from metagpt.utils.cost_manager import TokenCostManager

from .. import AsyncClient, Timeout, _core
from ..done_reasons import cut_off_warning, empty_answer_error, limit_hint
from ..endpoints import endpoint_at
from ..errors import (
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
from ..replies import (
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
from ..thinking import ThinkSplitter, split_thinking
from .capabilities import check_vision
from .copying import CopyableLLM
from .costs import TokenCountingLLM
from .expected_answers import current_question, receive_question
from .images import fetch_images, leave_images_unread
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
from .settings import Settings, fields_set, overlay, read_provider_settings
from .shared_clients import shared_client
from .sized_llm import SizedLLM
from .stats_records import (
    is_recorded,
    mark_recorded,
    note_call_id,
    record_error,
    recorded_by_client,
    records_errors,
)
from .streaming import RepetitionMonitor, aclosing
from .structured import ask_with_fallbacks, put_format, structured_by_environment

__all__ = ["OllamaGenerate", "OllamaLLM"]

Messages = list[dict[str, Any]]

_STOCK_DECODE = OllamaMessageBase.decode
_STOCK_PARSE_INPUT_MSG = OllamaMessageBase._parse_input_msg
_STOCK_APPLY = tuple(
    made.apply for made in (OllamaMessageChat, OllamaMessageGenerate, OllamaMessageEmbed, OllamaMessageEmbeddings)
)
_STOCK_GET_CHOICE = (OllamaMessageChat.get_choice, OllamaMessageGenerate.get_choice)

# The errors whose text `on_error: text` returns as the answer: those that a server has sent, and replies that are no
# answer. That no server was reached, that it did not reply in time, or that the configuration is wrong is always
# raised.
_SERVER_ERRORS = (ResponseError, StreamError, ProtocolError, EmptyAnswerError)


class _OwnMessage:
    """The message object that a provider has made by itself, and the arguments that it was made with."""

    def __init__(self, api: OllamaMessageAPI, model: Optional[str], kwargs: dict[str, Any]) -> None:
        self.api, self.model, self.kwargs = api, model, copy.deepcopy(kwargs)
        self.message = OllamaMessageMeta.get_message(api)(model=model or "", **kwargs)


class OllamaLLM(CopyableLLM, TokenCountingLLM, SizedLLM):
    """``api_type: ollama``, which asks ``/api/chat``.

    ``on_error`` is ``raise`` (the default) or ``text``, which returns the text of a server's error as the answer, and
    wins over the setting of the same name. ``reasoning_content`` is the thinking of the last answer, or None.
    ``last_response`` is the reply of the last call, a streamed one put together: ``done_reason``, counters, durations
    in nanoseconds.

    >>> import asyncio
    >>> from metagpt.configs.llm_config import LLMConfig
    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.answer("Hello world")
    ...     llm = OllamaLLM(LLMConfig(api_type="ollama", base_url=server.url, model="llama3.2"))
    ...     asyncio.run(llm.aask("Say hello.", stream=False))
    ...     llm.last_response["done_reason"]
    'Hello world'
    'stop'
    """

    _system_prompt_by_default = True
    ollama_message: OllamaMessageBase
    _own_message: Optional[_OwnMessage] = None
    _model: Optional[str] = None
    _config_model: Optional[str] = None
    _settings_cache: Optional[tuple[Any, Any, Any, Settings]] = None
    last_response: Optional[dict[str, Any]] = None

    def __init__(self, config: LLMConfig, on_error: Optional[str] = None) -> None:
        self.config = config
        self.client = self._make_requestor()
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

    def __init_ollama(self, config: LLMConfig) -> None:
        structured_by_environment()
        self.model = config.model
        self.pricing_plan = self.model
        self._make_message()

    def _make_requestor(self) -> GeneralAPIRequestor:
        config = self.config
        made: GeneralAPIRequestor = patched_or_stock("GeneralAPIRequestor", GeneralAPIRequestor)(
            base_url=config.base_url, key=getattr(config, "api_key", None)
        )
        return made

    def _make_message(self) -> None:
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
    def structured(self) -> str:
        """``auto``, ``true`` or ``false``: whether the answers that MetaGPT parses get a format. ``structured`` in
        ``extra_fields`` says it, else ``METAGPT_OLLAMA_STRUCTURED``."""
        return self._settings().client.structured or structured_by_environment()

    @property
    def unpatched(self) -> frozenset[str]:
        """The names of the patches of MetaGPT that do not act for this object: ``unpatched`` in ``extra_fields``."""
        return self._settings().client.unpatched

    def support_image_input(self) -> bool:
        """Always True: at the first call with an image the server is asked whether the model takes images."""
        return True

    def get_usage(self, resp: dict[str, Any]) -> dict[str, int]:
        """The token counts of a reply; a count that the server left out is left out here."""
        counts = {theirs: count_of(resp, name) for name, theirs in _core.OPENAI_USAGE.items()}
        return {name: count for name, count in counts.items() if count is not None}

    def get_choice_text(self, rsp: dict[str, Any]) -> str:
        """The text of the answer in a reply, or of the error instead. Raises ``ProtocolError`` if it has neither."""
        if not isinstance(rsp, dict) or error_of(rsp) is not None or not self._has_stock_get_choice:
            return str(self.ollama_message.get_choice(rsp))
        text = text_of(rsp, model=self.model)
        if text is None and not thinking_of(rsp) and not tool_calls_of(rsp):
            raise no_text_error(rsp, model=self.model)
        return text or ""

    @property
    def _has_stock_get_choice(self) -> bool:
        """Whether the message's ``get_choice`` is that of this package, and not one that user code has put there."""
        return is_unpatched(self.ollama_message, "get_choice", *_STOCK_GET_CHOICE)

    @functools.wraps(BaseLLM.aask)
    async def aask(self, msg: Any, *args: Any, **kwargs: Any) -> Any:
        """The answer to a question, as of ``BaseLLM.aask``; where MetaGPT parses it, in the form of its parser."""
        if isinstance(msg, (bytes, bytearray, memoryview)):
            # MetaGPT would take bytes for a list of messages.
            msg = require_text(msg, "the question")
        with receive_question(self, msg) as question:
            answer = await super().aask(msg, *args, **kwargs)
        return answer if question is None else question.finish(answer)

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
            fast = is_unpatched(message, "decode", _STOCK_DECODE) and is_unpatched(
                self, "_processing_openai_response", _STOCK_PROCESS_RESPONSE
            )
            ask = self._ask_whole if fast else self._ask_bytes
            return await ask_with_fallbacks(
                client, payload, current_question(self), lambda body: ask(client, message, body, timeout)
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
            fast = (
                is_unpatched(message, "decode", _STOCK_DECODE)
                and is_unpatched(message, "get_choice", *_STOCK_GET_CHOICE)
                and is_unpatched(self, "_processing_openai_response_async_generator", _STOCK_PROCESS_STREAM)
            )
            ask = self._ask_deltas if fast else self._ask_lines
            return await ask_with_fallbacks(
                client, payload, current_question(self), lambda body: ask(client, message, body, timeout)
            )
        except _SERVER_ERRORS as error:
            return self.get_choice_text(self._error_as_reply(self._as_empty_answer(error), streamed=True))

    async def _ask_whole(
        self, client: AsyncClient, message: OllamaMessageBase, payload: dict[str, Any], timeout: int
    ) -> dict[str, Any]:
        """The fast path of a whole reply."""
        with recorded_by_client(), self._remembering_limits(client, payload):
            reply = await client.request_json(
                path_of(message.api_suffix),
                payload,
                timeout=self._timeout_limits(timeout),
                repetition_guard=self._repetition_guard,
                on_call=note_call_id,
            )
        self._look_at_counts(client, payload, reply)
        return self._finish_reply(reply)

    async def _ask_deltas(
        self, client: AsyncClient, message: OllamaMessageBase, payload: dict[str, Any], timeout: int
    ) -> str:
        """The fast path of a streamed reply: its text goes to ``log_llm_stream`` delta by delta, and is returned."""
        log = patched_or_stock("log_llm_stream", log_llm_stream)
        splitter = ThinkSplitter()

        def on_text(text: str) -> object:
            for piece in splitter.feed(text):
                log(piece)
            # A callback that is returned takes the place of this one: once no thinking can follow, the client calls
            # the log itself.
            return log if splitter.passes_through else None

        path, limits = path_of(message.api_suffix), self._timeout_limits(timeout)
        with recorded_by_client(), self._remembering_limits(client, payload):
            reply = await client.stream_text(
                path,
                payload,
                on_text,
                on_thinking=splitter.pass_through,
                timeout=limits,
                repetition_guard=self._repetition_guard,
                on_call=note_call_id,
            )
        for piece in splitter.finish():
            log(piece)
        log("\n")
        self._look_at_counts(client, payload, reply)
        return text_of(self._finish_reply(reply)) or ""

    async def _ask_bytes(
        self, client: AsyncClient, message: OllamaMessageBase, payload: dict[str, Any], timeout: int
    ) -> dict[str, Any]:
        """The compatible path of a whole reply: its bytes go through ``_processing_openai_response``."""
        path, limits = path_of(message.api_suffix), self._timeout_limits(timeout)
        with recorded_by_client():
            data, content_type = await client.request_bytes(path, payload, timeout=limits, on_call=note_call_id)
        return self._processing_openai_response(OpenAIResponse(data, {"content-type": content_type}))

    async def _ask_lines(
        self, client: AsyncClient, message: OllamaMessageBase, payload: dict[str, Any], timeout: int
    ) -> str:
        """The compatible path of a streamed reply: each of its lines becomes an ``OpenAIResponse``."""

        async def responses() -> AsyncGenerator[OpenAIResponse, None]:
            path, limits = path_of(message.api_suffix), self._timeout_limits(timeout)
            stream = client.stream_lines(path, payload, timeout=limits, on_call=note_call_id)
            with recorded_by_client():
                async with aclosing(stream) as lines:
                    async for line in lines:
                        yield OpenAIResponse(line, {})

        async with aclosing(responses()) as stream:
            if is_unpatched(self, "_processing_openai_response_async_generator", _STOCK_PROCESS_STREAM):
                return await self._collect(stream, must_end=True)
            return await self._processing_openai_response_async_generator(stream)

    async def _through_requestor(
        self, message: OllamaMessageBase, payload: dict[str, Any], timeout: int, *, stream: bool
    ) -> Any:
        """The reply to a request that a requestor of the user's sends, as MetaGPT's provider would ask it to."""
        more: dict[str, Any] = {"stream": True} if stream else {}
        resp, _, _ = await self.client.arequest(
            method=self.http_method,
            url=message.api_suffix,
            params=payload,
            request_timeout=self.get_timeout(timeout),
            **more,
        )
        if isinstance(resp, AsyncGenerator):
            async with aclosing(resp) as responses:
                return await self._processing_openai_response_async_generator(responses)
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

    async def _collect(self, responses: AsyncGenerator[OpenAIResponse, None], *, must_end: bool) -> str:
        """Decodes a stream line by line with the message's own methods, logs its text and returns all of it.

        ``must_end`` makes a stream without ``"done": true`` an error. A server's stream must have it; one that a test
        of the user's has made up may lack it.
        """
        log = patched_or_stock("log_llm_stream", log_llm_stream)
        message = self.ollama_message
        splitter = ThinkSplitter()
        monitor = RepetitionMonitor(self._refuse_repetition)
        reply = ReplyAccumulator(self.model)
        chosen: list[str] = []
        final: dict[str, Any] = {}
        async for response in responses:
            if isinstance(response.data, (bytes, bytearray)) and not response.data.strip():
                continue
            line = require_object(message.decode(response), model=self.model)
            if self._has_stock_get_choice:
                if error_of(line) is not None:
                    self._raise_error(line, partial=reply.text)
                text, thinking = reply.add(line), thinking_of(line)
                if reply.has_thinking:
                    splitter.pass_through()
                pieces = splitter.feed(text)
            else:
                holder, key = find_text(line)
                pieces = [message.get_choice(line)] if holder.get(key) or not line.get("done", False) else []
                text, thinking = "".join(pieces), ""
                chosen += pieces
            for piece in pieces:
                log(piece)
            # The text with tagged thinking still in it, because thinking may repeat itself, too.
            monitor.feed(text, thinking, ended=line.get("done", False))
            if line.get("done", False):
                final = line
        for piece in splitter.finish():
            log(piece)
        if must_end and not final:
            raise from_core(
                "incomplete",
                message="the stream ended without done: true",
                partial=reply.text or "".join(chosen),
                model=self.model,
            )
        log("\n")
        if self._has_stock_get_choice:
            return text_of(self._finish_reply(reply.build(final))) or ""
        self._update_costs(self.get_usage(final))
        return "".join(chosen)

    def _message(self) -> OllamaMessageBase:
        """The message object for this call, with the model and the settings of this moment.

        A message object that user code has put into ``ollama_message`` is returned as it is. Where user code has
        changed the provider's own one (its ``model``, its ``additional_kwargs``), the changes win over the settings.
        """
        own = self._own_message
        if own is None or self.ollama_message is not own.message:
            return self.ollama_message
        api, kwargs = self._llama_api_inuse, self._llama_api_kwargs
        if api is not own.api:
            self._make_message()
            return self.ollama_message
        message = own.message
        if self.model != own.model:
            own.model = self.model
            message.model = self.model or ""
        if kwargs != own.kwargs:
            message.additional_kwargs = overlay(kwargs, own.kwargs, message.additional_kwargs)
            own.kwargs = copy.deepcopy(kwargs)
        return message

    async def _payload(self, message: OllamaMessageBase, messages: Messages, *, stream: bool) -> dict[str, Any]:
        """The body of the request for ``messages``, with every image read and encoded.

        It is built before anything is awaited, so that it has the messages and settings of this moment. Images are read
        afterwards, in a thread, except where user code takes part in building: that code gets them read already.
        """
        ours = is_unpatched(message, "apply", *_STOCK_APPLY) and is_unpatched(
            message, "_parse_input_msg", _STOCK_PARSE_INPUT_MSG
        )
        with leave_images_unread() if ours else contextlib.nullcontext():
            payload = message.apply(messages=messages)
        if endpoint_at(path_of(message.api_suffix)).lines == "answer":
            payload["stream"] = stream
            payload.setdefault("truncate", False)
            if not self._settings().client.shift:
                payload.setdefault("shift", False)
            put_format(payload, current_question(self), self.structured)
        return await encode_images_in_thread(payload)

    def _settings(self) -> Settings:
        """The configuration of this moment, read anew only when it has changed."""
        api, config = self._llama_api_inuse, self.config
        values, names = getattr(config, "__dict__", {}), fields_set(config)
        # This runs four times a call, so the fields are compared without a copy. The cached ones are copies, because
        # user code may change the dict `extra_fields` in place.
        if self._settings_cache is None or self._settings_cache[:3] != (api, values, names):
            kept = {name: {**value} if isinstance(value, dict) else value for name, value in values.items()}
            self._settings_cache = (api, kept, {*names}, read_provider_settings(config, api.name.lower()))
        return self._settings_cache[3]

    def _client(self) -> AsyncClient:
        config = self.config
        # LLMConfig's default for base_url is OpenAI's address. Where the user has not set it, the server is
        # OLLAMA_HOST.
        by_default = hasattr(config, "model_fields_set") and "base_url" not in fields_set(config)
        host = None if by_default else config.base_url or None
        return shared_client(host, getattr(config, "api_key", None) or None, self._settings().client)

    def _timeout_limits(self, timeout: int) -> Timeout:
        """The time limits of a call: MetaGPT's ``timeout`` in seconds, and over it what ``extra_fields`` says."""
        seconds = float(self.get_timeout(timeout))
        return Timeout(**{"first_token": seconds, "idle": seconds, **self._settings().client.timeouts})

    async def _check_images(self, client: AsyncClient, payload: dict[str, Any]) -> None:
        if image_lists(payload):
            await check_vision(client, str(payload.get("model")))
            settings = self._settings().client
            await fetch_images(payload, settings.proxy, settings.verify)

    def _finish_reply(self, reply: dict[str, Any]) -> dict[str, Any]:
        """Counts the tokens of a whole reply, moves tagged thinking out of its text and checks that it is an answer.

        Where user code has replaced ``get_choice``, only the tokens are counted: that code knows where the text is.
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
            # Tags in the text are thinking only where the server has sent no thinking in a field of its own.
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

    def _check_answer(self, reply: dict[str, Any], found: Optional[str], text: str, thinking: str) -> None:
        """Stores the reply and its thinking, raises the error for one that is no answer, warns of one that was cut off.

        ``found`` is the text as the server has sent it, None where there was none; ``text`` is ``found`` without the
        thinking.
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
        question = current_question(self)
        if question is not None and question.is_spoilt_by_cut(text):
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
        """``error``, or an ``EmptyAnswerError`` in its place if the model has written white space without an end."""
        if not isinstance(error, IncompleteError) or not error.repeated.isspace():
            return error
        text, thinking = error.partial, error.partial_thinking
        if not thinking:
            text, thinking = split_thinking(text)
        # An answer without text whose thinking is more than white space is one that never stopped thinking.
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
        sent = getattr(self.ollama_message, "additional_kwargs", {})
        question = current_question(self)
        return sent.get("options") or {}, (question is not None and question.formatted) or bool(sent.get("format"))

    @property
    def _repetition_guard(self) -> bool:
        return self._settings().client.repetition_guard

    def _refuse_repetition(self, text: str, thinking: str) -> None:
        if self._repetition_guard:
            _core.refuse_repetition(text, thinking, self.model or "")

    def _raise_error(self, reply: Any, partial: Optional[str] = None) -> None:
        """Raises the typed error for ``{"error": "…"}`` from a server, or with ``raw_data`` from ``decode``.

        ``partial`` is the text of a stream before the error; None for a whole reply. Other replies raise nothing.
        """
        text = error_of(reply) if isinstance(reply, dict) else None
        if text is None:
            return
        if partial is not None:
            raise from_core("mid_stream", message=text, server_text=text, partial=partial, model=self.model)
        if "raw_data" in reply:
            raise from_core("protocol", message=f"{text} | Raw: {reply['raw_data']}", model=self.model)
        raise from_core("status", message=text, server_text=text, model=self.model)

    def _record(self, error: OllamaError, *, streamed: bool) -> None:
        """Makes the record of an error that this provider raises, unless the client has made one."""
        record_error(self, error, streamed=streamed, replied=is_unpatched(self.client, "arequest", STOCK_AREQUEST))

    def _error_as_reply(self, error: OllamaError, *, streamed: bool) -> dict[str, Any]:
        """The error as the dict that ``decode`` returns for one, if ``on_error`` is ``text``; otherwise raises it."""
        self._record(error, streamed=streamed)
        if (self.on_error or self._settings().client.on_error) != "text":
            raise error
        return {"error": getattr(error, "error", "") or error.message, "raw_data": ""}


_STOCK_PROCESS_RESPONSE = OllamaLLM._processing_openai_response
_STOCK_PROCESS_STREAM = OllamaLLM._processing_openai_response_async_generator


class OllamaGenerate(OllamaLLM):
    """``api_type: ollama.generate``, which asks ``/api/generate``; else as `OllamaLLM`.

    >>> import asyncio
    >>> from metagpt.configs.llm_config import LLMConfig
    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.answer("Hello world")
    ...     llm = OllamaGenerate(LLMConfig(api_type="ollama.generate", base_url=server.url, model="llama3.2"))
    ...     asyncio.run(llm.aask("Say hello.", stream=False))
    ...     server.last.json()["prompt"]
    'Hello world'
    'Say hello.'
    """

    @property
    def _llama_api_inuse(self) -> OllamaMessageAPI:
        return OllamaMessageAPI.GENERATE
