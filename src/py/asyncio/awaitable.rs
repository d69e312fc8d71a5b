//! An awaitable that costs nothing when its result is there: no future, no loop callback, no thread switch.
//!
//! The result is polled first. Only when there is none yet is a future made and yielded to the task; then the result is
//! polled once more, because the I/O thread may have delivered it in between, when there was no future yet to be
//! resolved.

use std::sync::Arc;

use pyo3::exceptions::{PyBaseException, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{PyTraverseError, PyVisit};

use super::parked_task::ParkedTask;
use crate::error::Error;
use crate::py::interpreter::errors;
use crate::py::interpreter::exit::{enter, is_exiting, sleep_if_exiting};
use crate::py::interpreter::pending_exception::set_stop_iteration;
use crate::py::interpreter::process::ProcessOwned;
use crate::stats::Trace;

/// A result that may not be there yet, and the task that waits for it.
pub trait Pollable: Send + Sync {
    /// The result if it is there; an error if there will be none.
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>>;

    /// The results that are there, in one list, of a pollable that has several results; else the one result.
    fn poll_all(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.poll(py)
    }

    fn parked_task(&self) -> &ParkedTask;

    /// Whether the loop has to run other callbacks first. Asked once for each step of the awaiting task.
    fn must_yield(&self) -> bool {
        false
    }

    /// Ends the request: the server sees the connection close. The result is an error that says so.
    fn abort(&self);

    /// Ends the request, because its awaitable is gone, so that the result can no longer be asked for.
    fn release(&self) {
        self.abort();
    }

    /// The call, whose record has its `id`.
    fn trace(&self) -> &Trace;

    /// Visits every Python object that is held, for the cycle collector. Takes no lock that may be held.
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
}

/// The awaitable of a whole reply, of a delivery, or of the next item of a stream, which is the same one for each item.
/// Dropped before its end, it ends the request.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct NativeAwaitable(ResultSource);

enum ResultSource {
    Pollable(ProcessOwned<Arc<dyn Pollable>>),
    /// What another awaitable polls, whose results are taken all at once. That one stays the only owner, so that the
    /// cycle collector has one to ask.
    AllOf(Py<NativeAwaitable>),
    /// A result that was there from the beginning; none is Python's `None`.
    Ready(Option<Py<PyAny>>),
}

/// What one step of the awaiting task comes to.
enum Step<'py> {
    /// What to yield to the task: a future to wait for, or `None` to let the loop run other callbacks.
    Yield(Bound<'py, PyAny>),
    /// The result.
    Done(Py<PyAny>),
}

impl NativeAwaitable {
    pub fn new(pollable: Arc<dyn Pollable>) -> Self {
        Self(ResultSource::Pollable(ProcessOwned::new(pollable)))
    }

    /// An awaitable whose result is there already.
    pub fn ready(result: Option<Py<PyAny>>) -> Self {
        Self(ResultSource::Ready(result))
    }

    /// The awaitable of all results at once that `first` would give one by one. A forked child gets an error.
    pub fn batches(first: &Py<Self>, py: Python<'_>) -> PyResult<Self> {
        first.get().pollable(py)?;
        Ok(Self(ResultSource::AllOf(first.clone_ref(py))))
    }

    /// Ends the request. Does nothing in a forked child, to which the request does not belong.
    pub fn abort(&self) {
        if let Ok(Some(pollable)) = self.owned() {
            pollable.abort();
        }
    }

    /// What is polled, if the result was not there from the beginning; in a forked child an error.
    fn owned(&self) -> Result<Option<&dyn Pollable>, Error> {
        match &self.0 {
            ResultSource::Pollable(pollable) => pollable.get().map(|pollable| Some(&**pollable)),
            ResultSource::AllOf(first) => first.get().owned(),
            ResultSource::Ready(_) => Ok(None),
        }
    }

    /// As `owned`, with the error as an exception.
    fn pollable(&self, py: Python<'_>) -> PyResult<Option<&dyn Pollable>> {
        self.owned().map_err(|error| errors::to_python(py, error))
    }

    fn step<'py>(&self, py: Python<'py>) -> PyResult<Step<'py>> {
        let Some(pollable) = self.pollable(py)? else {
            let ResultSource::Ready(Some(result)) = &self.0 else {
                return Ok(Step::Done(py.None()));
            };
            return Ok(Step::Done(result.clone_ref(py)));
        };
        if pollable.must_yield() {
            return Ok(Step::Yield(py.None().into_bound(py)));
        }
        let poll = match &self.0 {
            ResultSource::AllOf(_) => {
                |pollable: &dyn Pollable, py: Python<'_>| pollable.poll_all(py)
            }
            _ => |pollable: &dyn Pollable, py: Python<'_>| pollable.poll(py),
        };
        let step = poll_or_park(py, pollable, poll);
        if step.is_err() && is_exiting() {
            py.detach(sleep_if_exiting);
        }
        step
    }
}

/// [`Pollable::poll`] or [`Pollable::poll_all`].
type PollMethod = fn(&dyn Pollable, Python<'_>) -> PyResult<Option<Py<PyAny>>>;

fn poll_or_park<'py>(
    py: Python<'py>,
    pollable: &dyn Pollable,
    poll: PollMethod,
) -> PyResult<Step<'py>> {
    if let Some(result) = poll(pollable, py)? {
        return Ok(Step::Done(result));
    }
    let task = pollable.parked_task();
    let future = task.park(py)?;
    match poll(pollable, py) {
        Ok(None) => Ok(Step::Yield(future)),
        Ok(Some(result)) => {
            task.forget();
            Ok(Step::Done(result))
        }
        Err(error) => {
            task.forget();
            Err(error)
        }
    }
}

impl Drop for NativeAwaitable {
    fn drop(&mut self) {
        enter();
        if let ResultSource::Pollable(pollable) = &self.0
            && let Ok(pollable) = pollable.get()
        {
            pollable.release();
        }
    }
}

#[pymethods]
impl NativeAwaitable {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.0 {
            ResultSource::Pollable(pollable) => match pollable.get() {
                // What has a second owner would be counted twice, and is in use.
                Ok(pollable) if Arc::strong_count(pollable) == 1 => pollable.traverse(&visit),
                _ => Ok(()),
            },
            ResultSource::AllOf(first) => visit.call(first),
            ResultSource::Ready(result) => visit.call(result),
        }
    }

    fn __clear__(&self) {
        enter();
        self.close();
    }

    /// The `id` in the record of the call; `None` if there is no call, or in a forked child, to which it does not belong.
    #[getter]
    pub fn call_id(&self) -> Option<String> {
        enter();
        let pollable = self.owned().ok().flatten()?;
        Some(pollable.trace().id())
    }

    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        enter();
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        enter();
        slf
    }

    /// As `send(None)`, but the exception is left with the interpreter instead of being made: up to Python 3.11 that
    /// takes the result out again without ever making an exception object.
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        enter();
        match self.step(py)? {
            Step::Yield(future) => Ok(Some(future)),
            Step::Done(result) => {
                let result = result.bind(py);
                // These have to be wrapped, which takes an exception object.
                if result.is_instance_of::<PyTuple>() || result.is_instance_of::<PyBaseException>()
                {
                    return Err(stop_iteration(result.clone().unbind()));
                }
                // A null with an exception is how an iterator raises; nothing but the return stands in between.
                let _pending = set_stop_iteration(result);
                Ok(None)
            }
        }
    }

    /// One step; raises `StopIteration(result)` at the end.
    fn send<'py>(&self, py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        enter();
        let _ = value;
        match self.step(py)? {
            Step::Yield(future) => Ok(future),
            Step::Done(result) => Err(stop_iteration(result)),
        }
    }

    /// Ends the request, because the task was cancelled or closed, and raises the exception.
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
        if let Some(pollable) = self.pollable(py)? {
            // A task that was cancelled has had its future cancelled. A future that is not done belongs to another
            // task, which the end of the request will resume.
            let forgotten = pollable.parked_task().forget_if_done(py);
            pollable.abort();
            forgotten?;
        }
        let exception = value.filter(|value| !value.is_none()).unwrap_or(kind);
        Err(PyErr::from_value(exception.clone()))
    }

    fn close(&self) {
        enter();
        if let Ok(Some(pollable)) = self.owned() {
            pollable.parked_task().forget();
            pollable.abort();
        }
    }
}

fn stop_iteration(result: Py<PyAny>) -> PyErr {
    // The one-tuple keeps a result that is a tuple itself from being taken for arguments.
    PyStopIteration::new_err((result,))
}
