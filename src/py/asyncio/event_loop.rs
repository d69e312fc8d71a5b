//! What is asked of an asyncio event loop: which one runs, what belongs to it, and that it watches a descriptor.

use pyo3::exceptions::PyNotImplementedError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// `asyncio.get_running_loop()`: raises `RuntimeError` outside a coroutine.
pub fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static GET: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    GET.import(py, "asyncio", "get_running_loop")?.call0()
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

/// Lets `event_loop` call `callback` when `descriptor` is readable; false where loops have no `add_reader`. A loop
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
