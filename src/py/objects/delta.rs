//! `Delta`: what one line of a streamed reply says, as Python sees it. A delta is immutable.
//!
//! ```text
//! {"message":{"role":"assistant","content":"Hi"},"done":false}  ->  delta.content == "Hi", delta.done is False
//! {"message":{"content":""},"done":true,"eval_count":3}         ->  delta.done is True, delta.eval_count == 3
//! ```

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyString};

use super::content_line;
use super::counters::{add_counter_getters, with_counter_getters};
use super::json;
use super::tool_calls;
use crate::py::interpreter::exit::enter;
use crate::wire::{self, Batch, Counters, ItemRef, Shape, SharedFields, Timestamp};

/// What one line of a streamed reply says.
///
/// Fields that the line does not have are None, `""` or an empty list. Durations are nanoseconds. Two deltas are equal
/// if their lines hold equal JSON.
#[pyclass(frozen, name = "Delta", module = "metagpt_ollama_rs")]
pub struct PyDelta {
    line: DeltaLine,
    content: Py<PyString>,
    raw: PyOnceLock<Py<PyDict>>,
}

enum DeltaLine {
    /// A content line: all that it says beside its text.
    Content {
        shared: Arc<SharedFields>,
        created_at: Timestamp,
    },
    /// Any other line.
    Other(Box<wire::Delta>),
}

impl PyDelta {
    /// The first `count` items of `batch`, as a list of deltas.
    pub fn list<'py>(py: Python<'py>, batch: &Batch, count: usize) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for item in batch.iter().take(count) {
            let (line, content) = match item {
                ItemRef::Content { text, created_at } => {
                    let Some(shared) = &batch.shared else {
                        return Err(PyValueError::new_err(
                            "a content line without its shared fields",
                        ));
                    };
                    (
                        DeltaLine::Content {
                            shared: Arc::clone(shared),
                            created_at: *created_at,
                        },
                        text,
                    )
                }
                ItemRef::Delta(delta) => (
                    DeltaLine::Other(Box::new(delta.clone())),
                    delta.content.as_str(),
                ),
            };
            let content = PyString::new(py, content).unbind();
            list.append(Bound::new(
                py,
                Self {
                    line,
                    content,
                    raw: PyOnceLock::new(),
                },
            )?)?;
        }
        Ok(list)
    }

    /// What the line says, if it is not a content line.
    fn other(&self) -> Option<&wire::Delta> {
        match &self.line {
            DeltaLine::Other(delta) => Some(delta),
            DeltaLine::Content { .. } => None,
        }
    }

    fn counters(&self) -> Counters {
        self.other()
            .map_or_else(Counters::default, |delta| delta.counters)
    }

    /// The JSON object of the line.
    fn object<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyDict>> {
        let raw = self.raw.get_or_try_init(py, || -> PyResult<Py<PyDict>> {
            match &self.line {
                DeltaLine::Other(delta) if delta.line.is_empty() => Ok(PyDict::new(py).unbind()),
                DeltaLine::Other(delta) => Ok(json::to_python(py, &delta.line)?
                    .cast_into::<PyDict>()?
                    .unbind()),
                DeltaLine::Content { shared, created_at } => {
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
impl PyDelta {
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
        self.other().map_or("", |delta| delta.thinking.as_str())
    }

    /// The tool calls in Ollama's form: `{"id": …, "function": {"name": …, "arguments": {…}}}`. Arguments that came as
    /// JSON text become objects; a piece of the `/v1` endpoints that is no JSON by itself stays a str.
    #[getter]
    fn tool_calls<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        enter();
        let Some(delta) = self.other().filter(|delta| !delta.tool_calls.is_empty()) else {
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
        self.other().is_some_and(|delta| delta.done)
    }

    #[getter]
    fn done_reason(&self) -> Option<&str> {
        enter();
        self.other()?.done_reason.as_deref()
    }

    #[getter]
    fn model(&self) -> Option<&str> {
        enter();
        match &self.line {
            DeltaLine::Content { shared, .. } => Some(&shared.model),
            DeltaLine::Other(delta) => delta.model.as_deref(),
        }
    }

    #[getter]
    fn created_at(&self) -> Option<&str> {
        enter();
        match &self.line {
            DeltaLine::Content { created_at, .. } => Some(created_at.as_str()),
            DeltaLine::Other(delta) => delta.created_at.as_deref(),
        }
    }

    #[getter]
    fn role(&self) -> Option<&str> {
        enter();
        match &self.line {
            DeltaLine::Content { shared, .. } => (shared.shape == Shape::Chat).then_some("assistant"),
            DeltaLine::Other(delta) => delta.role.as_deref(),
        }
    }

    /// The text of an error line.
    #[getter]
    fn error(&self) -> Option<&str> {
        enter();
        self.other()?.error.as_deref()
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
    let arguments = json::to_python(py, call.arguments.as_bytes());
    let arguments = json::none_if_not_json(py, arguments)?
        .unwrap_or_else(|| PyString::new(py, &call.arguments).into_any());
    tool_calls::new_call(py, call.id.as_deref(), call.index, &call.name, arguments)
}
