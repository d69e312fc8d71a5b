//! Streams and calls for code without an event loop. A wait gives up the GIL and looks for signals 20 times a second,
//! so that Ctrl-C works; a green thread waits as its library does (`green`).

use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::green_thread::GreenThread;
use crate::error::{Error, Kind};
use crate::inbox::{Inbox, ReaderWaker};
use crate::py::interpreter::errors::{self, misuse};
use crate::py::interpreter::exit::{enter, sleep_if_exiting};
use crate::py::interpreter::process::ProcessOwned;
use crate::py::interpreter::runtime::handle;
use crate::py::replies::stream_reader::{ItemFormat, NextItem, ReaderCell};
use crate::stats::Trace;

/// How long a signal can wait for its handler.
const SIGNALS: Duration = Duration::from_millis(50);

/// Waits without the GIL until `ready` says so; raises what a signal handler raised.
fn wait_until(py: Python<'_>, mut ready: impl FnMut() -> bool + Send) -> PyResult<()> {
    loop {
        let done = py.detach(|| {
            let done = ready();
            sleep_if_exiting();
            done
        });
        py.check_signals()?;
        if done {
            return Ok(());
        }
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

/// The result of `work`, which the I/O thread does. An interrupt ends it.
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
    let task = handle(py)?.spawn(async move {
        let result = work.await;
        let _ = result_sender.sender.send(result);
        drop(result_sender);
    });
    let result = match green {
        Some(green) => receive_green(py, &green, &receiver),
        None => receive(py, receiver),
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
            task.abort();
            Err(interrupt)
        }
    }
}

fn receive_green<T>(
    py: Python<'_>,
    green: &GreenThread,
    channel: &Receiver<T>,
) -> PyResult<Option<T>> {
    loop {
        match channel.try_recv() {
            Ok(value) => return Ok(Some(value)),
            Err(TryRecvError::Disconnected) => return Ok(None),
            Err(TryRecvError::Empty) => green.wait(py)?,
        }
    }
}

fn receive<T: Send>(py: Python<'_>, channel: Receiver<T>) -> PyResult<Option<T>> {
    let mut value = None;
    let channel = std::sync::Mutex::new(channel);
    wait_until(py, || {
        match crate::sync::lock(&channel).recv_timeout(SIGNALS) {
            Ok(received) => {
                value = Some(received);
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        }
    })?;
    Ok(value)
}

/// A reply as it arrives, as an ordinary iterator. Closing or dropping it ends the request on the server.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct BlockingStream {
    inbox: ProcessOwned<Arc<Inbox>>,
    reader: ReaderCell,
    format: ItemFormat,
    green: Option<GreenThread>,
}

impl BlockingStream {
    pub fn new(
        py: Python<'_>,
        inbox: Arc<Inbox>,
        format: ItemFormat,
        trace: Arc<Trace>,
    ) -> PyResult<Self> {
        let green = GreenThread::current(py)?;
        inbox.set_waker(green.as_ref().map(GreenThread::waker));
        Ok(Self {
            inbox: ProcessOwned::new(inbox),
            reader: ReaderCell::new(trace),
            format,
            green,
        })
    }

    fn here(&self, py: Python<'_>) -> PyResult<&Arc<Inbox>> {
        self.inbox
            .get()
            .map_err(|error| errors::to_python(py, error))
    }
}

impl Drop for BlockingStream {
    fn drop(&mut self) {
        enter();
        if let Ok(inbox) = self.inbox.get() {
            inbox.abort();
        }
    }
}

#[pymethods]
impl BlockingStream {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.format.traverse(&visit)?;
        self.reader.traverse(&visit)
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        enter();
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        enter();
        let inbox = self.here(py)?;
        loop {
            let next = self
                .reader
                .with(|stream| stream.next_item(py, inbox, &self.format));
            let next = next.ok_or_else(|| {
                misuse("this stream is being read already: read it from one thread at a time")
            })??;
            match next {
                NextItem::Item(item) => return Ok(Some(item)),
                NextItem::End => return Ok(None),
                NextItem::NotYet => {
                    let waited = match &self.green {
                        Some(green) => green.wait(py),
                        None => wait_until(py, || inbox.wait_timeout(SIGNALS)),
                    };
                    if let Err(interrupt) = waited {
                        self.close();
                        return Err(interrupt);
                    }
                }
            }
        }
    }

    /// Ends the request if it is still under way; the server sees the connection close.
    fn close(&self) {
        enter();
        if let Ok(inbox) = self.inbox.get() {
            inbox.abort();
            self.reader.cancel();
        }
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        enter();
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, pyo3::types::PyTuple>) {
        enter();
        self.close();
    }
}
