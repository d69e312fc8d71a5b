//! A request whose reply is read whole: awaited on a loop, or waited for in a thread.

use std::sync::{Arc, Mutex};

use pyo3::prelude::*;
use tokio::task::AbortHandle;

use super::awaitable::{Awaited, Seat};
use super::log;
use super::reply::Form;
use super::runtime::lock;
use super::wake::Sleeper;
use crate::error::Error;
use crate::http::Reply;
use crate::stats::Trace;

/// The state of a call that is awaited.
pub struct Call {
    seat: Seat,
    form: Form,
    trace: Arc<Trace>,
    reply: Mutex<Option<Result<Reply, Error>>>,
    task: Mutex<Option<AbortHandle>>,
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

    /// Stores what came; the caller wakes the loop afterwards.
    pub fn finish(&self, reply: Result<Reply, Error>) {
        *lock(&self.reply) = Some(reply);
    }

    /// The task to stop when nobody waits any more.
    pub fn runs_as(&self, task: AbortHandle) {
        *lock(&self.task) = Some(task);
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

    fn abort(&self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}
