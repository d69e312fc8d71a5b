//! Where a request of an event loop runs: in the loop's direct lane if it can, else on the I/O thread.

use std::future::Future;
use std::sync::Arc;

use pyo3::prelude::*;
use tokio::task::AbortHandle;

use super::direct_lane::DirectLane;
use super::event_loop::running_loop;
use super::eventfd_waker::EventfdWaker;
use super::loop_waker::LoopWaker;
use crate::error::{Error, Kind};
use crate::http::Client;
use crate::http::direct;
use crate::py::interpreter::errors;
use crate::py::interpreter::runtime::{from_any_thread, handle};
use crate::py::interpreter::upload_thread;

/// The running loop, the client as it is to be used there, and what wakes the loop.
pub struct Placement<'py> {
    pub event_loop: Bound<'py, PyAny>,
    pub waker: LoopWaker,
    client: Client,
    /// Whether the direct lane may send a file, from a thread of its own.
    upload_directly: bool,
}

/// The task of a request under way, on either lane.
#[derive(Debug)]
pub enum RequestTask {
    General(AbortHandle),
    Direct(direct::TaskHandle),
}

impl<'py> Placement<'py> {
    /// Where a request of `client` runs that is made in the running loop. `allow_direct` allows the loop's direct lane.
    pub fn of(py: Python<'py>, client: Client, allow_direct: bool) -> PyResult<Self> {
        let event_loop = running_loop(py)?;
        if allow_direct
            && client.is_plain()
            && let Some(lane) = DirectLane::of(&event_loop)?
            && let Some(client) = client.on(lane.reactor(), from_any_thread)
        {
            return Ok(Self {
                event_loop,
                waker: LoopWaker::Reactor(Arc::downgrade(&lane)),
                client,
                upload_directly: false,
            });
        }
        let waker = EventfdWaker::of(&event_loop)?;
        Ok(Self {
            event_loop,
            waker: LoopWaker::IoThread(waker),
            client,
            upload_directly: false,
        })
    }

    /// As [`Placement::of`], for a request that sends a file: what wakes the loop is not the loop's own thread.
    pub fn of_upload(py: Python<'py>, client: Client, allow_direct: bool) -> PyResult<Self> {
        let apart = Self::of(py, client, false)?;
        Ok(Self {
            upload_directly: allow_direct,
            ..apart
        })
    }

    /// Starts `work`, which sends a file, with the client.
    pub fn start_upload<F>(self, py: Python<'py>, work: impl FnOnce(Client) -> F) -> PyResult<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        upload_thread::spawn(py, self.client, self.upload_directly, work)
    }

    /// Starts `work` with the client.
    pub fn start<F>(self, py: Python<'py>, work: impl FnOnce(Client) -> F) -> PyResult<RequestTask>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // Boxed before it is moved: a thread's stack may be small.
        let work = Box::pin(work(self.client));
        match self.waker {
            LoopWaker::IoThread(_) => {
                Ok(RequestTask::General(handle(py)?.spawn(work).abort_handle()))
            }
            LoopWaker::Reactor(lane) => match lane.upgrade() {
                Some(lane) => Ok(RequestTask::Direct(lane.reactor().spawn(work))),
                None => Err(errors::to_python(
                    py,
                    Error::new(Kind::Closed, "the event loop is closed"),
                )),
            },
        }
    }
}

impl RequestTask {
    /// Drops the request: the server sees the connection close.
    pub fn abort(&self) {
        match self {
            Self::General(task) => task.abort(),
            Self::Direct(task) => task.abort(),
        }
    }

    /// Lets the request see at once that the reader of its inbox has gone. The I/O thread sees that by itself.
    pub fn poll_soon(&self) {
        match self {
            Self::General(_) => {}
            Self::Direct(task) => task.poll_now(),
        }
    }
}
