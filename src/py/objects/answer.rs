//! The answer of a stream as the object that would have come as a whole reply.
//!
//! The lines `{"response":"Hel","done":false}` and `{"response":"lo","done":true,"eval_count":2}`, folded into one
//! answer, become `{"response": "Hello", "done": True, "eval_count": 2}`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use super::counters;
use super::json;
use super::tool_calls;
use crate::wire::{Answer, Shape};

/// The object of the last line with the whole text, thinking and tool calls put in, in the shape of Ollama's native
/// endpoints. Where no line had a text, there is none.
pub fn to_python(py: Python<'_>, answer: &Answer) -> PyResult<Py<PyAny>> {
    if answer.shape == Shape::OpenAi {
        return new_record(py, answer);
    }
    let record = json::to_python(py, &answer.last_line)?;
    let Ok(record) = record.cast_into::<PyDict>() else {
        return new_record(py, answer);
    };
    if answer.shape == Shape::Generate {
        put_text(py, &record, intern!(py, "response"), answer)?;
        put_thinking(py, &record, answer)?;
    } else if answer.shape == Shape::Chat {
        let message = match record
            .get_item(intern!(py, "message"))?
            .map(Bound::cast_into::<PyDict>)
        {
            Some(Ok(message)) => message,
            _ => PyDict::new(py),
        };
        fill_message(py, &message, answer)?;
        record.set_item(intern!(py, "message"), message)?;
    }
    Ok(record.into_any().unbind())
}

fn fill_message(py: Python<'_>, message: &Bound<'_, PyDict>, answer: &Answer) -> PyResult<()> {
    message.set_item(
        intern!(py, "role"),
        answer.role.as_deref().unwrap_or("assistant"),
    )?;
    put_text(py, message, intern!(py, "content"), answer)?;
    put_thinking(py, message, answer)?;
    let calls = tool_calls(py, answer)?;
    if !calls.is_empty() {
        message.set_item(intern!(py, "tool_calls"), calls)?;
    }
    Ok(())
}

/// Sets `key` to the whole text, or to the first value in the place of a text that is no text, as it came. An answer of
/// thinking or tool calls alone has an empty text, as in a reply that was not streamed.
fn put_text(
    py: Python<'_>,
    target: &Bound<'_, PyDict>,
    key: &Bound<'_, PyString>,
    answer: &Answer,
) -> PyResult<()> {
    if !answer.non_text_line.is_empty() {
        let record = json::to_python(py, &answer.non_text_line)?;
        let holder = record.get_item(intern!(py, "message")).unwrap_or(record);
        if let Ok(value) = holder.get_item(key) {
            return target.set_item(key, value);
        }
    }
    let only_text = answer.thinking.is_empty() && answer.tool_lines.is_empty();
    if answer.has_text || !only_text {
        target.set_item(key, &answer.content)?;
    }
    Ok(())
}

fn put_thinking(py: Python<'_>, target: &Bound<'_, PyDict>, answer: &Answer) -> PyResult<()> {
    if !answer.thinking.is_empty() {
        target.set_item(intern!(py, "thinking"), &answer.thinking)?;
    }
    Ok(())
}

/// The tool calls of all lines. Native lines are read again as a whole, so that no number in the arguments is rounded;
/// calls of a `/v1` endpoint get the form that native ones have.
fn tool_calls<'py>(py: Python<'py>, answer: &Answer) -> PyResult<Bound<'py, PyList>> {
    let calls = PyList::empty(py);
    if answer.shape == Shape::OpenAi {
        for call in &answer.tool_calls {
            let arguments = tool_calls::arguments_from_text(py, &call.arguments)?;
            let id = call.id.as_deref();
            calls.append(tool_calls::new_call(py, id, None, &call.name, arguments)?)?;
        }
        return Ok(calls);
    }
    for line in &answer.tool_lines {
        let record = json::to_python(py, line)?;
        let holder = record.get_item("message").unwrap_or(record);
        if let Ok(found) = holder.get_item("tool_calls") {
            calls.call_method1("extend", (found,))?;
        }
    }
    tool_calls::parse_arguments(&calls)?;
    Ok(calls)
}

/// The object of an answer whose last line has not the shape of Ollama's native endpoints: one of a `/v1` endpoint.
fn new_record(py: Python<'_>, answer: &Answer) -> PyResult<Py<PyAny>> {
    let record = PyDict::new(py);
    let message = PyDict::new(py);
    fill_message(py, &message, answer)?;
    record.set_item("model", &answer.model)?;
    record.set_item("created_at", &answer.created_at)?;
    record.set_item("message", message)?;
    record.set_item("done", true)?;
    record.set_item("done_reason", &answer.done_reason)?;
    counters::put(&record, &answer.counters)?;
    Ok(record.into_any().unbind())
}
