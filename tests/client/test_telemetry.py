"""OpenTelemetry: spans and metrics of calls, seen by the in-memory exporters of its SDK."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import SpanKind, StatusCode

from metagpt_ollama_rs import AsyncClient, Client, Retry, errors, events, telemetry
from metagpt_ollama_rs.testing import Reply, ScriptedServer, faults

MESSAGES = [{"role": "user", "content": "a secret question"}]
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)


class Exported:
    """What the SDK has got."""

    def __init__(self) -> None:
        self._spans, self._metrics = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meter_provider = MeterProvider(metric_readers=[self._metrics])
        self.tracer = self.tracer_provider.get_tracer("test")

    @property
    def spans(self) -> list[ReadableSpan]:
        """Those of calls, without those that the tests make."""
        scope = "metagpt_ollama_rs"
        return [span for span in self._spans.get_finished_spans() if span.instrumentation_scope.name == scope]

    @property
    def span(self) -> ReadableSpan:
        (span,) = self.spans
        return span

    def points(self, name: str) -> list[Any]:
        """The data points of a metric."""
        data = self._metrics.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def exported() -> Iterator[Exported]:
    exported = Exported()
    telemetry.instrument(exported.tracer_provider, exported.meter_provider)
    yield exported
    telemetry.uninstrument()
    exported.meter_provider.shutdown()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def _async_chat(url: str, **arguments: Any) -> None:
    async with AsyncClient(url) as client:
        reply = await client.chat("m", MESSAGES, **arguments)
        if arguments.get("stream"):
            async for _ in reply:
                pass


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_is_a_span(ollama_server: ScriptedServer, exported: Exported, way: str, stream: bool) -> None:
    ollama_server.answer("Hello world")
    options = {"temperature": 0.5, "top_k": 20, "seed": 7, "num_predict": 9, "stop": ["END"]}
    with exported.tracer.start_as_current_span("of the caller") as parent:
        if way == "async":
            asyncio.run(_async_chat(ollama_server.url, stream=stream, options=options, format="json"))
        else:
            reply: Any = Client(ollama_server.url).chat("m", MESSAGES, stream=stream, options=options, format="json")
            list(reply if stream else ())
        assert trace.get_current_span() is parent
    span = exported.span
    assert (span.name, span.kind, span.status.status_code) == ("chat m", SpanKind.CLIENT, StatusCode.UNSET)
    assert span.parent is not None
    assert span.parent.span_id == parent.get_span_context().span_id
    assert span.start_time is not None
    assert span.end_time is not None
    assert parent.start_time <= span.start_time < span.end_time  # type: ignore[attr-defined]
    found = attributes(span)
    if stream:
        assert found.pop("gen_ai.response.time_to_first_chunk") > 0
        assert found.pop("gen_ai.request.stream") is True
    assert found.pop("gen_ai.usage.input_tokens") > 0
    assert found.pop("gen_ai.usage.output_tokens") > 0
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "ollama",
        "gen_ai.system": "ollama",
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_k": 20.0,
        "gen_ai.request.seed": 7,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.output.type": "json",
        "gen_ai.response.model": "m",
        "gen_ai.response.finish_reasons": ("stop",),
        "server.address": "127.0.0.1",
        "server.port": ollama_server.port,
    }
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/gen-ai/1.42.0"


def test_the_names_are_those_of_the_conventions(ollama_server: ScriptedServer, exported: Exported) -> None:
    ollama_server.answer()
    client = Client(ollama_server.url)
    list(client.chat("m", MESSAGES, stream=True, format="json", options={"seed": 1, "temperature": 1, "stop": "x"}))
    client.embed("m", "text", dimensions=8)
    if not hasattr(gen_ai_attributes, "GEN_AI_REQUEST_STREAM"):
        pytest.skip("the package opentelemetry-semantic-conventions is older than the names")
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI")}
    used = {name for span in exported.spans for name in attributes(span)}
    assert {name for name in used if name.startswith("gen_ai.")} <= known
    assert "ollama" not in {name.split(".")[0] for name in used}


def test_other_requests_are_spans(ollama_server: ScriptedServer, exported: Exported) -> None:
    ollama_server.answer("Hello")
    ollama_server.on("POST", "/api/pull", Reply.ndjson([{"status": "success"}]))
    client = Client(ollama_server.url)
    client.generate("m", "Hi")
    client.embed("m", ["one", "two"], dimensions=4)
    client.embeddings("m", "one")
    client.list()
    client.pull("m", on_progress=lambda report: None)
    assert [span.name for span in exported.spans] == [
        "text_completion m",
        "embeddings m",
        "embeddings m",
        "list",
        "pull m",
    ]
    embedding = attributes(exported.spans[1])
    assert embedding["gen_ai.embeddings.dimension.count"] == 4
    assert embedding["gen_ai.usage.input_tokens"] == 2
    # What is no inference is no part of the metrics.
    operations = {
        point.attributes["gen_ai.operation.name"] for point in exported.points("gen_ai.client.operation.duration")
    }
    assert operations == {"text_completion", "embeddings"}


def test_metrics_have_the_buckets_of_the_conventions(ollama_server: ScriptedServer, exported: Exported) -> None:
    ollama_server.answer("Hello world")
    client = Client(ollama_server.url)
    for stream in (False, True, True):
        reply: Any = client.chat("m", MESSAGES, stream=stream)
        list(reply if stream else ())
    dimensions = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "ollama",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "m",
        "server.address": "127.0.0.1",
        "server.port": ollama_server.port,
    }
    (duration,) = exported.points("gen_ai.client.operation.duration")
    assert (duration.count, dict(duration.attributes), duration.explicit_bounds) == (3, dimensions, SECONDS)
    (first,) = exported.points("gen_ai.client.operation.time_to_first_chunk")
    assert (first.count, dict(first.attributes), first.explicit_bounds) == (2, dimensions, SECONDS)
    tokens = {point.attributes["gen_ai.token.type"]: point for point in exported.points("gen_ai.client.token.usage")}
    assert set(tokens) == {"input", "output"}
    for kind, point in tokens.items():
        assert dict(point.attributes) == {**dimensions, "gen_ai.token.type": kind}
        assert point.count == 3
        assert point.explicit_bounds[:4] == (1, 4, 16, 64)
        of_spans = [attributes(span)[f"gen_ai.usage.{kind}_tokens"] for span in exported.spans]
        assert point.sum == sum(of_spans)


def test_a_failed_call_has_an_error(ollama_server: ScriptedServer, exported: Exported) -> None:
    client = Client(ollama_server.url, retries=Retry(2, first=0.001))
    ollama_server.on("POST", "/api/chat", Reply.error("model 'm' not found", 404))
    with pytest.raises(errors.ModelNotFoundError) as raised:
        client.chat("m", MESSAGES)
    line = {"model": "m", "message": {"role": "assistant", "content": "Hel"}, "done": False}
    ollama_server.on("POST", "/api/chat", Reply.ndjson([line, {"error": "out of memory"}]))
    with pytest.raises(errors.MidStreamError):
        list(client.chat("m", MESSAGES, stream=True))
    ollama_server.on("POST", "/api/chat", faults.close_at_once())
    with pytest.raises(errors.ConnectError):
        client.chat("m", MESSAGES)
    missing, broken, refused = exported.spans
    assert [attributes(span)["error.type"] for span in exported.spans] == [
        "ModelNotFoundError",
        "MidStreamError",
        "ConnectError",
    ]
    for span in exported.spans:
        assert span.status.status_code == StatusCode.ERROR
        assert span.events[-1].name == "exception"
    assert missing.status.description == str(raised.value)
    assert attributes(missing)["http.response.status_code"] == 404
    assert (missing.events[0].attributes or {})["exception.type"] == "metagpt_ollama_rs.errors.ModelNotFoundError"
    assert "gen_ai.response.time_to_first_chunk" in attributes(broken)
    assert [event.name for event in refused.events] == ["retry", "retry", "exception"]
    assert attributes(refused)["http.request.resend_count"] == 2
    failures = exported.points("gen_ai.client.operation.duration")
    assert {point.attributes["error.type"] for point in failures} == {
        "ModelNotFoundError",
        "MidStreamError",
        "ConnectError",
    }


@pytest.mark.parametrize("way", ["broken line", "callback", "repetition", "tool call", "tool call in the stream"])
def test_what_may_quote_an_answer_is_not_recorded(ollama_server: ScriptedServer, exported: Exported, way: str) -> None:
    if way == "broken line":
        ollama_server.on("POST", "/api/chat", Reply.ndjson(["a secret answer"]))
    elif way.startswith("tool call"):
        words = "error parsing tool call: raw='a secret answer', err=unexpected end of JSON input"
        reply = Reply.ndjson([{"error": words}]) if "stream" in way else Reply.error(words, 500)
        ollama_server.on("POST", "/api/chat", reply)
    else:
        ollama_server.answer("a secret answer" if way == "callback" else "a secret answer " * 1000)

    def on_text(text: str) -> None:
        raise ValueError(f"a secret answer: {text}")

    async def main() -> None:
        client = AsyncClient(ollama_server.url)
        if way == "callback":
            await client.stream_text("/api/chat", {"model": "m", "messages": MESSAGES}, on_text)
        else:
            async for _ in await client.chat("m", MESSAGES, stream=True, repetition_guard=True):
                pass

    with pytest.raises((errors.OllamaError, ValueError), match="secret") as raised:
        asyncio.run(main())
    span = exported.span
    assert "secret" not in span.to_json()
    assert span.status.status_code == StatusCode.ERROR
    (exception,) = span.events
    assert exception.attributes is not None
    assert str(exception.attributes["exception.type"]).endswith(type(raised.value).__name__)


def test_nothing_of_prompts_and_answers_is_recorded(ollama_server: ScriptedServer, exported: Exported) -> None:
    ollama_server.answer("a secret answer")
    client = Client(ollama_server.url)
    client.chat("m", MESSAGES)
    list(client.generate("m", "a secret prompt", system="secret", stream=True))
    client.embed("m", "secret")
    assert len(exported.spans) == 3
    assert not any("secret" in span.to_json() for span in exported.spans)


@pytest.mark.parametrize("way", ["close", "drop", "cancel"])
def test_a_stream_that_is_left_ends_its_span(ollama_server: ScriptedServer, exported: Exported, way: str) -> None:
    ollama_server.on("POST", "/api/chat", Reply.chat("Hello world").gated(1))

    async def main() -> None:
        stream = await AsyncClient(ollama_server.url).chat("m", MESSAGES, stream=True)
        await stream.__anext__()
        task = asyncio.ensure_future(stream.__anext__())
        await asyncio.sleep(0)
        assert exported.spans == []
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    if way == "cancel":
        asyncio.run(main())
    else:
        stream: Any = Client(ollama_server.url).chat("m", MESSAGES, stream=True)
        next(stream)
        assert exported.spans == []
        if way == "close":
            stream.close()
        else:
            del stream
    span = exported.span
    assert (span.status.status_code, span.events) == (StatusCode.UNSET, ())
    assert attributes(span)["error.type"] == "closed"


def test_tasks_and_threads_have_parents_of_their_own(ollama_server: ScriptedServer, exported: Exported) -> None:
    ollama_server.answer("Hello")
    parents: dict[int, str] = {}

    async def task(client: AsyncClient, number: int) -> None:
        with exported.tracer.start_as_current_span("task") as parent:
            parents[parent.get_span_context().span_id] = f"model-{number}"
            if number % 2:
                await client.chat(f"model-{number}", MESSAGES)
            else:
                async for _ in await client.chat(f"model-{number}", MESSAGES, stream=True):
                    await asyncio.sleep(0)

    async def main() -> None:
        client = AsyncClient(ollama_server.url)
        await asyncio.gather(*(task(client, number) for number in range(8)))

    def thread(number: int) -> None:
        with exported.tracer.start_as_current_span("thread") as parent:
            parents[parent.get_span_context().span_id] = f"model-{number}"
            client.chat(f"model-{number}", MESSAGES)

    asyncio.run(main())
    client = Client(ollama_server.url)
    threads = [threading.Thread(target=thread, args=(number,)) for number in range(8, 12)]
    for worker in threads:
        worker.start()
    for worker in threads:
        worker.join()
    children = {
        span.parent.span_id: attributes(span)["gen_ai.request.model"]
        for span in exported.spans
        if span.parent is not None
    }
    assert children == parents
    assert len(parents) == 12


def test_the_context_is_sent_only_where_that_is_asked_for(ollama_server: ScriptedServer, exported: Exported) -> None:
    ollama_server.answer("Hello")
    client = Client(ollama_server.url)
    client.list()
    assert "traceparent" not in {name.lower() for name, _ in ollama_server.last.headers}
    telemetry.instrument(exported.tracer_provider, exported.meter_provider, propagate=True)
    client.list()
    sent = {name.lower(): value for name, value in ollama_server.last.headers}
    span = exported.spans[-1].get_span_context()
    assert span is not None
    assert sent["traceparent"].startswith(f"00-{span.trace_id:032x}-{span.span_id:016x}-")
    # The caller's own goes before.
    client.list(headers={"traceparent": "mine"})
    assert {name.lower(): value for name, value in ollama_server.last.headers}["traceparent"] == "mine"


def test_instrumenting_again_replaces_and_uninstrumenting_ends(
    ollama_server: ScriptedServer, exported: Exported
) -> None:
    ollama_server.answer("Hello")
    client, second = Client(ollama_server.url), Exported()
    stream: Any = client.chat("m", MESSAGES, stream=True)
    telemetry.instrument(second.tracer_provider, second.meter_provider)
    client.list()
    list(stream)
    telemetry.uninstrument()
    telemetry.uninstrument()
    client.list()
    # A call under way stays where it began.
    assert [span.name for span in exported.spans] == ["chat m"]
    assert [span.name for span in second.spans] == ["list"]
    second.meter_provider.shutdown()


def test_suppressed_instrumentation_makes_no_spans(ollama_server: ScriptedServer, exported: Exported) -> None:
    token = context.attach(context.set_value(context._SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        Client(ollama_server.url).list()
    finally:
        context.detach(token)
    assert exported.spans == []
    Client(ollama_server.url).list()
    assert exported.span.name == "list"


def test_a_sampler_that_drops_all_costs_no_metrics(ollama_server: ScriptedServer) -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    exported = Exported()
    telemetry.instrument(TracerProvider(sampler=ALWAYS_OFF), exported.meter_provider)
    try:
        ollama_server.answer("Hello")
        Client(ollama_server.url).chat("m", MESSAGES)
    finally:
        telemetry.uninstrument()
    (duration,) = exported.points("gen_ai.client.operation.duration")
    assert duration.count == 1
    exported.meter_provider.shutdown()


def test_own_hooks_see_the_calls_as_well(ollama_server: ScriptedServer, exported: Exported) -> None:
    told: list[str] = []
    Client(ollama_server.url, on_event=lambda event: told.append(event.name)).list()
    assert told == ["begin", "end"]
    assert exported.span.name == "list"


def test_modules_are_there_by_their_names() -> None:
    code = "import metagpt_ollama_rs as m; m.telemetry.uninstrument(); m.events.add_hook; m.progress.ProgressTotal()"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_providers_the_global_ones_are_used_and_nothing_breaks(ollama_server: ScriptedServer) -> None:
    telemetry.instrument()
    try:
        Client(ollama_server.url).list()
    finally:
        telemetry.uninstrument()
    assert events._hooks == ()


def test_a_missing_package_is_named(tmp_path: Any) -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import metagpt_ollama_rs.telemetry as telemetry\n"
        "assert 'asyncio' not in sys.modules\n"
        "try: telemetry.instrument()\n"
        "except ImportError as error: print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert found.stdout.strip() == (
        "telemetry needs the package opentelemetry-api: pip install 'metagpt-ollama-rs[telemetry]'"
    )
    assert not found.stderr
