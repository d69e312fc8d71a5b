//! A whole reply as Python sees it.
//!
//! The body `{"message":{"content":"Hi"},"done":true}` becomes a dict, or stays bytes; of the body
//! `{"embeddings":[[0.5,1.0]],"model":"m"}` the vectors become `(bytearray, 1, 2, {"model": "m"})`.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyString};

use super::stats;
use crate::error::{Cause, Error, Kind};
use crate::excerpt::excerpt;
use crate::http::{Reply, ReplyLines, refuse_repetition};
use crate::py::interpreter::errors::{self, FailureContext};
use crate::py::objects::answer;
use crate::py::objects::counters;
use crate::py::objects::json;
use crate::py::objects::tool_calls;
use crate::stats::{ReplyEnd, Trace};
use crate::wire::{
    Answer, Batch, Decoder, Fold, ItemRef, MAX_LINE, Outcome, StreamFormat, vectors,
};

/// So many bytes of a body go into an exception.
const MAX_SHOWN: usize = 64 << 10;

/// What becomes of the body of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyFormat {
    /// `(body, content type)`, untouched.
    Bytes,
    /// The parsed JSON; a body of several lines is folded into one object. An object with an `error`, or with
    /// `done: false`, is an error.
    Answer,
    /// As `Answer`; a text or thinking that repeats itself is an error, too.
    Guarded,
    /// As `Answer`, and `None` for the empty body with which some endpoints answer.
    Status,
    /// The vectors of a reply of embeddings: `(bytearray of f32, rows, width, dict of the other fields)`.
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

    /// The result of a call, or the exception for its failure. Ends `trace`, whose notes are not logged here.
    pub fn to_python(
        self,
        py: Python<'_>,
        reply: Result<Reply, Error>,
        trace: &Trace,
    ) -> PyResult<Py<PyAny>> {
        let result = match reply {
            Ok(reply) => self.read(py, reply, trace),
            Err(error) => Err(end_with_error(py, error, "", "", trace)),
        };
        trace.finish(None);
        result
    }

    fn read(self, py: Python<'_>, reply: Reply, trace: &Trace) -> PyResult<Py<PyAny>> {
        let is_blank = reply.body.iter().all(u8::is_ascii_whitespace);
        match self {
            Self::Bytes => {
                stats::note_body(&reply.body, trace);
                Ok((PyBytes::new(py, &reply.body), reply.content_type)
                    .into_pyobject(py)?
                    .into_any()
                    .unbind())
            }
            Self::Status if is_blank => Ok(py.None()),
            Self::Answer | Self::Guarded | Self::Status => {
                let value = read_answer(py, &reply, trace)?;
                stats::note_answer(value.bind(py), trace);
                if self == Self::Guarded {
                    check_repetition(value.bind(py), &reply, trace)?;
                }
                Ok(value)
            }
            Self::Vectors => read_vectors(py, &reply, trace),
        }
    }
}

/// Ends `trace` with `error`, which becomes an exception.
fn end_with_error(
    py: Python<'_>,
    error: Error,
    partial: &str,
    thinking: &str,
    trace: &Trace,
) -> PyErr {
    trace.finish(Some(&error));
    let context = FailureContext {
        model: &trace.call().model,
        endpoint: &trace.call().endpoint,
        partial,
        thinking,
    };
    errors::in_context(py, error, &context)
}

fn read_vectors(py: Python<'_>, reply: &Reply, trace: &Trace) -> PyResult<Py<PyAny>> {
    let vectors = match py.detach(|| vectors::read(&reply.body)) {
        Ok(vectors) if vectors.failed => return read_answer(py, reply, trace),
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
            return Err(end_with_error(
                py,
                reply.secrets.redact(error),
                "",
                "",
                trace,
            ));
        }
    };
    let end = ReplyEnd {
        counters: vectors.counters,
        done_reason: None,
        model: vectors.model.clone(),
    };
    trace.note_answer(end, true);
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

/// An error for a text, or a thinking, that repeats itself.
fn check_repetition(value: &Bound<'_, PyAny>, reply: &Reply, trace: &Trace) -> PyResult<()> {
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
        .map_err(|error| end_with_reply_error(value.py(), reply, error, &content, &thinking, trace))
}

/// Ends `trace` with an `error` that a reply says or is, which becomes an exception.
fn end_with_reply_error(
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
    end_with_error(py, reply.secrets.redact(error), partial, thinking, trace)
}

/// The JSON object of the body, or the exception for what it says.
fn read_answer(py: Python<'_>, reply: &Reply, trace: &Trace) -> PyResult<Py<PyAny>> {
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
        end_with_reply_error(py, reply, error, partial, thinking, trace)
    };
    if let Some(value) = parse_single(py, reply)? {
        let Ok(record) = value.cast::<PyDict>() else {
            let kind = value.get_type().name()?;
            let message = format!("The reply is JSON, but a {kind} and no object.");
            return Err(fail(Kind::Protocol, message, "", ""));
        };
        let has_error = match record.get_item(intern!(py, "error"))? {
            Some(error) => error.is_truthy()?,
            None => false,
        };
        let is_unfinished =
            matches!(record.get_item(intern!(py, "done"))?, Some(done) if !done.is_truthy()?);
        if has_error || is_unfinished {
            let answer =
                read_lines(reply).map_err(|unreadable| unreadable.into_exception(&fail))?;
            return Err(match answer.outcome {
                Outcome::Failed(text) => server_error(&fail, text),
                _ => fail(
                    Kind::Incomplete,
                    "the server cut the answer short: it says \"done\": false".to_owned(),
                    &answer.content,
                    &answer.thinking,
                ),
            });
        }
        tool_calls::parse_arguments_of_reply(record)?;
        return Ok(value.unbind());
    }
    let answer = read_lines(reply).map_err(|unreadable| unreadable.into_exception(&fail))?;
    match &answer.outcome {
        Outcome::Complete => answer::to_python(py, &answer).map_err(|error| {
            if !json::is_not_json(py, &error) {
                return error;
            }
            let message = format!("The reply cannot be converted: {error}.");
            let failure = fail(Kind::Decode, message, &answer.content, &answer.thinking);
            failure.set_cause(py, Some(error));
            failure
        }),
        Outcome::Failed(text) => Err(server_error(&fail, text.clone())),
        Outcome::Truncated => Err(fail(
            Kind::Incomplete,
            "the answer ended without \"done\": true".to_owned(),
            &answer.content,
            &answer.thinking,
        )),
    }
}

/// The exception for an error that the server reports in its reply.
fn server_error(fail: &impl Fn(Kind, String, &str, &str) -> PyErr, text: String) -> PyErr {
    fail(Kind::MidStream, text, "", "")
}

/// The body as one JSON value, if it is one.
fn parse_single<'py>(py: Python<'py>, reply: &Reply) -> PyResult<Option<Bound<'py, PyAny>>> {
    json::none_if_not_json(py, json::to_python(py, &reply.body))
}

/// Why a body cannot be read as lines, and the answer before the line that is to blame.
struct UnreadableBody {
    kind: Kind,
    message: String,
    answer: Box<Answer>,
}

impl UnreadableBody {
    fn into_exception(self, fail: &impl Fn(Kind, String, &str, &str) -> PyErr) -> PyErr {
        let answer = self.answer;
        fail(self.kind, self.message, &answer.content, &answer.thinking)
    }
}

/// The lines of the body, folded into one answer. A line that would be an error in a streamed answer is one here, too.
fn read_lines(reply: &Reply) -> Result<Answer, UnreadableBody> {
    let format = if reply.content_type.contains("text/event-stream") {
        StreamFormat::Sse
    } else {
        StreamFormat::Auto
    };
    let mut decoder = Decoder::new(format, MAX_LINE.max(reply.body.len()));
    let mut batch = Batch::default();
    let result = decoder
        .feed(&reply.body, &mut batch)
        .and_then(|()| decoder.finish(&mut batch));
    let mut failure = result.err().map(|error| (Kind::Decode, error.to_string()));
    if reply.endpoint.lines == Some(ReplyLines::Answer)
        && let Some((index, refusal)) = first_foreign_line(&batch)
    {
        batch.truncate(index);
        failure = Some((Kind::Protocol, refusal));
    }
    let mut fold = Fold::default();
    fold.add_batch(&batch);
    match failure {
        None => Ok(fold.finish()),
        Some((kind, message)) => Err(UnreadableBody {
            kind,
            message,
            answer: Box::new(fold.finish()),
        }),
    }
}

/// The index of the first line that is no part of an answer, and what is wrong with it.
fn first_foreign_line(batch: &Batch) -> Option<(usize, String)> {
    for (index, item) in batch.iter().enumerate() {
        if let ItemRef::Delta(delta) = item {
            if delta.done || delta.error.is_some() {
                return None;
            }
            if !delta.is_answer(None) {
                return Some((index, delta.refusal()));
            }
        }
    }
    None
}
