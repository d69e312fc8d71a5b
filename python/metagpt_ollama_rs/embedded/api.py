"""What each endpoint does: checks the request, asks the runner, shapes the answer as Ollama does."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable

from ..serving.format import Float32, timestamp
from . import checks, options
from .checks import Refusal
from .engine import CRASHED, Engine, RunnerDiedError, RunnerRefusedError, Settings
from .models import full_name

if TYPE_CHECKING:
    from .engine import Runner
    from .exchange import Exchange
    from .models import Model

VERSION = "0.33.0"

# Shown as the expiry of a model that stays for ever: Go's longest duration, about 292 years.
_AGES = 292 * 365.25 * 86400


# As many as llama.cpp can use, and as few as its first trial of a model takes.
_MOST_THREADS = 512
_LEAST_BATCH = 4

# A text that begins no JSON, and a bias that makes a token certain where nothing forbids it.
_NO_JSON = "z"
_CERTAIN = 1000.0
_KNOWN_SCHEMAS = 256


class Api:
    """The endpoints over some models; `default_context` is the context length of requests without `num_ctx`."""

    def __init__(self, models: list[Model], *, default_context: int) -> None:
        self._engines = {model.name: Engine(model) for model in models}
        self._default_context = default_context
        self.routes: Mapping[str, Mapping[str, Callable[[Exchange], None]]] = {
            "/": {"GET": self._root, "HEAD": self._root},
            "/api/version": {"GET": self._version, "HEAD": self._version},
            "/api/tags": {"GET": self._tags, "HEAD": self._tags},
            "/api/ps": {"GET": self._ps},
            "/api/show": {"POST": self._show},
            "/api/chat": {"POST": self._chat},
            "/api/generate": {"POST": self._generate},
            "/api/embed": {"POST": self._embed},
            "/api/embeddings": {"POST": self._embeddings},
        }

    def close(self) -> None:
        """Ends every runner."""
        for engine in self._engines.values():
            engine.close()

    def _root(self, exchange: Exchange) -> None:
        exchange.text("Ollama is running", content_type="text/plain; charset=utf-8")

    def _version(self, exchange: Exchange) -> None:
        exchange.json({"version": VERSION})

    def _tags(self, exchange: Exchange) -> None:
        exchange.json({"models": [engine.model.tag() for engine in self._engines.values()]})

    def _ps(self, exchange: Exchange) -> None:
        loaded = []
        for engine in self._engines.values():
            state = engine.loaded()
            if state is not None:
                settings, left = state
                expires = timestamp(time.time_ns() + int(min(left, _AGES) * 1e9))
                loaded.append((left, engine.model.process(expires, settings.context_length)))
        loaded.sort(key=lambda entry: entry[0], reverse=True)
        exchange.json({"models": [entry for _, entry in loaded]})

    def _show(self, exchange: Exchange) -> None:
        asked = checks.parse_body(exchange.request.body, "ShowRequest")
        name = asked.get("model") or asked.get("name") or ""
        if not name:
            raise Refusal(400, "model is required")
        engine = self._engines.get(full_name(name))
        if engine is None:
            raise Refusal(404, f"model '{full_name(name)}' not found")
        exchange.json(engine.model.show())

    def _chat(self, exchange: Exchange) -> None:
        asked = checks.parse_body(exchange.request.body, "ChatRequest")
        keep_alive = checks.keep_alive(asked.get("keep_alive"))
        given = checks.messages(asked.get("messages", []))
        if not asked.get("model"):
            raise Refusal(400, "model is required")
        engine = self._text_engine(asked["model"], "chat")
        shape = _ChatShape(asked["model"])
        if not given and keep_alive == 0:
            engine.unload()
            exchange.json(shape.ended("unload"))
            return
        checks.think(asked.get("think"), asked["model"])
        if asked.get("tools"):
            raise Refusal(400, f"{engine.model.registry_name} does not support tools")
        if any(message.get("images") for message in asked.get("messages", [])):
            raise checks.no_vision(late=asked.get("stream", True))
        with _Generation(self, exchange, engine, asked, keep_alive) as work:
            if not given:
                exchange.json(shape.ended("load"))
                return
            prompt = work.fitted(given) if asked.get("truncate", True) else work.templated(given)
            work.run(prompt, shape)

    def _generate(self, exchange: Exchange) -> None:
        asked = checks.parse_body(exchange.request.body, "GenerateRequest")
        keep_alive = checks.keep_alive(asked.get("keep_alive"))
        checks.images(asked.get("images", []), "GenerateRequest")
        context = checks.tokens(asked.get("context", []))
        engine = self._text_engine(asked.get("model", ""), "generate")
        raw = asked.get("raw", False)
        shape = _GenerateShape(asked["model"])
        if not asked.get("prompt"):
            if keep_alive == 0:
                engine.unload()
                exchange.json(shape.ended("unload"))
                return
        elif raw and any(asked.get(name) for name in ("template", "system", "context")):
            raise Refusal(400, "raw mode does not support template, system, or context")
        checks.think(asked.get("think"), asked["model"])
        if asked.get("suffix"):
            raise Refusal(400, f"{engine.model.registry_name} does not support insert")
        if asked.get("template"):
            raise Refusal(400, "the embedded server does not support template")
        if asked.get("images"):
            raise checks.no_vision(late=asked.get("stream", True))
        with _Generation(self, exchange, engine, asked, keep_alive) as work:
            if not asked.get("prompt"):
                exchange.json(shape.ended("load"))
                return
            if raw:
                prompt = work.tokens(asked["prompt"])
            else:
                messages = [{"role": "user", "content": asked["prompt"]}]
                if asked.get("system"):
                    messages.insert(0, {"role": "system", "content": asked["system"]})
                prompt = context + work.templated(messages)
            work.run(prompt, shape, with_context=not raw)

    def _embed(self, exchange: Exchange) -> None:
        begun = time.monotonic_ns()
        asked = checks.parse_body(exchange.request.body, "EmbedRequest")
        keep_alive = checks.keep_alive(asked.get("keep_alive"))
        given = asked.get("input")
        texts = [given] if isinstance(given, str) and given else given or []
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise Refusal(400, "invalid input type")
        engine = self._embedding_engine(asked.get("model", ""))
        settings = self._settings(engine.model, asked)
        answer: dict[str, Any] = {"model": asked["model"]}
        if not texts:
            with engine.use(settings, keep_alive):
                exchange.json({**answer, "embeddings": []})
            return
        _refuse_without_embeddings(engine.model)
        with engine.use(settings, keep_alive) as runner:
            loaded = time.monotonic_ns()
            vectors, count = _embedded(runner, texts, truncate=asked.get("truncate", True), refusal=400)
        dimensions = asked.get("dimensions", 0)
        answer["embeddings"] = [[Float32(value) for value in _shortened(vector, dimensions)] for vector in vectors]
        answer.update(_durations(begun, loaded))
        if count:
            answer["prompt_eval_count"] = count
        exchange.json(answer)

    def _embeddings(self, exchange: Exchange) -> None:
        asked = checks.parse_body(exchange.request.body, "EmbeddingRequest")
        keep_alive = checks.keep_alive(asked.get("keep_alive"))
        if not asked.get("model"):
            raise Refusal(400, "model is required")
        engine = self._embedding_engine(asked["model"])
        settings = self._settings(engine.model, asked)
        prompt = asked.get("prompt", "")
        if prompt:
            _refuse_without_embeddings(engine.model)
        with engine.use(settings, keep_alive) as runner:
            vectors = _embedded(runner, [prompt], truncate=False, refusal=500)[0] if prompt else [[]]
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

    def _settings(self, model: Model, asked: dict[str, Any]) -> Settings:
        """The settings that a request asks for; Refusal for an option of the wrong type."""
        values = options.parse(asked.get("options", {}))
        context = values["num_ctx"] if values["num_ctx"] is not None else self._default_context
        context = min(max(context, 4), model.trained_context)
        return Settings(
            context_length=context,
            shift=asked.get("shift", True),
            threads=min(max(values["num_thread"] or 0, 0), _MOST_THREADS),
            batch=min(max(values["num_batch"], _LEAST_BATCH), context) if values["num_batch"] else 0,
            gpu_layers=values["num_gpu"],
        )


class _ChatShape:
    """The objects of `/api/chat`."""

    def __init__(self, model: str) -> None:
        self._model = model

    def piece(self, text: str) -> dict[str, Any]:
        """One line in the middle of a stream."""
        return {**self._head(text), "done": False}

    def ended(self, reason: str, text: str = "") -> dict[str, Any]:
        """The last line, or the whole answer; counters come after it."""
        return {**self._head(text), "done": True, "done_reason": reason}

    def with_counters(
        self, ended: dict[str, Any], counters: dict[str, int], chances: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """The end of an answer with what comes after `done_reason`, in this endpoint's order."""
        return {**ended, **({"logprobs": chances} if chances else {}), **counters}

    def _head(self, text: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        return {"model": self._model, "created_at": timestamp(), "message": message}


class _GenerateShape(_ChatShape):
    """The objects of `/api/generate`."""

    def with_counters(
        self, ended: dict[str, Any], counters: dict[str, int], chances: list[dict[str, Any]]
    ) -> dict[str, Any]:
        return {**ended, **counters, **({"logprobs": chances} if chances else {})}

    def _head(self, text: str) -> dict[str, Any]:
        return {"model": self._model, "created_at": timestamp(), "response": text}


class _Generation:
    """One answer of a text model: the model in use, the prompt, the tokens."""

    def __init__(
        self, api: Api, exchange: Exchange, engine: Engine, asked: dict[str, Any], keep_alive: float | None
    ) -> None:
        self._begun = time.monotonic_ns()
        self._exchange = exchange
        self._streams = asked.get("stream", True)
        self._truncates = asked.get("truncate", True)
        self._probabilities = checks.top_logprobs(asked)
        self._format = asked.get("format")
        self._options = options.parse(asked.get("options", {}))
        self._settings = api._settings(engine.model, asked)
        self._usage = engine.use(self._settings, keep_alive)

    def __enter__(self) -> _Generation:
        self._runner = self._usage.__enter__()
        self._loaded = time.monotonic_ns()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._usage.__exit__(*raised)

    def tokens(self, text: str, *, special: bool = True) -> list[int]:
        """The token ids of `text`."""
        payload = {"content": text, "add_special": special, "parse_special": special}
        return [int(token) for token in _called(self._runner, "/tokenize", payload)["tokens"]]

    def templated(self, messages: list[dict[str, str]]) -> list[int]:
        """The token ids of `messages` in the model's own chat template."""
        return self.tokens(_called(self._runner, "/apply-template", {"messages": messages})["prompt"])

    def fitted(self, messages: list[dict[str, str]]) -> list[int]:
        """As `templated`, with the oldest messages dropped that do not fit; system messages and the last stay."""
        kept = list(messages)
        while True:
            prompt = self.templated(kept)
            droppable = [position for position, message in enumerate(kept[:-1]) if message["role"] != "system"]
            if len(prompt) <= self._settings.context_length or not droppable:
                return prompt
            del kept[droppable[0]]

    def run(self, prompt: list[int], shape: _ChatShape, *, with_context: bool = False) -> None:
        """Generates and answers, as a stream or whole."""
        try:
            self._run(self._cut(prompt), shape, with_context and isinstance(shape, _GenerateShape))
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

    def _run(self, prompt: list[int], shape: _ChatShape, with_context: bool) -> None:
        request: dict[str, Any] = {
            **options.for_runner(self._options, self._settings.context_length),
            "prompt": prompt,
            "stream": True,
            "cache_prompt": True,
        }
        schema = checks.answer_format(self._format)
        if schema is not None:
            request["json_schema"] = options.schema_for_runner(schema)
            if checks.is_boundless(schema) or not self._obeyed(prompt, request["json_schema"]):
                raise checks.no_grammar()
        if self._probabilities:
            request["n_probs"] = self._probabilities
        texts: list[str] = []
        chances: list[dict[str, Any]] = []
        last: dict[str, Any] = {}
        for event in self._runner.events("/completion", request, self._exchange.client):
            text = event.get("content", "")
            found = [_chance(entry) for entry in event.get("completion_probabilities", ())]
            if event.get("stop"):
                last = event
            if text:
                texts.append(text)
                if self._streams:
                    self._exchange.line({**shape.piece(text), **({"logprobs": found} if found else {})})
                else:
                    chances.extend(found)
        answer = "".join(texts)
        end = shape.ended(
            "length" if last.get("stop_type") == "limit" else "stop", text="" if self._streams else answer
        )
        if with_context:
            end["context"] = prompt + self.tokens(answer, special=False)
        end = shape.with_counters(end, self._counters(last), chances)
        if self._streams:
            self._exchange.line(end)
            self._exchange.end()
        else:
            self._exchange.json(end)

    def _obeyed(self, prompt: list[int], schema: dict[str, Any]) -> bool:
        """Whether llama.cpp can make a grammar of `schema`. When it cannot, it does without, and says nothing.

        So a token is made certain that no JSON begins with: it comes only where there is no grammar. The prompt is the
        request's own, and stays evaluated for it.
        """
        known, key = self._runner.obeyed, json.dumps(schema)
        if key not in known:
            if len(known) >= _KNOWN_SCHEMAS:
                known.clear()
            probe = {
                "prompt": prompt,
                "json_schema": schema,
                "logit_bias": [[self.tokens(_NO_JSON, special=False)[0], _CERTAIN]],
                "n_predict": 1,
                "stream": True,
                "cache_prompt": True,
            }
            events = self._runner.events("/completion", probe, self._exchange.client)
            text = "".join(event.get("content", "") for event in events)
            known[key] = not text.lstrip().startswith(_NO_JSON)
        return known[key]

    def _cut(self, prompt: list[int]) -> list[int]:
        """A prompt that is too long as Ollama's runner cuts it: its first tokens and the last of what half fits."""
        size = self._settings.context_length
        if len(prompt) <= size or not self._truncates:
            return prompt
        kept = min(max(self._options["num_keep"], 0), size - 1)
        return prompt[:kept] + prompt[len(prompt) - (size - kept) // 2 :]

    def _counters(self, last: dict[str, Any]) -> dict[str, int]:
        timings = last.get("timings", {})
        counters = {
            **_durations(self._begun, self._loaded),
            "prompt_eval_count": last.get("tokens_evaluated", 0),
            "prompt_eval_duration": round(timings.get("prompt_ms", 0) * 1_000_000),
            "eval_count": last.get("tokens_predicted", 0),
            "eval_duration": round(timings.get("predicted_ms", 0) * 1_000_000),
        }
        return {name: value for name, value in counters.items() if value}


def _durations(begun: int, loaded: int) -> dict[str, int]:
    return {"total_duration": time.monotonic_ns() - begun, "load_duration": loaded - begun}


def _called(runner: Runner, path: str, payload: Any) -> Any:
    try:
        return runner.call(path, payload)
    except RunnerRefusedError as error:
        raise Refusal(error.status, error.body) from error
    except RunnerDiedError as error:
        raise Refusal(500, CRASHED) from error


def _refuse_without_embeddings(model: Model) -> None:
    if not model.embeds:
        raise Refusal(501, "This server does not support embeddings. Start it with `--embeddings`")


def _embedded(runner: Runner, texts: list[str], *, truncate: bool, refusal: int) -> tuple[list[list[float]], int]:
    """A vector for each text, and the number of tokens; a text that is too long is cut, or refused."""
    size = runner.settings.context_length
    inputs = []
    for text in texts:
        tokens = _called(runner, "/tokenize", {"content": text, "add_special": True, "parse_special": True})["tokens"]
        if len(tokens) > size:
            if not truncate:
                raise Refusal(refusal, "the input length exceeds the context length")
            tokens = tokens[: size - 1]
        if not tokens:
            raise Refusal(refusal, "input is empty")
        inputs.append(tokens)
    answers = _called(runner, "/embedding", {"content": inputs, "embd_normalize": 2})
    vectors = [answer["embedding"][0] for answer in answers]
    # llama.cpp writes null for what is no number.
    if not all(isinstance(value, (int, float)) for vector in vectors for value in vector):
        raise Refusal(refusal, "embedding contains NaN or Inf values")
    return vectors, sum(map(len, inputs))


def _shortened(vector: list[float], dimensions: int) -> list[float]:
    if not 0 < dimensions < len(vector):
        return vector
    kept = vector[:dimensions]
    norm = sum(value * value for value in kept) ** 0.5 or 1.0
    return [value / norm for value in kept]


def _chance(entry: dict[str, Any]) -> dict[str, Any]:
    """llama.cpp's probabilities of one token in Ollama's shape."""

    def named(item: dict[str, Any]) -> dict[str, Any]:
        shaped = {"token": item["token"], "logprob": item["logprob"]}
        return {**shaped, "bytes": item["bytes"]} if item.get("bytes") else shaped

    shaped = named(entry)
    if entry.get("top_logprobs"):
        shaped["top_logprobs"] = [named(item) for item in entry["top_logprobs"]]
    return shaped
