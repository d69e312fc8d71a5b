"""What each endpoint of the embedded server does: it checks a request, asks the runner and answers as Ollama does.

For example, the last line of a streamed ``/api/chat``. The runner, llama.cpp's server, says::

    {"content": "", "stop": true, "stop_type": "eos", "tokens_evaluated": 31, "timings": {"prompt_ms": 12.0, …}, …}

and the client gets::

    {"model": "smollm2:135m", "created_at": "…", "message": {"role": "assistant", "content": ""}, "done": true,
     "done_reason": "stop", "total_duration": 61204112, "load_duration": 1043021, "prompt_eval_count": 31, …}
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable

from ..serving import ollama
from ..serving.format import TEXT_UTF8, Float32, timestamp
from ..serving.ollama import full_name
from . import checks, options
from .checks import Refusal
from .engine import CRASHED, Engine, LoadSettings, RunnerDiedError, RunnerRefusedError

if TYPE_CHECKING:
    from .engine import Runner
    from .exchange import ServerExchange
    from .models import Model

# The time that /api/ps shows as left for a model that stays for ever: Go's longest duration, about 292 years.
_FOREVER_SECONDS = 292 * 365.25 * 86400


# llama.cpp uses no more threads than this, and its first trial of a model takes a batch of at least this many tokens.
_MAX_THREADS = 512
_MIN_BATCH = 4

# A text with which no JSON begins, and a bias that makes the model choose its token wherever no grammar forbids it.
_NO_JSON_TEXT = "z"
_CERTAIN_BIAS = 1000.0

# How many schemas a runner remembers before it forgets them all.
_MAX_CACHED_SCHEMAS = 256


class Api:
    """The endpoints over some models. `routes` has the method that answers, by path and HTTP method.

    `default_context` is the context length, in tokens, of requests without the option `num_ctx`.
    """

    def __init__(self, models: list[Model], *, default_context: int) -> None:
        self._engines = {model.name: Engine(model) for model in models}
        self._default_context = default_context
        self.routes: Mapping[str, Mapping[str, Callable[[ServerExchange], None]]] = {
            ollama.ROOT: {"GET": self._root, "HEAD": self._root},
            ollama.VERSION_PATH: {"GET": self._version, "HEAD": self._version},
            ollama.TAGS: {"GET": self._tags, "HEAD": self._tags},
            ollama.PS: {"GET": self._ps},
            ollama.SHOW: {"POST": self._show},
            ollama.CHAT: {"POST": self._chat},
            ollama.GENERATE: {"POST": self._generate},
            ollama.EMBED: {"POST": self._embed},
            ollama.EMBEDDINGS: {"POST": self._embeddings},
        }

    def close(self) -> None:
        """Ends every runner."""
        for engine in self._engines.values():
            engine.close()

    def _root(self, exchange: ServerExchange) -> None:
        exchange.text(ollama.ROOT_TEXT, content_type=TEXT_UTF8)

    def _version(self, exchange: ServerExchange) -> None:
        exchange.json({"version": ollama.VERSION})

    def _tags(self, exchange: ServerExchange) -> None:
        exchange.json({"models": [engine.model.tags_entry() for engine in self._engines.values()]})

    def _ps(self, exchange: ServerExchange) -> None:
        loaded = []
        for engine in self._engines.values():
            state = engine.loaded()
            if state is not None:
                settings, left = state
                expires = timestamp(time.time_ns() + int(min(left, _FOREVER_SECONDS) * 1e9))
                loaded.append((left, engine.model.ps_entry(expires, settings.context_length)))
        loaded.sort(key=lambda entry: entry[0], reverse=True)
        exchange.json({"models": [entry for _, entry in loaded]})

    def _show(self, exchange: ServerExchange) -> None:
        body = checks.parse_body(exchange.request.body, "ShowRequest")
        name = body.get("model") or body.get("name") or ""
        if not name:
            raise Refusal(400, "model is required")
        engine = self._engines.get(full_name(name))
        if engine is None:
            raise Refusal(404, f"model '{full_name(name)}' not found")
        exchange.json(engine.model.show_body())

    def _chat(self, exchange: ServerExchange) -> None:
        body = checks.parse_body(exchange.request.body, "ChatRequest")
        keep_alive = checks.keep_alive(body.get("keep_alive"))
        messages = checks.messages(body.get("messages", []))
        if not body.get("model"):
            raise Refusal(400, "model is required")
        engine = self._text_engine(body["model"], "chat")
        replies = _ChatReplies(body["model"])
        if not messages and keep_alive == 0:
            engine.unload()
            exchange.json(replies.last_line("unload"))
            return
        checks.think(body.get("think"), body["model"])
        if body.get("tools"):
            raise Refusal(400, f"{engine.model.registry_name} does not support tools")
        if any(message.get("images") for message in body.get("messages", [])):
            raise checks.vision_refusal(late=body.get("stream", True))
        with _TextGeneration(self, exchange, engine, body, keep_alive) as generation:
            if not messages:
                exchange.json(replies.last_line("load"))
                return
            tokenize = generation.tokenize_within_context if body.get("truncate", True) else generation.tokenize_chat
            generation.run(tokenize(messages), replies)

    def _generate(self, exchange: ServerExchange) -> None:
        body = checks.parse_body(exchange.request.body, "GenerateRequest")
        keep_alive = checks.keep_alive(body.get("keep_alive"))
        checks.images(body.get("images", []), "GenerateRequest")
        context = checks.context_tokens(body.get("context", []))
        engine = self._text_engine(body.get("model", ""), "generate")
        raw = body.get("raw", False)
        replies = _GenerateReplies(body["model"])
        if not body.get("prompt"):
            if keep_alive == 0:
                engine.unload()
                exchange.json(replies.last_line("unload"))
                return
        elif raw and any(body.get(name) for name in ("template", "system", "context")):
            raise Refusal(400, "raw mode does not support template, system, or context")
        checks.think(body.get("think"), body["model"])
        if body.get("suffix"):
            raise Refusal(400, f"{engine.model.registry_name} does not support insert")
        if body.get("template"):
            raise Refusal(400, "the embedded server does not support template")
        if body.get("images"):
            raise checks.vision_refusal(late=body.get("stream", True))
        with _TextGeneration(self, exchange, engine, body, keep_alive) as generation:
            if not body.get("prompt"):
                exchange.json(replies.last_line("load"))
                return
            if raw:
                prompt = generation.tokenize(body["prompt"])
            else:
                messages = [{"role": "user", "content": body["prompt"]}]
                if body.get("system"):
                    messages.insert(0, {"role": "system", "content": body["system"]})
                prompt = context + generation.tokenize_chat(messages)
            generation.run(prompt, replies, with_context=not raw)

    def _embed(self, exchange: ServerExchange) -> None:
        started = time.monotonic_ns()
        body = checks.parse_body(exchange.request.body, "EmbedRequest")
        keep_alive = checks.keep_alive(body.get("keep_alive"))
        value = body.get("input")
        texts = [value] if isinstance(value, str) and value else value or []
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise Refusal(400, "invalid input type")
        engine = self._embedding_engine(body.get("model", ""))
        settings = self._settings(engine.model, body)
        answer: dict[str, Any] = {"model": body["model"]}
        if not texts:
            with engine.use(settings, keep_alive):
                exchange.json({**answer, "embeddings": []})
            return
        _refuse_without_embeddings(engine.model)
        with engine.use(settings, keep_alive) as runner:
            loaded = time.monotonic_ns()
            vectors, count = _embed_texts(runner, texts, truncate=body.get("truncate", True), refusal=400)
        dimensions = body.get("dimensions", 0)
        answer["embeddings"] = [[Float32(value) for value in _cut_dimensions(vector, dimensions)] for vector in vectors]
        answer.update(_durations(started, loaded))
        if count:
            answer["prompt_eval_count"] = count
        exchange.json(answer)

    def _embeddings(self, exchange: ServerExchange) -> None:
        body = checks.parse_body(exchange.request.body, "EmbeddingRequest")
        keep_alive = checks.keep_alive(body.get("keep_alive"))
        if not body.get("model"):
            raise Refusal(400, "model is required")
        engine = self._embedding_engine(body["model"])
        settings = self._settings(engine.model, body)
        prompt = body.get("prompt", "")
        if prompt:
            _refuse_without_embeddings(engine.model)
        with engine.use(settings, keep_alive) as runner:
            vectors = _embed_texts(runner, [prompt], truncate=False, refusal=500)[0] if prompt else [[]]
        exchange.json({"embedding": vectors[0]})

    def _text_engine(self, name: str, purpose: str) -> Engine:
        engine = self._engines.get(full_name(name)) if name else None
        if engine is None:
            raise Refusal(404, f"model '{name}' not found")
        if engine.model.embeds:
            raise Refusal(400, f'"{name}" does not support {purpose}')
        return engine

    def _embedding_engine(self, name: str) -> Engine:
        if not name:
            raise Refusal(404, "model '' not found")
        engine = self._engines.get(full_name(name))
        if engine is None:
            raise Refusal(404, f'model "{name}" not found, try pulling it first')
        return engine

    def _settings(self, model: Model, body: dict[str, Any]) -> LoadSettings:
        """The settings of the runner that a request asks for. Raises `Refusal` for an option of the wrong type."""
        values = options.parse(body.get("options", {}))
        context = values["num_ctx"] if values["num_ctx"] is not None else self._default_context
        context = min(max(context, 4), model.trained_context)
        return LoadSettings(
            context_length=context,
            shift=body.get("shift", True),
            threads=min(max(values["num_thread"] or 0, 0), _MAX_THREADS),
            batch=min(max(values["num_batch"], _MIN_BATCH), context) if values["num_batch"] else 0,
            gpu_layers=values["num_gpu"],
        )


class _ChatReplies:
    """Builds the objects of `/api/chat`: ``{"model": …, "message": {"role": "assistant", "content": "Hi"}, …}``."""

    def __init__(self, model: str) -> None:
        self._model = model

    def line(self, text: str) -> dict[str, Any]:
        """A line of a stream before its last one; `text` is what it adds to the answer."""
        return {**self._start(text), "done": False}

    def last_line(self, reason: str, text: str = "") -> dict[str, Any]:
        """The last line of a stream (`text` is then empty), or a whole answer, both without counters.

        `reason` is Ollama's `done_reason`: `stop`, `length`, `load` or `unload`.
        """
        return {**self._start(text), "done": True, "done_reason": reason}

    def with_counters(
        self, last_line: dict[str, Any], counters: dict[str, int], logprobs: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """`last_line` with what follows `done_reason`, in the order of this endpoint."""
        return {**last_line, **({"logprobs": logprobs} if logprobs else {}), **counters}

    def _start(self, text: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        return {"model": self._model, "created_at": timestamp(), "message": message}


class _GenerateReplies(_ChatReplies):
    """Builds the objects of `/api/generate`: ``{"model": …, "response": "Hi", …}``."""

    def with_counters(
        self, last_line: dict[str, Any], counters: dict[str, int], logprobs: list[dict[str, Any]]
    ) -> dict[str, Any]:
        return {**last_line, **counters, **({"logprobs": logprobs} if logprobs else {})}

    def _start(self, text: str) -> dict[str, Any]:
        return {"model": self._model, "created_at": timestamp(), "response": text}


class _TextGeneration:
    """One answer of a text model, as a context manager: its runner is loaded on entry and in use until the exit.

    `Refusal` is raised by the constructor for a wrong option, and by everything that asks the runner.
    """

    def __init__(
        self, api: Api, exchange: ServerExchange, engine: Engine, body: dict[str, Any], keep_alive: float | None
    ) -> None:
        self._started = time.monotonic_ns()
        self._exchange = exchange
        self._streams = body.get("stream", True)
        self._truncates = body.get("truncate", True)
        self._probabilities = checks.top_logprobs(body)
        self._format = body.get("format")
        self._options = options.parse(body.get("options", {}))
        self._settings = api._settings(engine.model, body)
        self._runner_in_use = engine.use(self._settings, keep_alive)

    def __enter__(self) -> _TextGeneration:
        self._runner = self._runner_in_use.__enter__()
        self._loaded_at = time.monotonic_ns()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._runner_in_use.__exit__(*raised)

    def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        """The token ids of `text`; with `special`, as a prompt begins, and with the tokens of a chat template known."""
        payload = {"content": text, "add_special": special, "parse_special": special}
        return [int(token) for token in _call_runner(self._runner, "/tokenize", payload)["tokens"]]

    def tokenize_chat(self, messages: list[dict[str, str]]) -> list[int]:
        """The token ids of `messages`, written with the model's own chat template."""
        return self.tokenize(_call_runner(self._runner, "/apply-template", {"messages": messages})["prompt"])

    def tokenize_within_context(self, messages: list[dict[str, str]]) -> list[int]:
        """The token ids of `messages`, without the oldest ones that do not fit into the context.

        System messages and the last message stay, so the result may still be too long.
        """
        kept = list(messages)
        while True:
            prompt = self.tokenize_chat(kept)
            droppable = [position for position, message in enumerate(kept[:-1]) if message["role"] != "system"]
            if len(prompt) <= self._settings.context_length or not droppable:
                return prompt
            del kept[droppable[0]]

    def run(self, prompt: list[int], replies: _ChatReplies, *, with_context: bool = False) -> None:
        """Generates the answer to `prompt` and sends it, streamed or whole, as the request wants it.

        `with_context` adds the token ids of prompt and answer to the last object of `/api/generate`.
        """
        try:
            self._run(self._truncate_prompt(prompt), replies, with_context and isinstance(replies, _GenerateReplies))
        except RunnerRefusedError as error:
            text = error.body if not self._exchange.streaming else f"llama-server error: {error.message}"
            raise Refusal(error.status, text, late=self._streams) from error
        except RunnerDiedError as error:
            began = self._exchange.streaming
            text = f"an error was encountered while running the model: {error}" if began else CRASHED
            raise Refusal(500, text, late=self._streams) from error
        except Refusal as refusal:
            refusal.late = refusal.late and self._streams
            raise

    def _run(self, prompt: list[int], replies: _ChatReplies, with_context: bool) -> None:
        request: dict[str, Any] = {
            **options.for_runner(self._options, self._settings.context_length),
            "prompt": prompt,
            "stream": True,
            "cache_prompt": True,
        }
        schema = checks.requested_schema(self._format)
        if schema is not None:
            request["json_schema"] = options.schema_for_runner(schema)
            if checks.has_huge_counts(schema) or not self._can_make_grammar(prompt, request["json_schema"]):
                raise checks.grammar_refusal()
        if self._probabilities:
            request["n_probs"] = self._probabilities
        texts: list[str] = []
        logprobs: list[dict[str, Any]] = []
        last: dict[str, Any] = {}
        for event in self._runner.events("/completion", request, self._exchange.client):
            text = event.get("content", "")
            found = [_logprob_entry(entry) for entry in event.get("completion_probabilities", ())]
            if event.get("stop"):
                last = event
            if text:
                texts.append(text)
                if self._streams:
                    self._exchange.line({**replies.line(text), **({"logprobs": found} if found else {})})
                else:
                    logprobs.extend(found)
        answer = "".join(texts)
        end = replies.last_line(
            "length" if last.get("stop_type") == "limit" else "stop", text="" if self._streams else answer
        )
        if with_context:
            end["context"] = prompt + self.tokenize(answer, special=False)
        end = replies.with_counters(end, self._counters(last), logprobs)
        if self._streams:
            self._exchange.line(end)
            self._exchange.end()
        else:
            self._exchange.json(end)

    def _can_make_grammar(self, prompt: list[int], schema: dict[str, Any]) -> bool:
        """Whether llama.cpp can make a grammar of `schema`. When it cannot, it silently does without.

        So one token is asked for, and the bias makes it a token with which no JSON begins. A grammar forbids it; where
        it is generated all the same, there is no grammar. The prompt is that of the request, so llama.cpp has
        evaluated it already when the request itself follows.
        """
        cache, key = self._runner.grammar_cache, json.dumps(schema)
        if key not in cache:
            if len(cache) >= _MAX_CACHED_SCHEMAS:
                cache.clear()
            probe = {
                "prompt": prompt,
                "json_schema": schema,
                "logit_bias": [[self.tokenize(_NO_JSON_TEXT, special=False)[0], _CERTAIN_BIAS]],
                "n_predict": 1,
                "stream": True,
                "cache_prompt": True,
            }
            events = self._runner.events("/completion", probe, self._exchange.client)
            text = "".join(event.get("content", "") for event in events)
            cache[key] = not text.lstrip().startswith(_NO_JSON_TEXT)
        return cache[key]

    def _truncate_prompt(self, prompt: list[int]) -> list[int]:
        """`prompt`, and where it is longer than the context, what Ollama's runner keeps of it.

        That is the first `num_keep` tokens, and from the end of the prompt half of the tokens that fit behind them.
        """
        size = self._settings.context_length
        if len(prompt) <= size or not self._truncates:
            return prompt
        kept = min(max(self._options["num_keep"], 0), size - 1)
        return prompt[:kept] + prompt[len(prompt) - (size - kept) // 2 :]

    def _counters(self, last: dict[str, Any]) -> dict[str, int]:
        timings = last.get("timings", {})
        counters = {
            **_durations(self._started, self._loaded_at),
            "prompt_eval_count": last.get("tokens_evaluated", 0),
            "prompt_eval_duration": round(timings.get("prompt_ms", 0) * 1_000_000),
            "eval_count": last.get("tokens_predicted", 0),
            "eval_duration": round(timings.get("predicted_ms", 0) * 1_000_000),
        }
        return {name: value for name, value in counters.items() if value}


def _durations(started: int, loaded: int) -> dict[str, int]:
    return {"total_duration": time.monotonic_ns() - started, "load_duration": loaded - started}


def _call_runner(runner: Runner, path: str, payload: Any) -> Any:
    try:
        return runner.call(path, payload)
    except RunnerRefusedError as error:
        raise Refusal(error.status, error.body) from error
    except RunnerDiedError as error:
        raise Refusal(500, CRASHED) from error


def _refuse_without_embeddings(model: Model) -> None:
    if not model.embeds:
        raise Refusal(501, "This server does not support embeddings. Start it with `--embeddings`")


def _embed_texts(runner: Runner, texts: list[str], *, truncate: bool, refusal: int) -> tuple[list[list[float]], int]:
    """A vector for each text, and the number of all tokens.

    A text longer than the context is cut if `truncate` says so. Otherwise, and for an empty text, `Refusal` is raised
    with the status `refusal`.
    """
    size = runner.settings.context_length
    inputs = []
    for text in texts:
        payload = {"content": text, "add_special": True, "parse_special": True}
        tokens = _call_runner(runner, "/tokenize", payload)["tokens"]
        if len(tokens) > size:
            if not truncate:
                raise Refusal(refusal, "the input length exceeds the context length")
            tokens = tokens[: size - 1]
        if not tokens:
            raise Refusal(refusal, "input is empty")
        inputs.append(tokens)
    answers = _call_runner(runner, "/embedding", {"content": inputs, "embd_normalize": 2})
    vectors = [answer["embedding"][0] for answer in answers]
    # llama.cpp writes null for NaN and for infinity.
    if not all(isinstance(value, (int, float)) for vector in vectors for value in vector):
        raise Refusal(refusal, "embedding contains NaN or Inf values")
    return vectors, sum(map(len, inputs))


def _cut_dimensions(vector: list[float], dimensions: int) -> list[float]:
    if not 0 < dimensions < len(vector):
        return vector
    kept = vector[:dimensions]
    norm = sum(value * value for value in kept) ** 0.5 or 1.0
    return [value / norm for value in kept]


def _logprob_entry(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry of `logprobs` for one token, made of the entry that llama.cpp gives.

    For example ``{"token": " Hi", "logprob": -0.1, "bytes": [32, 72, 105], "top_logprobs": […]}``, without the
    fields that llama.cpp adds (`id`, for one).
    """

    def named(item: dict[str, Any]) -> dict[str, Any]:
        shaped = {"token": item["token"], "logprob": item["logprob"]}
        return {**shaped, "bytes": item["bytes"]} if item.get("bytes") else shaped

    shaped = named(entry)
    if entry.get("top_logprobs"):
        shaped["top_logprobs"] = [named(item) for item in entry["top_logprobs"]]
    return shaped
