//! Where a request runs: in the lane of the running loop if it can, else on the I/O thread.

use std::future::Future;
use std::sync::Weak;

use pyo3::prelude::*;
use tokio::task::AbortHandle;

use super::direct_lane::lane;
use super::loop_waker::{Alarm, Bell, Sleeper, hub, running_loop};
#[cfg(target_os = "linux")]
use crate::error::{Error, Kind};
use crate::http::Client;
#[cfg(target_os = "linux")]
use crate::http::direct;
#[cfg(target_os = "linux")]
use crate::py::interpreter::errors;
use crate::py::interpreter::runtime::handle;

/// The running loop, and the client as it has to be used there.
pub struct Place<'py> {
    pub event_loop: Bound<'py, PyAny>,
    client: Client,
    bell: Bell,
}

/// A request under way.
#[derive(Debug)]
pub enum Task {
    General(AbortHandle),
    #[cfg(target_os = "linux")]
    Direct(direct::TaskHandle),
}

/// The runtime for the tasks of a loop, which run with the GIL held or without.
#[cfg(target_os = "linux")]
fn runtime() -> Result<tokio::runtime::Handle, Error> {
    Python::attach(handle).map_err(|_| {
        let message = "the interpreter is shutting down: no request can be made any more";
        Error::new(Kind::Closed, message)
    })
}

impl<'py> Place<'py> {
    /// The place of a request of `client`. `direct` allows the lane of the loop.
    pub fn of(py: Python<'py>, client: Client, direct: bool) -> PyResult<Self> {
        let event_loop = running_loop(py)?;
        #[cfg(target_os = "linux")]
        if direct
            && client.is_plain()
            && let Some(lane) = lane(py, &event_loop)?
            && let Some(client) = client.on(lane.reactor(), runtime)
        {
            return Ok(Self {
                event_loop,
                client,
                bell: Bell::Lane(std::sync::Arc::downgrade(&lane)),
            });
        }
        let hub = hub(py, &event_loop)?;
        Ok(Self {
            event_loop,
            client,
            bell: Bell::Hub(hub),
        })
    }

    /// What wakes `sleeper` here.
    pub fn alarm(&self, sleeper: Weak<dyn Sleeper>) -> Alarm {
        Alarm {
            bell: self.bell.clone(),
            sleeper,
        }
    }

    /// Starts `work` with the client.
    pub fn start<F>(self, py: Python<'py>, work: impl FnOnce(Client) -> F) -> PyResult<Task>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // Boxed before it is moved: a thread's stack may be small.
        let work = Box::pin(work(self.client));
        match self.bell {
            Bell::Hub(_) => Ok(Task::General(handle(py)?.spawn(work).abort_handle())),
            #[cfg(target_os = "linux")]
            Bell::Lane(lane) => match lane.upgrade() {
                Some(lane) => Ok(Task::Direct(lane.reactor().spawn(work))),
                None => Err(errors::to_python(
                    py,
                    Error::new(Kind::Closed, "the event loop is closed"),
                )),
            },
        }
    }
}

impl Task {
    /// Drops the request: the server sees the connection close.
    pub fn abort(&self) {
        match self {
            Self::General(task) => task.abort(),
            #[cfg(target_os = "linux")]
            Self::Direct(task) => task.abort(),
        }
    }

    /// Lets the request see at once that its reader has gone. On the I/O thread that needs no help.
    pub fn hurry(&self) {
        match self {
            Self::General(_) => {}
            #[cfg(target_os = "linux")]
            Self::Direct(task) => task.poll_now(),
        }
    }
}
