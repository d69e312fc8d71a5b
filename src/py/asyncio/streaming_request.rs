//! A request whose reply is read as it arrives: the task that fills an inbox, and the reader that empties it.

use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::loop_waker::LoopWaker;
use super::placement::{Placement, RequestTask};
use super::resumable::Resumable;
use crate::http::{PumpMode, Request};
use crate::inbox::{CAPACITY, Inbox};
use crate::py::replies::observed_call::ObservedCall;
use crate::py::replies::stream_reader::ReaderCell;

pub struct StreamingRequest {
    pub inbox: Arc<Inbox>,
    pub reader: ReaderCell,
    pub call: ObservedCall,
    task: OnceLock<RequestTask>,
}

impl StreamingRequest {
    /// A request that is not sent yet.
    pub fn new(call: ObservedCall) -> Self {
        Self {
            inbox: Inbox::new(CAPACITY),
            reader: ReaderCell::new(call.clone()),
            call,
            task: OnceLock::new(),
        }
    }

    /// Sends `request`. From then on `owner`, of which this is a part, is resumed when something has arrived.
    pub fn start<T: Resumable + 'static>(
        &self,
        py: Python<'_>,
        placement: Placement<'_>,
        request: Request,
        mode: PumpMode,
        owner: &Arc<T>,
    ) -> PyResult<()> {
        let waker = LoopWaker::for_target(&placement.waker, owner);
        self.inbox.set_waker(Some(Arc::new(waker)));
        let inbox = Arc::clone(&self.inbox);
        if request.upload.is_some() {
            return placement.start_upload(py, |client| async move {
                client.pump(request, inbox, mode).await;
            });
        }
        let task = placement.start(py, |client| async move {
            client.pump(request, inbox, mode).await;
        })?;
        let _ = self.task.set(task);
        Ok(())
    }

    /// Ends the request, because its reply is not read any further. Nobody is told of it.
    pub fn hang_up(&self) {
        self.inbox.abort();
        if let Some(task) = self.task.get() {
            task.poll_soon();
        }
    }

    /// As `hang_up`, where the object that gave access to the reply is gone.
    pub fn release(&self) {
        self.hang_up();
        self.call.tell_abandoned();
    }

    /// Ends the request, and lets the reader say so.
    pub fn abort(&self) {
        self.hang_up();
        self.reader.cancel();
        self.call.tell_abandoned();
    }

    /// Visits what the call holds, for the cycle collector.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.call.traverse(visit)?;
        self.reader.traverse(visit)
    }
}
