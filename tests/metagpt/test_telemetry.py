"""The calls of MetaGPT's provider, whose clients nobody else has made, are spans of OpenTelemetry."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from metagpt_ollama_rs import telemetry

CHAT = "chat scripted"


@pytest.mark.parametrize("stream", [True, False])
def test_a_question_is_a_span_of_its_task(ask, answers, server, stream):
    exporter, provider, meters = InMemorySpanExporter(), TracerProvider(), MeterProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("role")
    answers("Hello world")

    async def act(llm):
        with tracer.start_as_current_span("action"):
            return await llm.aask("hi", stream=stream)

    telemetry.instrument(provider, meters)
    try:
        outcome = ask("ours", act)
    finally:
        telemetry.uninstrument()
        meters.shutdown()
    assert outcome.failure == ""
    (action,) = [span for span in exporter.get_finished_spans() if span.name == "action"]
    (chat,) = [span for span in exporter.get_finished_spans() if span.name == CHAT]
    assert chat.parent.span_id == action.context.span_id
    assert chat.attributes["gen_ai.request.model"] == "scripted"
    assert chat.attributes["server.port"] == server.port
    assert chat.attributes["gen_ai.usage.output_tokens"] > 0
    assert chat.attributes.get("gen_ai.request.stream", False) is stream
