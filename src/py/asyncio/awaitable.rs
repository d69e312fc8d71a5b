//! Awaitables that cost nothing when their result is there: no future, no loop callback, no thread switch.
//!
//! An awaitable is polled first. Only when there is nothing yet is a future made and yielded to the task; then the
//! state is looked at once more, because the I/O thread may have delivered in between and woken nobody.

use std::sync::Arc;

use pyo3::exceptions::{PyBaseException, PyStopIteration};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{PyTraverseError, PyVisit};

use super::loop_waker::{Waiter, running_loop};
use crate::error::{Error, Kind};
use crate::py::interpreter::exit::{enter, is_exiting, linger};
use crate::py::interpreter::runtime::Owned;

/// The task parked on an awaitable, and the loop it belongs to.
pub struct Seat {
    pub waiter: Waiter,
    pub event_loop: Py<PyAny>,
}

impl Seat {
    pub fn new(event_loop: &Bound<'_, PyAny>) -> Self {
        Self {
            waiter: Waiter::default(),
            event_loop: event_loop.clone().unbind(),
        }
    }

    /// See [`Awaited::traverse`].
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        self.waiter.traverse(visit)
    }

    fn park<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let event_loop = self.event_loop.bind(py);
        if !running_loop(py)?.is(event_loop) {
            let error = Error::new(
                Kind::Closed,
                "this request was started on another event loop: await it on the loop that started it",
            );
            return Err(crate::py::interpreter::errors::to_python(py, error));
        }
        self.waiter.park(py, event_loop)
    }
}

/// Something that a task awaits.
pub trait Awaited: Send + Sync {
    /// The result if it is there; an error if it failed.
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>>;
    fn seat(&self) -> &Seat;
    /// Ends the request: the server sees the connection close.
    fn abort(&self);
    /// Visits every Python object that is held, for the cycle collector. Takes no lock that may be held.
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
}

/// What one step of the awaiting task comes to.
pub enum Step<'py> {
    /// What to yield to the task: a future to wait for, or `None` to let the loop serve others.
    Yield(Bound<'py, PyAny>),
    /// The result.
    Done(Py<PyAny>),
}

/// One step of the awaiting task.
pub fn step<'py>(py: Python<'py>, awaited: &dyn Awaited) -> PyResult<Step<'py>> {
    let step = try_step(py, awaited);
    if step.is_err() && is_exiting() {
        py.detach(linger);
    }
    step
}

fn try_step<'py>(py: Python<'py>, awaited: &dyn Awaited) -> PyResult<Step<'py>> {
    if let Some(value) = awaited.poll(py)? {
        return Ok(Step::Done(value));
    }
    let future = awaited.seat().park(py)?;
    match awaited.poll(py) {
        Ok(None) => Ok(Step::Yield(future)),
        Ok(Some(value)) => {
            awaited.seat().waiter.clear();
            Ok(Step::Done(value))
        }
        Err(error) => {
            awaited.seat().waiter.clear();
            Err(error)
        }
    }
}

impl<'py> Step<'py> {
    /// For `send`: raises `StopIteration(result)`.
    pub fn sent(self) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Yield(future) => Ok(future),
            Self::Done(value) => Err(finished(value)),
        }
    }

    /// For `__next__`: as `sent`, but the exception is left with the interpreter instead of being made. Up to Python
    /// 3.11 it then takes the result out again without ever making an exception object.
    pub fn next(self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let value = match self {
            Self::Yield(future) => return Ok(Some(future)),
            Self::Done(value) => value,
        };
        let plain = !value.bind(py).is_instance_of::<PyTuple>()
            && !value.bind(py).is_instance_of::<PyBaseException>();
        if !plain {
            return Err(finished(value));
        }
        // SAFETY: the GIL is held and no exception is set. A null result with an exception set is how an iterator
        // raises; nothing but the return stands between the two.
        unsafe { ffi::PyErr_SetObject(ffi::PyExc_StopIteration, value.as_ptr()) };
        Ok(None)
    }
}

/// `throw` of the awaitable protocol: the task was cancelled or closed, so the request ends.
pub fn thrown(
    awaited: &dyn Awaited,
    kind: &Bound<'_, PyAny>,
    value: Option<&Bound<'_, PyAny>>,
) -> PyErr {
    // A task that is cancelled has had its future cancelled; one that is not done belongs to another task, which the
    // end of the request will wake.
    let forgotten = awaited.seat().waiter.forget_if_done(kind.py());
    awaited.abort();
    if let Err(error) = forgotten {
        return error;
    }
    match value.filter(|value| !value.is_none()) {
        Some(value) => PyErr::from_value(value.clone()),
        None => PyErr::from_value(kind.clone()),
    }
}

fn finished(value: Py<PyAny>) -> PyErr {
    // The one-tuple keeps a value that is a tuple itself from being taken for arguments.
    PyStopIteration::new_err((value,))
}

/// The awaitable of a whole reply or of a delivery. Dropped before its end, it ends the request.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct Pending {
    awaited: Owned<Arc<dyn Awaited>>,
}

impl Pending {
    pub fn new(awaited: Arc<dyn Awaited>) -> Self {
        Self {
            awaited: Owned::new(awaited),
        }
    }

    fn here(&self, py: Python<'_>) -> PyResult<&dyn Awaited> {
        self.awaited
            .get()
            .map(|awaited| &**awaited)
            .map_err(|error| crate::py::interpreter::errors::to_python(py, error))
    }
}

/// Visits what `awaited` holds, if this is its only owner: held twice, it would be counted twice.
pub fn traverse<T: Awaited + ?Sized>(
    awaited: &Owned<Arc<T>>,
    visit: &PyVisit<'_>,
) -> Result<(), PyTraverseError> {
    match awaited.get() {
        Ok(awaited) if Arc::strong_count(awaited) == 1 => awaited.traverse(visit),
        _ => Ok(()),
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        enter();
        if let Ok(awaited) = self.awaited.get() {
            awaited.abort();
        }
    }
}

#[pymethods]
impl Pending {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        traverse(&self.awaited, &visit)
    }

    fn __clear__(&self) {
        enter();
        self.close();
    }

    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        enter();
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        enter();
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        enter();
        step(py, self.here(py)?)?.next(py)
    }

    fn send<'py>(&self, py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        enter();
        let _ = value;
        step(py, self.here(py)?)?.sent()
    }

    #[pyo3(signature = (kind, value=None, traceback=None, /))]
    fn throw(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        enter();
        let _ = traceback;
        Err(thrown(self.here(py)?, kind, value))
    }

    fn close(&self) {
        enter();
        if let Ok(awaited) = self.awaited.get() {
            awaited.seat().waiter.clear();
            awaited.abort();
        }
    }
}

/// An awaitable whose result is there already.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct Ready(pub Option<Py<PyAny>>);

#[pymethods]
impl Ready {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0)
    }

    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        enter();
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        enter();
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        enter();
        Err(finished(
            self.0
                .as_ref()
                .map_or_else(|| py.None(), |value| value.clone_ref(py)),
        ))
    }
}
