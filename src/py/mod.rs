//! The extension module `metagpt_ollama_rs._core`: everything that knows the GIL or asyncio.
//!
//! Its folders, each of which uses the ones above it only:
//!
//! * `interpreter`: the tokio runtime, threads at interpreter exit, exceptions, log lines, calls on hot paths.
//! * `objects`: JSON text, lines and answers as Python objects, and back; `decode` and `get_choice`.
//! * `replies`: a reply of a server as Python sees it, and the records of calls.
//! * `asyncio`, `blocking`: the ways to wait for a reply, on an event loop and without.
//! * `client`: the client, with a method for each of these ways.

mod asyncio;
mod blocking;
mod client;
mod interpreter;
mod objects;
mod replies;

use std::sync::atomic::{AtomicI64, Ordering};

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyBytes, PyString, PyTuple};

use self::client::options;
use self::interpreter::exit::enter;
use self::interpreter::{c_api, errors, runtime};
use self::objects::{
    decode, delta, json, json_writer, scripts, slot_layout, stream_decoder, tool_calls, vectors,
};
use self::replies::stats;
use crate::http::{Retry, Timeouts};
use crate::wire::Counters;
use crate::wire::scripts::SCRIPTS;

/// The compiled core of `metagpt_ollama_rs`; use the names of the package instead.
#[pymodule(gil_used = true)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    refuse_other_interpreters(module.py())?;
    refuse_free_threads(module.py())?;
    runtime::register_shutdown(module.py())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("DEBUG_BUILD", cfg!(debug_assertions))?;
    let (limits, tries) = (Timeouts::default(), Retry::default());
    module.add("DEFAULT_LIMITS", options::limits_of(&limits))?;
    module.add("DEFAULT_RETRIES", options::tries_of(&tries))?;
    module.add("COUNTERS", PyTuple::new(module.py(), Counters::NAMES)?)?;
    module.add(
        "OPENAI_USAGE",
        Counters::OPENAI_USAGE.into_py_dict(module.py())?,
    )?;
    module.add("SCRIPTS", PyTuple::new(module.py(), SCRIPTS)?)?;
    module.add_class::<client::endpoint::EndpointRow>()?;
    module.add_class::<client::native_client::NativeClient>()?;
    module.add_class::<asyncio::stream::Stream>()?;
    module.add_class::<asyncio::awaitable::NativeAwaitable>()?;
    module.add_class::<blocking::stream::BlockingStream>()?;
    module.add_class::<delta::PyDelta>()?;
    module.add_class::<stream_decoder::StreamDecoder>()?;
    module.add_function(wrap_pyfunction!(loads, module)?)?;
    module.add_function(wrap_pyfunction!(dumps, module)?)?;
    module.add_function(wrap_pyfunction!(slot_layout::adopt_dict, module)?)?;
    module.add_function(wrap_pyfunction!(errors::excerpt, module)?)?;
    module.add_function(wrap_pyfunction!(client::native_client::is_cloud, module)?)?;
    module.add_function(wrap_pyfunction!(tool_calls::parse_tool_arguments, module)?)?;
    module.add_function(wrap_pyfunction!(vectors::vectors_fault, module)?)?;
    module.add_function(wrap_pyfunction!(scripts::count_script_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(stats::stats_records, module)?)?;
    module.add_function(wrap_pyfunction!(stats::stats_pending, module)?)?;
    module.add_function(wrap_pyfunction!(stats::stats_clear, module)?)?;
    module.add_function(wrap_pyfunction!(stats::stats_resize, module)?)?;
    module.add_function(wrap_pyfunction!(stats::stats_fail, module)?)?;
    module.add_function(wrap_pyfunction!(stats::stats_repaired, module)?)?;
    module.add_function(wrap_pyfunction!(
        replies::observed_call::observe_all_calls,
        module
    )?)?;
    module.add_function(wrap_pyfunction!(refuse_repetition, module)?)?;
    module.add_function(wrap_pyfunction!(
        asyncio::event_loop::running_loop_for_python,
        module
    )?)?;
    decode::add(module)?;
    module.add_function(wrap_pyfunction!(decode::get_choice, module)?)?;
    module.add_function(wrap_pyfunction!(decode::get_response_choice, module)?)?;
    Ok(())
}

/// What is cached here belongs to the interpreter that imported the module first, and would break in another.
fn refuse_other_interpreters(py: Python<'_>) -> PyResult<()> {
    static FIRST: AtomicI64 = AtomicI64::new(-1);
    let own = c_api::interpreter_id(py);
    match FIRST.compare_exchange(-1, own, Ordering::AcqRel, Ordering::Acquire) {
        Err(first) if first != own => Err(PyImportError::new_err(
            "metagpt_ollama_rs works in one interpreter of a process, and another has imported it already",
        )),
        _ => Ok(()),
    }
}

/// The unsafe code here relies on the GIL. CPython builds without it switch it on for this module (`gil_used`), unless they
/// were told not to.
fn refuse_free_threads(py: Python<'_>) -> PyResult<()> {
    let Some(is_enabled) = py.import("sys")?.getattr_opt("_is_gil_enabled")? else {
        return Ok(());
    };
    if is_enabled.call0()?.is_truthy()? {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "metagpt_ollama_rs needs the GIL, which is switched off: start Python without -X gil=0 and PYTHON_GIL=0",
    ))
}

/// Raises `IncompleteError` for an answer of `model` whose text or thinking goes in circles.
#[pyfunction]
fn refuse_repetition(
    py: Python<'_>,
    content: &Bound<'_, PyString>,
    thinking: &Bound<'_, PyString>,
    model: &str,
) -> PyResult<()> {
    enter();
    let (content, thinking) = (content.to_string_lossy(), thinking.to_string_lossy());
    crate::http::refuse_repetition(&content, &thinking).map_err(|error| {
        let facts = errors::FailureContext {
            model,
            partial: &content,
            thinking: &thinking,
            ..errors::FailureContext::default()
        };
        errors::in_context(py, error, &facts)
    })
}

/// The value of JSON text, as `json.loads` has it.
#[pyfunction]
fn loads<'py>(py: Python<'py>, text: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
    enter();
    json::to_python(py, text.as_bytes())
}

/// Compact JSON text of `value`, in UTF-8.
#[pyfunction]
fn dumps<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    enter();
    let mut out = Vec::new();
    json_writer::from_python(value, &mut out)?;
    Ok(PyBytes::new(py, &out))
}
