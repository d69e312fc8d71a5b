//! The task that waits on an awaitable: at most one, parked on a future of the loop to which the awaitable belongs.

use std::sync::Mutex;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::direct_lane::DirectLane;
use super::event_loop::{ReaderCallbackRun, running_loop};
use super::eventfd_waker::EventfdWaker;
use crate::error::{Error, Kind};
use crate::py::interpreter::errors;
use crate::sync::lock;

pub struct ParkedTask {
    event_loop: Py<PyAny>,
    /// The future on which the task waits, if one does.
    future: Mutex<Option<Py<PyAny>>>,
}

impl ParkedTask {
    /// No task yet; it will be one of `event_loop`.
    pub fn new(event_loop: &Bound<'_, PyAny>) -> Self {
        Self {
            event_loop: event_loop.clone().unbind(),
            future: Mutex::default(),
        }
    }

    pub fn event_loop<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.event_loop.bind(py)
    }

    /// A new future, to be yielded to the task. Refuses a task of another loop, and a second task.
    pub fn park<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let event_loop = self.event_loop(py);
        if !running_loop(py)?.is(event_loop) {
            let error = Error::new(
                Kind::Closed,
                "this request was started on another event loop: await it on the loop that started it",
            );
            return Err(errors::to_python(py, error));
        }
        if let Some(future) = self.future(py)
            && !is_done(&future)?
        {
            return Err(errors::runtime_error(
                "another task is already waiting for this stream: read it from one task at a time",
            ));
        }
        if ReaderCallbackRun::is_under_way() {
            DirectLane::prepare_nested_run(event_loop)?;
            EventfdWaker::prepare_nested_run(event_loop)?;
        }
        let future = event_loop.call_method0(intern!(py, "create_future"))?;
        // So a task knows that the future was yielded by an awaitable (`asyncio/futures.py`).
        future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
        let previous = lock(&self.future).replace(future.clone().unbind());
        drop(previous);
        Ok(future)
    }

    /// Resumes the task, if one is parked.
    pub fn unpark(&self, py: Python<'_>) -> PyResult<()> {
        let future = lock(&self.future).take();
        if let Some(future) = future {
            let future = future.bind(py);
            if !is_done(future)? {
                future.call_method1(intern!(py, "set_result"), (py.None(),))?;
            }
        }
        Ok(())
    }

    /// Forgets the task if its future is done, which is so when the task was cancelled.
    pub fn forget_if_done(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(future) = self.future(py)
            && is_done(&future)?
        {
            self.forget();
        }
        Ok(())
    }

    /// Forgets the task, which goes on by itself.
    pub fn forget(&self) {
        let future = lock(&self.future).take();
        drop(future);
    }

    /// Visits the loop and the future, for the cycle collector.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        match self.future.try_lock() {
            Ok(future) => future.as_ref().map_or(Ok(()), |future| visit.call(future)),
            Err(_) => Ok(()),
        }
    }

    fn future<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let future = lock(&self.future);
        future.as_ref().map(|future| future.bind(py).clone())
    }
}

fn is_done(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    future
        .call_method0(intern!(future.py(), "done"))?
        .is_truthy()
}
