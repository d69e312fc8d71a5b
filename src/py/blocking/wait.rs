//! How a thread waits for the I/O thread. It gives up the GIL and looks for signals 20 times a second, so that Ctrl-C
//! works; a green thread waits as its library does (`green_thread`).

use std::future::Future;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::prelude::*;

use super::green_thread::GreenThread;
use crate::error::{Error, Kind};
use crate::inbox::{Inbox, ReaderWaker};
use crate::py::interpreter::errors;
use crate::py::interpreter::exit::sleep_if_exiting;
use crate::py::interpreter::process::ProcessOwned;
use crate::py::interpreter::runtime::handle;
use crate::sync::lock;

/// How long a signal waits for its handler at most.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// Waits without the GIL until `ready` says so; raises what a signal handler raised. A handler may fork: the child, where
/// nothing ever becomes ready, gets the error of [`ProcessOwned::get`].
fn wait_until(py: Python<'_>, mut ready: impl FnMut() -> bool + Send) -> PyResult<()> {
    let waiting = ProcessOwned::new(());
    loop {
        let done = py.detach(|| {
            let done = ready();
            sleep_if_exiting();
            done
        });
        py.check_signals()?;
        waiting
            .get()
            .map_err(|error| errors::to_python(py, error))?;
        if done {
            return Ok(());
        }
    }
}

/// Waits until `inbox` may have something.
pub fn wait_for_items(py: Python<'_>, inbox: &Inbox, green: Option<&GreenThread>) -> PyResult<()> {
    match green {
        Some(green) => green.wait(py),
        None => wait_until(py, || inbox.wait_timeout(SIGNAL_INTERVAL)),
    }
}

/// Where the I/O thread puts the result of a call, or nothing if it stops. The green thread that waits for it is woken
/// after the sender is gone, which the order of the fields sees to.
struct ResultSender<T> {
    sender: SyncSender<T>,
    _waker: Option<WakeOnDrop>,
}

struct WakeOnDrop(Arc<dyn ReaderWaker>);

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// The result of `work`, which the I/O thread does. What a signal handler raises meanwhile, or a time limit of a green
/// thread, ends the work.
pub fn wait_for<T: Send + 'static>(
    py: Python<'_>,
    work: impl Future<Output = T> + Send + 'static,
) -> PyResult<T> {
    let green = GreenThread::current(py)?;
    let (sender, receiver) = sync_channel(1);
    let result_sender = ResultSender {
        sender,
        _waker: green.as_ref().map(|green| WakeOnDrop(green.waker())),
    };
    let task = ProcessOwned::new(handle(py)?.spawn(async move {
        let result = work.await;
        let _ = result_sender.sender.send(result);
        drop(result_sender);
    }));
    let receiver = ProcessOwned::new(Mutex::new(receiver));
    let result = match green {
        Some(green) => receive_green(py, &green, &receiver),
        None => receive(py, &receiver),
    };
    match result {
        Ok(Some(result)) => Ok(result),
        Ok(None) => {
            let error = Error::new(
                Kind::Closed,
                "the I/O thread stopped: the interpreter is shutting down",
            );
            Err(errors::to_python(py, error))
        }
        Err(interrupt) => {
            if let Ok(task) = task.get() {
                task.abort();
            }
            Err(interrupt)
        }
    }
}

fn receive_green<T>(
    py: Python<'_>,
    green: &GreenThread,
    channel: &Mutex<Receiver<T>>,
) -> PyResult<Option<T>> {
    loop {
        let received = lock(channel).try_recv();
        match received {
            Ok(value) => return Ok(Some(value)),
            Err(TryRecvError::Disconnected) => return Ok(None),
            Err(TryRecvError::Empty) => green.wait(py)?,
        }
    }
}

fn receive<T: Send>(py: Python<'_>, channel: &Mutex<Receiver<T>>) -> PyResult<Option<T>> {
    let mut value = None;
    wait_until(py, || match lock(channel).recv_timeout(SIGNAL_INTERVAL) {
        Ok(received) => {
            value = Some(received);
            true
        }
        Err(RecvTimeoutError::Timeout) => false,
        Err(RecvTimeoutError::Disconnected) => true,
    })?;
    Ok(value)
}
