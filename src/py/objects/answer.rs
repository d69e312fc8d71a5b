//! The folded answer of a stream as the object that a reply that was not streamed would have been.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use super::counters;
use super::json;
use super::tool_calls;
use crate::wire::{Answer, Shape};

/// The last line's object with the whole text, thinking and tool calls put in, in Ollama's native shape. Where no line
/// had a text, nothing is made up for it.
pub fn to_python(py: Python<'_>, answer: &Answer) -> PyResult<Py<PyAny>> {
    if answer.shape == Shape::OpenAi {
        return native(py, answer);
    }
    let record = json::to_python(py, &answer.last_line)?;
    let Ok(record) = record.cast_into::<PyDict>() else {
        return native(py, answer);
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

/// Sets `key` to the whole text, or to the first thing that stood in its place and is none, as it came. An answer of
/// thinking or tool calls alone has an empty text, as such a reply has that was not streamed.
fn put_text(
    py: Python<'_>,
    target: &Bound<'_, PyDict>,
    key: &Bound<'_, PyString>,
    answer: &Answer,
) -> PyResult<()> {
    if !answer.non_text_line.is_empty() {
        let record = super::json::to_python(py, &answer.non_text_line)?;
        let holder = record.get_item(intern!(py, "message")).unwrap_or(record);
        if let Ok(odd) = holder.get_item(key) {
            return target.set_item(key, odd);
        }
    }
    let silent = answer.thinking.is_empty() && answer.tool_lines.is_empty();
    if answer.has_text || !silent {
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

/// Every call of every line that had some. Native lines are read again whole, so that no number in the arguments is
/// rounded; calls of the compatible endpoint are brought into the native form.
fn tool_calls<'py>(py: Python<'py>, answer: &Answer) -> PyResult<Bound<'py, PyList>> {
    let calls = PyList::empty(py);
    if answer.shape == Shape::OpenAi {
        for call in &answer.tool_calls {
            let function = PyDict::new(py);
            function.set_item(intern!(py, "name"), &call.name)?;
            let arguments = tool_calls::arguments_from_text(py, &call.arguments)?;
            function.set_item(intern!(py, "arguments"), arguments)?;
            let record = PyDict::new(py);
            if let Some(id) = &call.id {
                record.set_item(intern!(py, "id"), id)?;
            }
            record.set_item(intern!(py, "function"), function)?;
            calls.append(record)?;
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

/// An answer whose last line is not of the native shape (the `/v1` endpoints).
fn native(py: Python<'_>, answer: &Answer) -> PyResult<Py<PyAny>> {
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
