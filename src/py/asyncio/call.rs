//! A request whose reply is read whole: awaited on a loop, or waited for in a thread.

use std::sync::{Arc, Mutex, Weak};

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::awaitable::{Awaited, Seat};
use super::loop_waker::{Alarm, Sleeper};
use super::placement::Task;
use crate::error::{Error, Kind};
use crate::http::Reply;
use crate::inbox::Wake;
use crate::py::interpreter::log;
use crate::py::interpreter::runtime::lock;
use crate::py::replies::reply_format::Form;
use crate::stats::Trace;

/// The state of a call that is awaited.
pub struct Call {
    seat: Seat,
    form: Form,
    trace: Arc<Trace>,
    reply: Mutex<Option<Result<Reply, Error>>>,
    task: Mutex<Option<Task>>,
}

impl Call {
    pub fn new(seat: Seat, form: Form, trace: Arc<Trace>) -> Arc<Self> {
        Arc::new(Self {
            seat,
            form,
            trace,
            reply: Mutex::new(None),
            task: Mutex::new(None),
        })
    }

    /// What finishes the call from the I/O thread, even if that ends before a reply is there.
    pub fn promise(self: &Arc<Self>, alarm: Alarm) -> Promise {
        Promise {
            call: Arc::downgrade(self),
            alarm,
        }
    }

    /// The task to stop when nobody waits any more.
    pub fn runs_as(&self, task: Task) {
        *lock(&self.task) = Some(task);
    }
}

/// See [`Call::promise`].
pub struct Promise {
    /// Empty once it is kept.
    call: Weak<Call>,
    alarm: Alarm,
}

impl Promise {
    /// Hands over the reply and wakes whoever waits.
    pub fn keep(mut self, reply: Result<Reply, Error>) {
        self.finish(reply);
    }

    fn finish(&mut self, reply: Result<Reply, Error>) {
        if let Some(call) = std::mem::take(&mut self.call).upgrade() {
            *lock(&call.reply) = Some(reply);
            self.alarm.wake();
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.finish(Err(Error::new(
            Kind::Closed,
            "The I/O thread stopped before a reply was there.",
        )));
    }
}

impl Sleeper for Call {
    fn on_wake(&self, py: Python<'_>) -> PyResult<()> {
        self.seat.waiter.unpark(py)
    }
}

impl Awaited for Call {
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let reply = lock(&self.reply).take();
        match reply {
            None => Ok(None),
            Some(reply) => {
                let result = self.form.to_python(py, reply, &self.trace);
                log::report(py, &self.trace)?;
                result.map(Some)
            }
        }
    }

    fn seat(&self) -> &Seat {
        &self.seat
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.seat.traverse(visit)
    }

    fn abort(&self) {
        let task = lock(&self.task).take();
        if let Some(task) = task {
            task.abort();
        }
    }
}
