//! `StreamDecoder` and `Delta`: the decoder of `wire`, for code that has its own connection.
//!
//! The decoder sits behind a lock that is never held while Python code can run; deltas are immutable.

use std::sync::{Arc, Mutex};

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyString};

use super::bytes_like::BytesLike;
use super::content_line;
use super::counters::{add_counter_getters, with_counter_getters};
use super::json;
use super::tool_calls;
use crate::error::{Error, Kind};
use crate::py::interpreter::errors;
use crate::py::interpreter::exit::enter;
use crate::sync::lock;
use crate::wire::{
    self, Batch, Counters, Decoder, ItemRef, MAX_LINE, Shape, SharedFields, StreamFormat,
    Timestamp, WireError,
};

/// Decodes the body of one streamed reply, in pieces of any size.
///
/// `framing` is `"ndjson"`, `"sse"` (server-sent events, the `/v1` endpoints) or `"auto"`, which decides by the first
/// bytes. A line of more than `max_line` bytes (default 64 MiB) is an error. What comes out does not depend on how
/// the body was cut. Safe to share between threads.
#[pyclass(frozen, module = "metagpt_ollama_rs")]
pub struct StreamDecoder {
    state: Mutex<State>,
}

struct State {
    decoder: Decoder,
    /// Kept for its memory; empty between calls.
    batch: Batch,
    finished: bool,
    /// A part of an answer has come.
    answering: bool,
    /// A line was no part of one.
    refusal: Option<String>,
    /// The text, and the thinking, of the deltas so far.
    partial: String,
    thinking: String,
}

impl State {
    /// How many deltas of the batch are good, and what is wrong with the next one. Reports of progress are no error, but
    /// in an answer they are.
    fn refuse(&mut self, batch: &Batch) -> (usize, Option<String>) {
        for (at, entry) in batch.iter().enumerate() {
            match entry {
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
                ItemRef::Delta(delta) => return (at, Some(delta.refusal())),
            }
        }
        (batch.len(), None)
    }
}

/// A number of bytes; one that is beyond all memory is no limit.
fn size(value: &Bound<'_, PyAny>) -> PyResult<usize> {
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
        let framing = match framing {
            "auto" => StreamFormat::Auto,
            "ndjson" => StreamFormat::Ndjson,
            "sse" => StreamFormat::Sse,
            other => {
                let text = format!("framing is \"auto\", \"ndjson\" or \"sse\", not {other:?}");
                return Err(PyValueError::new_err(text));
            }
        };
        let max_line = max_line.map_or(Ok(MAX_LINE), size)?;
        let decoder = Decoder::new(framing, max_line);
        Ok(Self {
            state: Mutex::new(State {
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
    /// Raises `DecodeError` for a line that is no JSON object, not UTF-8 or too long, and for one that is neither part of
    /// an answer nor an error (nor, before an answer, a report of progress), with the deltas before it in the exception's
    /// `deltas`, and the text of all so far in `partial`; from then on every call raises it. Raises `ClosedError` after
    /// `finish()`.
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

    /// How many lines were read by the fast path, and how many in all.
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
        let (mut batch, good, failure) = {
            let mut state = lock(&self.state);
            let mut batch = std::mem::take(&mut state.batch);
            if state.refusal.is_some() {
                (batch, 0, state.refusal.clone())
            } else {
                let result = work(&mut state.decoder, &mut batch);
                let (good, refusal) = state.refuse(&batch);
                state.refusal.clone_from(&refusal);
                let failure = refusal.or_else(|| result.err().map(|error| error.to_string()));
                (batch, good, failure)
            }
        };
        let deltas = Delta::list(py, &batch, good);
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

/// What one line of a streamed reply says.
///
/// Fields that the line does not have are None, `""` or an empty list. Durations are nanoseconds. Two deltas are equal
/// if their lines hold equal JSON.
#[pyclass(frozen, module = "metagpt_ollama_rs")]
pub struct Delta {
    said: Said,
    content: Py<PyString>,
    raw: PyOnceLock<Py<PyDict>>,
}

enum Said {
    /// A content line: everything beside its text.
    Text {
        shared: Arc<SharedFields>,
        created_at: Timestamp,
    },
    Full(Box<wire::Delta>),
}

impl Delta {
    /// The first `count` items of `batch`, as a list of deltas.
    fn list<'py>(py: Python<'py>, batch: &Batch, count: usize) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for entry in batch.iter().take(count) {
            let (said, content) = match entry {
                ItemRef::Content { text, created_at } => {
                    let Some(shared) = &batch.shared else {
                        return Err(PyValueError::new_err(
                            "a content line without its shared fields",
                        ));
                    };
                    (
                        Said::Text {
                            shared: Arc::clone(shared),
                            created_at: *created_at,
                        },
                        text,
                    )
                }
                ItemRef::Delta(delta) => {
                    (Said::Full(Box::new(delta.clone())), delta.content.as_str())
                }
            };
            let content = PyString::new(py, content).unbind();
            list.append(Bound::new(
                py,
                Self {
                    said,
                    content,
                    raw: PyOnceLock::new(),
                },
            )?)?;
        }
        Ok(list)
    }

    fn full(&self) -> Option<&wire::Delta> {
        match &self.said {
            Said::Full(delta) => Some(delta),
            Said::Text { .. } => None,
        }
    }

    fn counters(&self) -> Counters {
        self.full()
            .map_or_else(Counters::default, |delta| delta.counters)
    }

    fn object<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyDict>> {
        let raw = self.raw.get_or_try_init(py, || -> PyResult<Py<PyDict>> {
            match &self.said {
                Said::Full(delta) if delta.line.is_empty() => Ok(PyDict::new(py).unbind()),
                Said::Full(delta) => Ok(json::to_python(py, &delta.line)?
                    .cast_into::<PyDict>()?
                    .unbind()),
                Said::Text { shared, created_at } => {
                    let text = self.content.bind(py);
                    Ok(content_line::build(py, shared, created_at.as_str(), text)?.unbind())
                }
            }
        })?;
        Ok(raw.bind(py))
    }
}

with_counter_getters! {
#[pymethods]
impl Delta {
    /// The piece of the answer's text.
    #[getter]
    fn content(&self, py: Python<'_>) -> Py<PyString> {
        enter();
        self.content.clone_ref(py)
    }

    /// The piece of the model's thinking.
    #[getter]
    fn thinking(&self) -> &str {
        enter();
        self.full().map_or("", |delta| delta.thinking.as_str())
    }

    /// The tool calls in Ollama's form: `{"id": …, "function": {"name": …, "arguments": {…}}}`. Arguments that came as
    /// JSON text become objects; a piece of the `/v1` endpoints that is no JSON by itself stays a str.
    #[getter]
    fn tool_calls<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        enter();
        let Some(delta) = self.full().filter(|delta| !delta.tool_calls.is_empty()) else {
            return Ok(PyList::empty(py));
        };
        if delta.shape == Shape::OpenAi {
            let calls = PyList::empty(py);
            for call in &delta.tool_calls {
                calls.append(native_call(py, call)?)?;
            }
            return Ok(calls);
        }
        let mut calls = tool_calls::of_reply(self.object(py)?)?;
        if let Some(found) = &calls
            && !tool_calls::are_parsed(found)?
        {
            // `raw` stays what the line says.
            let copy = json::to_python(py, &delta.line)?.cast_into::<PyDict>()?;
            tool_calls::parse_arguments_of_reply(&copy)?;
            calls = tool_calls::of_reply(&copy)?;
        }
        let calls = calls.and_then(|calls| calls.cast_into::<PyList>().ok());
        Ok(calls.unwrap_or_else(|| PyList::empty(py)))
    }

    /// Whether the reply says that it is complete.
    #[getter]
    fn done(&self) -> bool {
        enter();
        self.full().is_some_and(|delta| delta.done)
    }

    #[getter]
    fn done_reason(&self) -> Option<&str> {
        enter();
        self.full()?.done_reason.as_deref()
    }

    #[getter]
    fn model(&self) -> Option<&str> {
        enter();
        match &self.said {
            Said::Text { shared, .. } => Some(&shared.model),
            Said::Full(delta) => delta.model.as_deref(),
        }
    }

    #[getter]
    fn created_at(&self) -> Option<&str> {
        enter();
        match &self.said {
            Said::Text { created_at, .. } => Some(created_at.as_str()),
            Said::Full(delta) => delta.created_at.as_deref(),
        }
    }

    #[getter]
    fn role(&self) -> Option<&str> {
        enter();
        match &self.said {
            Said::Text { shared, .. } => (shared.shape == Shape::Chat).then_some("assistant"),
            Said::Full(delta) => delta.role.as_deref(),
        }
    }

    /// The text of an error line.
    #[getter]
    fn error(&self) -> Option<&str> {
        enter();
        self.full()?.error.as_deref()
    }

    /// The whole JSON object of the line, parsed when first asked for; `{}` for the `[DONE]` of an event stream.
    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        enter();
        self.object(py).cloned()
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        enter();
        let Ok(other) = other.cast::<Self>() else {
            return Ok(py.NotImplemented());
        };
        let other = other.get();
        let equal = self.done() == other.done() && self.object(py)?.eq(other.object(py)?)?;
        Ok(equal.into_pyobject(py)?.to_owned().into_any().unbind())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        enter();
        let mut fields = vec![("content", self.content.bind(py).repr()?)];
        if !self.thinking().is_empty() {
            fields.push(("thinking", PyString::new(py, self.thinking()).repr()?));
        }
        let calls = self.tool_calls(py)?;
        if !calls.is_empty() {
            fields.push(("tool_calls", calls.repr()?));
        }
        if let Some(error) = self.error() {
            fields.push(("error", PyString::new(py, error).repr()?));
        }
        if self.done() {
            fields.push(("done", PyString::new(py, "True")));
        }
        if let Some(reason) = self.done_reason() {
            fields.push(("done_reason", PyString::new(py, reason).repr()?));
        }
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Ok(format!("Delta({})", fields.join(", ")))
    }
}
}

/// A tool call of the `/v1` endpoints in Ollama's form.
fn native_call<'py>(py: Python<'py>, call: &wire::ToolCall) -> PyResult<Bound<'py, PyDict>> {
    let function = PyDict::new(py);
    if let Some(index) = call.index {
        function.set_item(intern!(py, "index"), index)?;
    }
    function.set_item(intern!(py, "name"), &call.name)?;
    let arguments = json::to_python(py, call.arguments.as_bytes());
    let arguments = json::if_legible(py, arguments)?
        .unwrap_or_else(|| PyString::new(py, &call.arguments).into_any());
    function.set_item(intern!(py, "arguments"), arguments)?;
    let object = PyDict::new(py);
    if let Some(id) = &call.id {
        object.set_item(intern!(py, "id"), id)?;
    }
    object.set_item(intern!(py, "function"), function)?;
    Ok(object)
}
