//! What is asked of an asyncio event loop: which one runs, what belongs to it, and that it watches a descriptor.

use std::cell::Cell;

use pyo3::exceptions::{PyNotImplementedError, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::py::interpreter::errors::runtime_error;
use crate::py::interpreter::exit::enter;

/// `asyncio.get_running_loop()`: raises `RuntimeError` where none runs, with what to do instead.
pub fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static GET: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let running = GET.import(py, "asyncio", "get_running_loop")?.call0();
    running.map_err(|error| explain_no_loop(py, error))
}

/// `asyncio.get_running_loop()`; where none runs, the `RuntimeError` says what to do instead.
#[pyfunction(name = "running_loop")]
pub fn running_loop_for_python(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    enter();
    running_loop(py)
}

/// The `RuntimeError` of asyncio in words for whoever has awaited something of ours elsewhere.
#[cold]
fn explain_no_loop(py: Python<'_>, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyRuntimeError>(py) {
        return error;
    }
    runtime_error(if runs_in_trio(py) {
        "AsyncClient runs on asyncio, and this task runs on trio: use Client in a thread \
         (trio.to_thread.run_sync), or let asyncio run the task (anyio.run with backend=\"asyncio\")"
    } else {
        "AsyncClient needs a running event loop of asyncio: await it in what asyncio.run runs, or use Client"
    })
}

/// Whether the running task is one of trio's. Trio is not imported for that: whoever runs it has done so.
fn runs_in_trio(py: Python<'_>) -> bool {
    let current_task = || {
        let modules = py.import("sys")?.getattr("modules")?;
        let lowlevel = modules.get_item("trio")?.getattr("lowlevel")?;
        lowlevel.call_method0("current_task")
    };
    current_task().is_ok()
}

thread_local! {
    static READER_CALLBACKS: Cell<usize> = const { Cell::new(0) };
}

/// Lives as long as a reader callback runs. What it calls may run the loop again (`nest_asyncio`), and then the handle of the
/// callback cannot be run: its context (`contextvars`) is entered already.
pub struct ReaderCallbackRun(());

impl ReaderCallbackRun {
    pub fn begin() -> Self {
        READER_CALLBACKS.set(READER_CALLBACKS.get() + 1);
        Self(())
    }

    /// Whether this thread is in a reader callback.
    pub fn is_under_way() -> bool {
        READER_CALLBACKS.get() > 0
    }
}

impl Drop for ReaderCallbackRun {
    fn drop(&mut self) {
        READER_CALLBACKS.set(READER_CALLBACKS.get() - 1);
    }
}

/// One object for each event loop: a `WeakKeyDictionary` whose keys are the loops themselves, never their `id`, which a
/// later loop may get again.
pub struct PerLoop(PyOnceLock<Py<PyAny>>);

impl PerLoop {
    pub const fn new() -> Self {
        Self(PyOnceLock::new())
    }

    fn map<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        let make = || {
            py.import("weakref")?
                .getattr("WeakKeyDictionary")?
                .call0()
                .map(Bound::unbind)
        };
        self.0.get_or_try_init(py, make).map(|map| map.bind(py))
    }

    /// The object of `event_loop`, or `None` as Python has it.
    pub fn get<'py>(&self, event_loop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = event_loop.py();
        self.map(py)?
            .call_method1(intern!(py, "get"), (event_loop,))
    }

    pub fn set(&self, event_loop: &Bound<'_, PyAny>, object: &Bound<'_, PyAny>) -> PyResult<()> {
        self.map(event_loop.py())?.set_item(event_loop, object)
    }
}

/// Lets `event_loop` call `callback` when `descriptor` is readable, in a handle that replaces the one that it had for
/// that; false where loops have no `add_reader`. A loop
/// keeps the context (`contextvars`) in which `add_reader` is called, so that is a new one: the context of the task
/// that makes the first request would live as long as the loop.
pub fn watch(
    event_loop: &Bound<'_, PyAny>,
    descriptor: i32,
    callback: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    let py = event_loop.py();
    let context = py
        .import(intern!(py, "contextvars"))?
        .call_method0(intern!(py, "Context"))?;
    let add = event_loop.getattr(intern!(py, "add_reader"))?;
    match context.call_method1(intern!(py, "run"), (add, descriptor, callback)) {
        Ok(_) => Ok(true),
        Err(error) if error.is_instance_of::<PyNotImplementedError>(py) => Ok(false),
        Err(error) => Err(error),
    }
}
