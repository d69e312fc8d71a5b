//! Tool calls as Python sees them: arguments are a dict, whatever form a server gave them.
//!
//! `{"function": {"name": "add", "arguments": "{\"a\": 1}"}}` becomes `{"function": {"name": "add", "arguments": {"a":
//! 1}}}`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use super::json;
use crate::py::interpreter::exit::enter;

/// The arguments that came as JSON text: a dict for none. Text that is no JSON stays a str, so that nothing of what the
/// model said is lost.
pub fn arguments_from_text<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    if text.trim().is_empty() {
        return Ok(PyDict::new(py).into_any());
    }
    match json::to_python(py, text.as_bytes()) {
        Err(error) if json::is_not_json(py, &error) => Ok(PyString::new(py, text).into_any()),
        value => value,
    }
}

/// A call in Ollama's form: `{"id": …, "function": {"index": …, "name": …, "arguments": …}}`, without an `id` and an
/// `index` where there is none.
pub fn new_call<'py>(
    py: Python<'py>,
    id: Option<&str>,
    index: Option<u64>,
    name: &str,
    arguments: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let function = PyDict::new(py);
    if let Some(index) = index {
        function.set_item(intern!(py, "index"), index)?;
    }
    function.set_item(intern!(py, "name"), name)?;
    function.set_item(intern!(py, "arguments"), arguments)?;
    let call = PyDict::new(py);
    if let Some(id) = id {
        call.set_item(intern!(py, "id"), id)?;
    }
    call.set_item(intern!(py, "function"), function)?;
    Ok(call)
}

/// Makes a dict of the arguments of `function`, as [`parse_arguments`] does.
#[pyfunction]
pub fn parse_tool_arguments(function: &Bound<'_, PyDict>) -> PyResult<()> {
    enter();
    parse_function(function)
}

fn parse_function(function: &Bound<'_, PyDict>) -> PyResult<()> {
    match parsed(function)? {
        Some(arguments) => function.set_item(intern!(function.py(), "arguments"), arguments),
        None => Ok(()),
    }
}

/// Makes dicts of the arguments in `calls`, a list as JSON has it: of JSON text, and of nothing. What is neither stays.
pub fn parse_arguments(calls: &Bound<'_, PyAny>) -> PyResult<()> {
    for call in calls.cast::<PyList>().into_iter().flatten() {
        if let Some(function) = function(&call)? {
            parse_function(&function)?;
        }
    }
    Ok(())
}

/// As [`parse_arguments`], of a reply or a line of one.
pub fn parse_arguments_of_reply(reply: &Bound<'_, PyDict>) -> PyResult<()> {
    match of_reply(reply)? {
        Some(calls) => parse_arguments(&calls),
        None => Ok(()),
    }
}

/// The `tool_calls` of a reply, or of its message.
pub fn of_reply<'py>(reply: &Bound<'py, PyDict>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = reply.py();
    let message = reply.get_item(intern!(py, "message"))?;
    let message = message.and_then(|message| message.cast_into::<PyDict>().ok());
    let holder = message.as_ref().unwrap_or(reply);
    holder.get_item(intern!(py, "tool_calls"))
}

/// Whether [`parse_arguments`] would leave `calls` as they are.
pub fn are_parsed(calls: &Bound<'_, PyAny>) -> PyResult<bool> {
    for call in calls.cast::<PyList>().into_iter().flatten() {
        if let Some(function) = function(&call)?
            && parsed(&function)?.is_some()
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn function<'py>(call: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
    let Ok(call) = call.cast::<PyDict>() else {
        return Ok(None);
    };
    let function = call.get_item(intern!(call.py(), "function"))?;
    Ok(function.and_then(|function| function.cast_into::<PyDict>().ok()))
}

/// What stands for the arguments of `function` where they are no dict and can be one.
fn parsed<'py>(function: &Bound<'py, PyDict>) -> PyResult<Option<Bound<'py, PyDict>>> {
    let py = function.py();
    let Some(given) = function.get_item(intern!(py, "arguments"))? else {
        return Ok(Some(PyDict::new(py)));
    };
    if given.is_instance_of::<PyDict>() {
        return Ok(None);
    }
    let value = match given.cast::<PyString>() {
        Ok(text) => match text.to_cow() {
            Ok(text) => arguments_from_text(py, &text)?,
            // Half a surrogate: no UTF-8, but perhaps JSON.
            Err(_) => return Ok(None),
        },
        Err(_) => given,
    };
    // Some servers write an empty array for no arguments.
    let empty = value.is_none() || value.cast::<PyList>().is_ok_and(PyListMethods::is_empty);
    if empty {
        return Ok(Some(PyDict::new(py)));
    }
    Ok(value.cast_into::<PyDict>().ok())
}
