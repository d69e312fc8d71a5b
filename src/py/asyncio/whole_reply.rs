//! A request whose reply is read whole, and awaited on an event loop.

use std::sync::{Arc, Mutex, Weak};

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::awaitable::Pollable;
use super::loop_waker::TargetWaker;
use super::parked_task::ParkedTask;
use super::placement::{Placement, RequestTask};
use super::resumable::Resumable;
use crate::error::{Error, Kind};
use crate::http::{Reply, Request};
use crate::inbox::ReaderWaker;
use crate::py::replies::observed_call::ObservedCall;
use crate::py::replies::reply_format::ReplyFormat;
use crate::stats::Trace;
use crate::sync::lock;

pub struct WholeReply {
    parked_task: ParkedTask,
    format: ReplyFormat,
    convert: Option<Py<PyAny>>,
    call: ObservedCall,
    reply: Mutex<Option<Result<Reply, Error>>>,
    task: Mutex<Option<RequestTask>>,
}

impl WholeReply {
    /// Sends `request`; the reply will be given in `format`, and as what `convert` makes of that.
    pub fn start(
        py: Python<'_>,
        placement: Placement<'_>,
        request: Request,
        format: ReplyFormat,
        convert: Option<Py<PyAny>>,
        call: ObservedCall,
    ) -> PyResult<Arc<Self>> {
        let reply = Arc::new(Self {
            parked_task: ParkedTask::new(&placement.event_loop),
            format,
            convert,
            call,
            reply: Mutex::new(None),
            task: Mutex::new(None),
        });
        let sender = ReplySender {
            receiver: Arc::downgrade(&reply),
            waker: placement.waker.for_target(&reply),
        };
        let task = placement.start(py, |client| async move {
            sender.send(client.call(request).await);
        })?;
        *lock(&reply.task) = Some(task);
        Ok(reply)
    }
}

/// Hands the reply over to the `WholeReply` that is awaited, and an error if the request's task ends before a reply is
/// there.
struct ReplySender {
    /// Nobody, as soon as the reply was sent.
    receiver: Weak<WholeReply>,
    waker: TargetWaker,
}

impl ReplySender {
    fn send(mut self, reply: Result<Reply, Error>) {
        self.send_once(reply);
    }

    fn send_once(&mut self, reply: Result<Reply, Error>) {
        if let Some(receiver) = std::mem::take(&mut self.receiver).upgrade() {
            *lock(&receiver.reply) = Some(reply);
            self.waker.wake();
        }
    }
}

impl Drop for ReplySender {
    fn drop(&mut self) {
        self.send_once(Err(Error::new(
            Kind::Closed,
            "The I/O thread stopped before a reply was there.",
        )));
    }
}

impl Resumable for WholeReply {
    fn resume(&self, py: Python<'_>) -> PyResult<()> {
        self.parked_task.unpark(py)
    }
}

impl Pollable for WholeReply {
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(reply) = lock(&self.reply).take() else {
            return Ok(None);
        };
        let result = self.format.to_python(py, reply, &self.call);
        let convert = self.convert.as_ref().map(|convert| convert.bind(py));
        self.call.convert_and_end(py, result, convert).map(Some)
    }

    fn parked_task(&self) -> &ParkedTask {
        &self.parked_task
    }

    fn abort(&self) {
        let task = lock(&self.task).take();
        if let Some(task) = task {
            task.abort();
        }
        self.call.tell_abandoned();
    }

    fn trace(&self) -> &Trace {
        &self.call
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.convert)?;
        self.call.traverse(visit)?;
        self.parked_task.traverse(visit)
    }
}
