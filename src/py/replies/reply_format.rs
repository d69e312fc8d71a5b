//! A whole reply as Python sees it.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyString};

use super::stats;
use crate::error::{Cause, Error, Kind};
use crate::excerpt::excerpt;
use crate::http::{Reply, ReplyLines, refuse_repetition};
use crate::py::interpreter::errors::{self, Context};
use crate::py::objects::counters;
use crate::py::objects::json;
use crate::py::objects::tool_calls;
use crate::stats::Trace;
use crate::wire::{Batch, Decoder, Fold, ItemRef, MAX_LINE, Outcome, StreamFormat, vectors};

/// As much of a body goes into an exception.
const MAX_SHOWN: usize = 64 << 10;

/// What becomes of the body of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyFormat {
    /// `(body, content type)`, untouched.
    Bytes,
    /// The parsed JSON; a body of several lines is folded into one object. Refuses what says `error` or `done: false`.
    Answer,
    /// As `Answer`; refuses what goes in circles, too.
    Guarded,
    /// As `Answer`, and `None` for the empty body with which some endpoints answer.
    Status,
    /// The vectors of a reply of embeddings: `(bytearray of f32, rows, width, dict of everything else that is known)`.
    Vectors,
}

impl ReplyFormat {
    /// The format that the clients call `name`.
    pub fn named(name: &str) -> PyResult<Self> {
        match name {
            "answer" => Ok(Self::Answer),
            "guarded" => Ok(Self::Guarded),
            "bytes" => Ok(Self::Bytes),
            "status" => Ok(Self::Status),
            "vectors" => Ok(Self::Vectors),
            _ => Err(PyValueError::new_err(format!(
                "{name:?} is no format of a reply: answer, guarded, bytes, status or vectors"
            ))),
        }
    }

    /// The result of a call, or the exception for its failure. Ends `trace`; what that noted is the caller's to log.
    pub fn to_python(
        self,
        py: Python<'_>,
        reply: Result<Reply, Error>,
        trace: &Trace,
    ) -> PyResult<Py<PyAny>> {
        let result = match reply {
            Ok(reply) => self.read(py, reply, trace),
            Err(error) => Err(failed(py, error, "", "", trace)),
        };
        trace.finish(None);
        result
    }

    fn read(self, py: Python<'_>, reply: Reply, trace: &Trace) -> PyResult<Py<PyAny>> {
        let blank = reply.body.iter().all(u8::is_ascii_whitespace);
        match self {
            Self::Bytes => {
                stats::note_body(&reply.body, trace);
                Ok((PyBytes::new(py, &reply.body), reply.content_type)
                    .into_pyobject(py)?
                    .into_any()
                    .unbind())
            }
            Self::Status if blank => Ok(py.None()),
            Self::Answer | Self::Guarded | Self::Status => {
                let value = answer(py, &reply, trace)?;
                stats::note_answer(value.bind(py), trace);
                if self == Self::Guarded {
                    guard(value.bind(py), &reply, trace)?;
                }
                Ok(value)
            }
            Self::Vectors => vectors(py, &reply, trace),
        }
    }
}

/// Ends `trace` with `error`, which becomes an exception.
fn failed(py: Python<'_>, error: Error, partial: &str, thinking: &str, trace: &Trace) -> PyErr {
    trace.finish(Some(&error));
    let context = Context {
        model: &trace.call().model,
        endpoint: &trace.call().endpoint,
        partial,
        thinking,
    };
    errors::in_context(py, error, &context)
}

fn vectors(py: Python<'_>, reply: &Reply, trace: &Trace) -> PyResult<Py<PyAny>> {
    let vectors = match py.detach(|| vectors::read(&reply.body)) {
        Ok(vectors) if vectors.failed => return answer(py, reply, trace),
        Ok(vectors) => vectors,
        Err(error) => {
            let call = trace.call();
            let kind = if error.is_damage() {
                Kind::Decode
            } else {
                Kind::Protocol
            };
            let error = Error::new(kind, error.to_string())
                .at(&format!("{}{}", call.host, call.endpoint))
                .after(reply.status)
                .with_cause(Cause::Vectors);
            return Err(failed(py, reply.secrets.redact(error), "", "", trace));
        }
    };
    trace.note_answer(&vectors.counters, None, true);
    let bytes = PyByteArray::new_with(py, size_of_val(vectors.values.as_slice()), |bytes| {
        for (bytes, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(&vectors.values) {
            *bytes = value.to_ne_bytes();
        }
        Ok(())
    })?;
    let known = PyDict::new(py);
    if let Some(model) = &vectors.model {
        known.set_item(intern!(py, "model"), model)?;
    }
    counters::put(&known, &vectors.counters)?;
    Ok((bytes, vectors.rows, vectors.width, known)
        .into_pyobject(py)?
        .into_any()
        .unbind())
}

/// Refuses a whole answer, or thinking, that goes in circles.
fn guard(value: &Bound<'_, PyAny>, reply: &Reply, trace: &Trace) -> PyResult<()> {
    let text = |holder: &Bound<'_, PyAny>, name: &str| -> String {
        let text = holder.get_item(name).ok();
        let text = text.as_ref().and_then(|text| text.cast::<PyString>().ok());
        text.map_or_else(String::new, |text| text.to_string_lossy().into_owned())
    };
    let (content, thinking) = match value.get_item("message") {
        Ok(message) => (text(&message, "content"), text(&message, "thinking")),
        Err(_) => (text(value, "response"), text(value, "thinking")),
    };
    refuse_repetition(&content, &thinking)
        .map_err(|error| refusal(value.py(), reply, error, &content, &thinking, trace))
}

/// Ends `trace` with an `error` of a reply that is all there, which becomes an exception.
fn refusal(
    py: Python<'_>,
    reply: &Reply,
    error: Error,
    partial: &str,
    thinking: &str,
    trace: &Trace,
) -> PyErr {
    let call = trace.call();
    let url = format!("{}{}", call.host, call.endpoint);
    let error = error.at(&url).after(reply.status);
    failed(py, reply.secrets.redact(error), partial, thinking, trace)
}

fn answer(py: Python<'_>, reply: &Reply, trace: &Trace) -> PyResult<Py<PyAny>> {
    let fail = |kind, message: String, partial: &str, thinking: &str| {
        let mut error = Error::new(kind, message);
        if kind == Kind::MidStream {
            let shown = reply.body.get(..MAX_SHOWN).unwrap_or(&reply.body);
            let message = excerpt(&error.message, 600);
            let text = Some(error.message.clone());
            error = error
                .with_message(message)
                .with_server_text(text, shown.to_vec());
        }
        refusal(py, reply, error, partial, thinking, trace)
    };
    if let Some(value) = single(py, reply)? {
        let Ok(record) = value.cast::<PyDict>() else {
            let kind = value.get_type().name()?;
            let message = format!("The reply is JSON, but a {kind} and no object.");
            return Err(fail(Kind::Protocol, message, "", ""));
        };
        let said_error = match record.get_item(intern!(py, "error"))? {
            Some(error) => error.is_truthy()?,
            None => false,
        };
        let cut = matches!(record.get_item(intern!(py, "done"))?, Some(done) if !done.is_truthy()?);
        if said_error || cut {
            let answer = folded(reply).map_err(|fault| fault.raise(&fail))?;
            return Err(match answer.outcome {
                Outcome::Failed(text) => refused(&fail, text),
                _ => fail(
                    Kind::Incomplete,
                    "the server cut the answer short: it says \"done\": false".to_owned(),
                    &answer.content,
                    &answer.thinking,
                ),
            });
        }
        tool_calls::settle_reply(record)?;
        return Ok(value.unbind());
    }
    let answer = folded(reply).map_err(|fault| fault.raise(&fail))?;
    match &answer.outcome {
        Outcome::Complete => crate::py::objects::answer::to_python(py, &answer).map_err(|error| {
            if !json::is_illegible(py, &error) {
                return error;
            }
            let message = format!("The reply cannot be converted: {error}.");
            let failure = fail(Kind::Decode, message, &answer.content, &answer.thinking);
            failure.set_cause(py, Some(error));
            failure
        }),
        Outcome::Failed(text) => Err(refused(&fail, text.clone())),
        Outcome::Truncated => Err(fail(
            Kind::Incomplete,
            "the answer ended without \"done\": true".to_owned(),
            &answer.content,
            &answer.thinking,
        )),
    }
}

fn refused(fail: &impl Fn(Kind, String, &str, &str) -> PyErr, text: String) -> PyErr {
    fail(Kind::MidStream, text, "", "")
}

/// The body as one JSON value, if it is one.
fn single<'py>(py: Python<'py>, reply: &Reply) -> PyResult<Option<Bound<'py, PyAny>>> {
    json::if_legible(py, json::to_python(py, &reply.body))
}

/// Why a body cannot be read as lines, and the answer up to there.
struct UnreadableBody(Kind, String, Box<crate::wire::Answer>);

impl UnreadableBody {
    fn raise(self, fail: &impl Fn(Kind, String, &str, &str) -> PyErr) -> PyErr {
        let Self(kind, text, answer) = self;
        fail(kind, text, &answer.content, &answer.thinking)
    }
}

/// The body as lines. Those of an answer are held to what a stream's are.
fn folded(reply: &Reply) -> Result<crate::wire::Answer, UnreadableBody> {
    let framing = if reply.content_type.contains("text/event-stream") {
        StreamFormat::Sse
    } else {
        StreamFormat::Auto
    };
    let mut decoder = Decoder::new(framing, MAX_LINE.max(reply.body.len()));
    let mut batch = Batch::default();
    let result = decoder
        .feed(&reply.body, &mut batch)
        .and_then(|()| decoder.finish(&mut batch));
    let mut failure = result.err().map(|error| (Kind::Decode, error.to_string()));
    if reply.endpoint.lines == Some(ReplyLines::Answer)
        && let Some((at, refusal)) = stray(&batch)
    {
        batch.truncate(at);
        failure = Some((Kind::Protocol, refusal));
    }
    let mut fold = Fold::default();
    fold.batch(&batch);
    match failure {
        None => Ok(fold.finish()),
        Some((kind, text)) => Err(UnreadableBody(kind, text, Box::new(fold.finish()))),
    }
}

/// The first line that is no part of the answer, and why that is so.
fn stray(batch: &Batch) -> Option<(usize, String)> {
    for (at, entry) in batch.iter().enumerate() {
        if let ItemRef::Delta(delta) = entry {
            if delta.done || delta.error.is_some() {
                return None;
            }
            if !delta.is_answer(None) {
                return Some((at, delta.refusal()));
            }
        }
    }
    None
}
