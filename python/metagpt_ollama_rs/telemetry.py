"""OpenTelemetry's spans and metrics of every call, by its conventions for generative AI.

::

    pip install 'metagpt-ollama-rs[telemetry]'

    from metagpt_ollama_rs import telemetry

    telemetry.instrument()

From then on each call of any client of the process, MetaGPT's provider's too, is a span and adds to the metrics, with
the providers that OpenTelemetry is set up with, or those that are given. A chat is the span ``chat llama3.2`` of the
kind CLIENT, a child of the span that is current where the call is made, in threads and tasks, too; it ends when the
reply does, for a stream that is left early when it is closed or dropped. Its attributes are those of
`event_attributes`, which names the release of the conventions. Requests for anything else than answers and embeddings
are spans as well (``pull llama3.2``, ``list``). A call that fails has the status ERROR and the exception as an event;
one that was cancelled or left has ``error.type`` ``closed`` and no status. A retry is an event of its span.

Metrics, of chats, completions and embeddings:

================================================  =========  ====================================================
``gen_ai.client.operation.duration``              ``s``      each call, failed ones with ``error.type``
``gen_ai.client.operation.time_to_first_chunk``   ``s``      streams
``gen_ai.client.token.usage``                     {token}    ``gen_ai.token.type`` is ``input`` or ``output``
================================================  =========  ====================================================

Prompts and answers are never recorded: they are why people run models at home, and the opt-in of the conventions
(``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``) is not heeded. Of an exception whose text may quote an answer
(`DecodeError`, for one, or what a callback of the caller's has raised) only the class is recorded. What a server says
of a failure is recorded, but for a tool call that it could not parse, which it quotes.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs import _core, events
from metagpt_ollama_rs.errors import (
    ClosedError,
    ConnectError,
    InterruptedStreamError,
    MidStreamError,
    RequestTimeout,
    ResponseError,
)

if TYPE_CHECKING:
    from metagpt_ollama_rs.events import CallEvent

__all__ = ["instrument", "uninstrument"]

_SCOPE = "metagpt_ollama_rs"
_SCHEMA = "https://opentelemetry.io/schemas/gen-ai/1.42.0"

# The requests that the metrics are about.
_INFERENCE = {"chat", "text_completion", "embeddings"}
_DIMENSIONS = (
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "server.address",
    "server.port",
)
# The boundaries of the buckets that the conventions recommend: seconds, numbers of tokens.
_SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
_TOKENS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864]

# The exceptions whose texts quote nothing of a reply but what the server says of a failure.
_PLAIN = (ClosedError, ConnectError, InterruptedStreamError, MidStreamError, RequestTimeout, ResponseError)
# With these words Ollama quotes what a model has said: "error parsing tool call: raw='{\"city\": …', err=…".
_QUOTES = "parsing tool call"
_WITHHELD = "(not recorded: it may quote the reply)"

_installed: _Instrumentation | None = None


def instrument(tracer_provider: Any = None, meter_provider: Any = None, *, propagate: bool = False) -> None:
    """Makes spans and metrics of every call that begins from now on.

    Args:
        tracer_provider: makes the spans; None: OpenTelemetry's global one.
        meter_provider: makes the metrics; None: the global one.
        propagate: sends the context of the span along with the request (``traceparent`` and whatever else
            OpenTelemetry's propagators write). Ollama itself makes nothing of it; a gateway before it may.

    A second call replaces the first one's settings. Raises ImportError, which says what to install, where
    ``opentelemetry-api`` is missing.
    """
    global _installed
    made = _Instrumentation(tracer_provider, meter_provider, propagate)
    uninstrument()
    _installed = made
    events.add_hook(made)


def uninstrument() -> None:
    """Makes no more spans and metrics; those of calls under way are finished. Does nothing without `instrument`."""
    global _installed
    if _installed is not None:
        events.remove_hook(_installed)
        _installed = None


class _Instrumentation:
    """A hook that makes spans and metrics of events."""

    def __init__(self, tracer_provider: Any, meter_provider: Any, propagate: bool) -> None:
        import inspect

        try:
            import opentelemetry.context as context
            import opentelemetry.metrics as metrics
            import opentelemetry.propagate as propagation
            import opentelemetry.trace as trace
        except ImportError as error:
            raise ImportError(
                "telemetry needs the package opentelemetry-api: pip install 'metagpt-ollama-rs[telemetry]'"
            ) from error
        self._trace = trace
        self._get_context_value = context.get_value
        self._suppressed_by = getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")
        self._inject = propagation.inject if propagate else None
        self._tracer = trace.get_tracer(_SCOPE, _core.__version__, tracer_provider, schema_url=_SCHEMA)
        meter = metrics.get_meter(_SCOPE, _core.__version__, meter_provider, schema_url=_SCHEMA)
        # Releases before 1.30 take no advice on buckets, and no context of a measurement.
        advisory = "explicit_bucket_boundaries_advisory"
        takes_advice = advisory in inspect.signature(metrics.Meter.create_histogram).parameters
        self._takes_context = "context" in inspect.signature(metrics.Histogram.record).parameters

        def histogram(name: str, unit: str, description: str, boundaries: list[Any]) -> Any:
            advice = {advisory: boundaries} if takes_advice else {}
            return meter.create_histogram(name, unit, description, **advice)

        self._duration = histogram(
            "gen_ai.client.operation.duration", "s", "How long a request took, retries included.", _SECONDS
        )
        self._first_chunk = histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "From the request to the first byte of a stream.",
            _SECONDS,
        )
        self._tokens = histogram("gen_ai.client.token.usage", "{token}", "Tokens of prompts and answers.", _TOKENS)
        # All events of a call run in one context of their own, so this is the span of the call at hand.
        self._span: ContextVar[Any] = ContextVar("metagpt_ollama_rs_span", default=None)

    def __call__(self, event: CallEvent) -> None:
        if event.name == "begin":
            self._begin(event)
            return
        span = self._span.get()
        if span is None:
            return
        if event.name == "retry":
            span.add_event("retry", {"retry.reason": event.text}, _nanoseconds(event.time))
        elif event.name == "end":
            self._end(span, event)

    def _begin(self, event: CallEvent) -> None:
        if self._get_context_value(self._suppressed_by):
            # The span of another call may be there, in one of whose hooks this call is made.
            self._span.set(None)
            return
        attributes = event.attributes
        name = attributes.get("gen_ai.operation.name") or event.endpoint
        model = attributes.get("gen_ai.request.model")
        span = self._tracer.start_span(
            f"{name} {model}" if model else name,
            kind=self._trace.SpanKind.CLIENT,
            attributes=attributes,
            start_time=_nanoseconds(event.time),
        )
        self._span.set(span)
        if self._inject is not None:
            self._inject(event.headers, context=self._trace.set_span_in_context(span))

    def _end(self, span: Any, event: CallEvent) -> None:
        if span.is_recording():
            span.set_attributes(event.attributes)
            if event.outcome == "failed":
                self._note_failure(span, event)
        span.end(_nanoseconds(event.time))
        if event.attributes.get("gen_ai.operation.name") in _INFERENCE:
            self._measure(span, event)

    def _note_failure(self, span: Any, event: CallEvent) -> None:
        error, description = event.error, None
        if isinstance(error, _PLAIN) and _QUOTES not in str(error):
            span.record_exception(error, timestamp=_nanoseconds(event.time))
            description = str(error)
        elif error is not None:
            withheld = {"exception.message": _WITHHELD, "exception.stacktrace": _WITHHELD}
            span.record_exception(error, attributes=withheld, timestamp=_nanoseconds(event.time))
        span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, description))

    def _measure(self, span: Any, event: CallEvent) -> None:
        attributes = event.attributes
        dimensions = {name: attributes[name] for name in _DIMENSIONS if name in attributes}
        failure = {"error.type": attributes["error.type"]} if "error.type" in attributes else {}
        # With the span in the context, an exemplar of a measurement leads to it.
        context = (self._trace.set_span_in_context(span),) if self._takes_context else ()

        def record(histogram: Any, value: Any, more: dict[str, str]) -> None:
            if value is not None:
                histogram.record(value, {**dimensions, **more}, *context)

        record(self._duration, event.seconds, failure)
        record(self._first_chunk, attributes.get("gen_ai.response.time_to_first_chunk"), {})
        for kind in ("input", "output"):
            record(self._tokens, attributes.get(f"gen_ai.usage.{kind}_tokens"), {"gen_ai.token.type": kind})


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
