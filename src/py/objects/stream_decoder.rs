//! `StreamDecoder`: the decoder of `wire`, for code that has its own connection.
//!
//! The bytes `{"response":"Hel","done":false}\n` become a list of one `Delta`, whose `content` is `"Hel"`. The decoder
//! sits behind a lock that is never held while Python code can run.

use std::sync::Mutex;

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::bytes_like::BytesLike;
use super::delta::PyDelta;
use crate::error::{Error, Kind};
use crate::py::interpreter::errors;
use crate::py::interpreter::exit::enter;
use crate::sync::lock;
use crate::wire::{Batch, Decoder, ItemRef, MAX_LINE, Shape, StreamFormat, WireError};

/// Decodes the body of one streamed reply, in pieces of any size.
///
/// `framing` is `"ndjson"`, `"sse"` (server-sent events, the `/v1` endpoints) or `"auto"`, which decides by the first
/// bytes. A line of more than `max_line` bytes (default 64 MiB) is an error. What comes out does not depend on how
/// the body was cut. Safe to share between threads.
#[pyclass(frozen, module = "metagpt_ollama_rs")]
pub struct StreamDecoder {
    state: Mutex<DecoderState>,
}

struct DecoderState {
    decoder: Decoder,
    /// Kept for its memory; empty between calls.
    batch: Batch,
    finished: bool,
    /// A line was a part of an answer.
    answering: bool,
    /// What was wrong with the line that ended the decoding.
    refusal: Option<String>,
    /// The text of the deltas so far.
    partial: String,
    /// The thinking of the deltas so far.
    thinking: String,
}

impl DecoderState {
    /// Notes the text of the deltas of `batch`. The result is how many of them may be handed on, and what is wrong with
    /// the one after them, if one is wrong: a report of progress is, in the middle of an answer.
    fn check_batch(&mut self, batch: &Batch) -> (usize, Option<String>) {
        for (index, item) in batch.iter().enumerate() {
            match item {
                ItemRef::Content { text, .. } => {
                    self.answering = true;
                    self.partial.push_str(text);
                }
                ItemRef::Delta(delta) if delta.is_answer(None) => {
                    self.answering |= delta.shape != Shape::Other;
                    self.partial.push_str(&delta.content);
                    self.thinking.push_str(&delta.thinking);
                }
                ItemRef::Delta(delta) if delta.error.is_some() => {}
                ItemRef::Delta(delta) if !self.answering && delta.is_progress() => {}
                ItemRef::Delta(delta) => return (index, Some(delta.refusal())),
            }
        }
        (batch.len(), None)
    }
}

/// The number of bytes that `value` is; a number beyond all memory is no limit.
fn byte_count(value: &Bound<'_, PyAny>) -> PyResult<usize> {
    let size = match value.extract::<usize>() {
        Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => {
            if value.gt(0)? {
                usize::MAX
            } else {
                0
            }
        }
        size => size?,
    };
    if size == 0 {
        return Err(PyValueError::new_err(
            "max_line is a number of bytes above 0",
        ));
    }
    Ok(size)
}

#[pymethods]
impl StreamDecoder {
    #[new]
    #[pyo3(signature = (framing = "auto", max_line = None))]
    fn new(framing: &str, max_line: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        enter();
        let format = match framing {
            "auto" => StreamFormat::Auto,
            "ndjson" => StreamFormat::Ndjson,
            "sse" => StreamFormat::Sse,
            other => {
                let text = format!("framing is \"auto\", \"ndjson\" or \"sse\", not {other:?}");
                return Err(PyValueError::new_err(text));
            }
        };
        let max_line = max_line.map_or(Ok(MAX_LINE), byte_count)?;
        let decoder = Decoder::new(format, max_line);
        Ok(Self {
            state: Mutex::new(DecoderState {
                decoder,
                batch: Batch::default(),
                finished: false,
                answering: false,
                refusal: None,
                partial: String::new(),
                thinking: String::new(),
            }),
        })
    }

    /// The deltas of the lines that `data` (bytes, bytearray or memoryview) completes.
    ///
    /// Raises `DecodeError` for a line that is no JSON object, not UTF-8 or too long, and for one that is neither part
    /// of an answer nor an error (nor, before an answer, a report of progress), with the deltas before it in the
    /// exception's `deltas`, and the text of all so far in `partial`; from then on every call raises it. Raises
    /// `ClosedError` after `finish()`.
    #[pyo3(signature = (data, /))]
    fn feed<'py>(&self, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        enter();
        let py = data.py();
        let Some(bytes) = BytesLike::of(data)? else {
            let text = format!(
                "feed() takes bytes, bytearray or memoryview, not {}",
                data.get_type().name()?
            );
            return Err(PyTypeError::new_err(text));
        };
        if lock(&self.state).finished {
            let text = "the decoder is finished: each reply needs a StreamDecoder of its own";
            return Err(errors::to_python(py, Error::new(Kind::Closed, text)));
        }
        self.decode(py, |decoder, batch| decoder.feed(bytes.as_slice(), batch))
    }

    /// The deltas that the end of the body completes: those of a last line without a line feed.
    ///
    /// Raises `DecodeError` as `feed` does. It does not judge whether the reply was complete: that is so if the last
    /// delta has `done`. Called again, it returns an empty list.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        enter();
        if std::mem::replace(&mut lock(&self.state).finished, true) {
            return Ok(PyList::empty(py));
        }
        self.decode(py, Decoder::finish)
    }

    /// How many lines matched a template, and how many there were. For tests.
    #[getter]
    fn hits(&self) -> (u64, u64) {
        enter();
        lock(&self.state).decoder.hits()
    }
}

impl StreamDecoder {
    fn decode<'py>(
        &self,
        py: Python<'py>,
        work: impl FnOnce(&mut Decoder, &mut Batch) -> Result<(), WireError>,
    ) -> PyResult<Bound<'py, PyList>> {
        let (mut batch, count, failure) = {
            let mut state = lock(&self.state);
            let mut batch = std::mem::take(&mut state.batch);
            if state.refusal.is_some() {
                (batch, 0, state.refusal.clone())
            } else {
                let result = work(&mut state.decoder, &mut batch);
                let (count, refusal) = state.check_batch(&batch);
                state.refusal.clone_from(&refusal);
                let failure = refusal.or_else(|| result.err().map(|error| error.to_string()));
                (batch, count, failure)
            }
        };
        let deltas = PyDelta::list(py, &batch, count);
        batch.clear();
        lock(&self.state).batch = batch;
        let deltas = deltas?;
        if let Some(failure) = failure {
            let (partial, thinking) = {
                let state = lock(&self.state);
                (state.partial.clone(), state.thinking.clone())
            };
            let context = errors::FailureContext {
                partial: &partial,
                thinking: &thinking,
                ..errors::FailureContext::default()
            };
            let error = errors::in_context(py, Error::new(Kind::Decode, failure), &context);
            error.value(py).setattr(intern!(py, "deltas"), deltas)?;
            return Err(error);
        }
        Ok(deltas)
    }
}
