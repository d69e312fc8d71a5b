//! One conversion from the crate's error to the exceptions of `metagpt_ollama_rs.errors`.
//!
//! The choice of the class is made in Python (`failures.from_core`), next to the tree of classes, so that it stands in
//! one place; this module hands over the facts. An error of the kind `timeout` in the phase `idle` becomes
//! `from_core("timeout", message="…", phase="idle", …)`, which makes a `RequestTimeoutError` of it.

use pyo3::exceptions::{PyException, PyRuntimeError, PyStopAsyncIteration, PyStopIteration};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

use super::exit::enter;
use crate::error::{Cause, Error, Phase};
use crate::wire::repetition::cut_repetition;

static FROM_CORE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The exception for `error`.
pub fn to_python(py: Python<'_>, error: Error) -> PyErr {
    in_context(py, error, &FailureContext::default())
}

/// What is known of a call that has failed.
#[derive(Clone, Copy, Debug, Default)]
pub struct FailureContext<'a> {
    pub model: &'a str,
    /// The path of the endpoint, by which the table of endpoints knows it.
    pub endpoint: &'a str,
    /// The text, and the thinking, that had arrived.
    pub partial: &'a str,
    pub thinking: &'a str,
}

/// The exception for `error`, with what had arrived before it; a text that repeats itself is cut after its second
/// block.
pub fn in_context(py: Python<'_>, error: Error, context: &FailureContext<'_>) -> PyErr {
    build(py, error, context).unwrap_or_else(|failure| failure)
}

#[expect(clippy::needless_pass_by_value, reason = "an error is reported once")]
fn build(py: Python<'_>, error: Error, context: &FailureContext<'_>) -> PyResult<PyErr> {
    let from_core = FROM_CORE.get_or_try_init(py, || {
        py.import("metagpt_ollama_rs.failures")?
            .getattr("from_core")
            .map(Bound::unbind)
    })?;
    let facts = PyDict::new(py);
    facts.set_item("message", &error.message)?;
    facts.set_item("url", &error.url)?;
    facts.set_item("status", error.status)?;
    facts.set_item("server_text", &error.server_text)?;
    facts.set_item("body", error.body.as_deref())?;
    facts.set_item("phase", error.phase.map(Phase::name))?;
    facts.set_item("seconds", error.seconds)?;
    facts.set_item("retry_after", error.retry_after)?;
    facts.set_item("loaded", error.loaded)?;
    facts.set_item("available", &error.available)?;
    facts.set_item("quota", error.quota)?;
    facts.set_item("proxy", &error.proxy)?;
    facts.set_item("location", &error.location)?;
    facts.set_item("cause", error.cause.map(Cause::name))?;
    facts.set_item(
        "model",
        Some(context.model).filter(|model| !model.is_empty()),
    )?;
    facts.set_item(
        "endpoint",
        Some(context.endpoint).filter(|path| !path.is_empty()),
    )?;
    let (mut partial, mut thinking) = (context.partial, context.thinking);
    let mut repeated = None;
    if let Some(repetition) = error.repetition {
        let text = if repetition.thinking {
            &mut thinking
        } else {
            &mut partial
        };
        *text = cut_repetition(text, repetition.period);
        let block = text.len().saturating_sub(repetition.period);
        repeated = Some(text.get(block..).unwrap_or_default());
    }
    facts.set_item("repeated", repeated)?;
    facts.set_item("partial", partial)?;
    facts.set_item("partial_thinking", thinking)?;
    let exception = from_core
        .bind(py)
        .call((error.kind.name(),), Some(&facts))?;
    Ok(PyErr::from_value(exception))
}

/// The first `limit` characters of `text` on one line, without what moves a terminal's cursor or turns a text's
/// direction.
#[pyfunction]
pub fn excerpt(text: &Bound<'_, PyString>, limit: usize) -> String {
    enter();
    crate::excerpt::excerpt(&text.to_string_lossy(), limit)
}

/// The value, or `None` where an `Exception` was raised. What stops a program, such as a `KeyboardInterrupt`, is raised
/// on.
pub fn none_if_raised<T>(py: Python<'_>, result: PyResult<T>) -> PyResult<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The `RuntimeError` for a stream or awaitable that is used in a way that asyncio forbids.
pub fn runtime_error(message: &'static str) -> PyErr {
    PyRuntimeError::new_err(message)
}

/// `error`, with which an awaitable or an iterator may fail. A `StopIteration` that a callback has raised would be
/// taken for a result there, or for the end, and becomes a `RuntimeError` as in generators (PEP 479).
pub fn wrap_stop_iteration(py: Python<'_>, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyStopIteration>(py)
        && !error.is_instance_of::<PyStopAsyncIteration>(py)
    {
        return error;
    }
    let wrapped = PyRuntimeError::new_err("the callback raised StopIteration");
    wrapped.set_cause(py, Some(error));
    wrapped
}
