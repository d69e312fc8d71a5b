//! Streams and calls for code without an event loop. A wait gives up the GIL and looks for signals 20 times a second,
//! so that Ctrl-C works.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::errors::{self, misuse};
use super::exit::{enter, linger};
use super::reader::{Desk, Made, Next};
use super::runtime::Owned;
use crate::error::{Error, Kind};
use crate::inbox::Inbox;
use crate::stats::Trace;

/// How long a signal can wait for its handler.
const SIGNALS: Duration = Duration::from_millis(50);

/// Waits without the GIL until `ready` says so; raises what a signal handler raised.
fn wait_until(py: Python<'_>, mut ready: impl FnMut() -> bool + Send) -> PyResult<()> {
    loop {
        let done = py.detach(|| {
            let done = ready();
            linger();
            done
        });
        py.check_signals()?;
        if done {
            return Ok(());
        }
    }
}

/// The one value of `channel`. Dropping the receiver tells the sender that nobody waits.
pub fn receive<T: Send>(py: Python<'_>, channel: Receiver<T>) -> PyResult<T> {
    let mut value = None;
    let channel = std::sync::Mutex::new(channel);
    wait_until(py, || {
        match super::runtime::lock(&channel).recv_timeout(SIGNALS) {
            Ok(received) => {
                value = Some(received);
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        }
    })?;
    value.ok_or_else(|| {
        let error = Error::new(
            Kind::Closed,
            "the I/O thread stopped: the interpreter is shutting down",
        );
        errors::to_python(py, error)
    })
}

/// A reply as it arrives, as an ordinary iterator. Closing or dropping it ends the request on the server.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct BlockingStream {
    inbox: Owned<Arc<Inbox>>,
    desk: Desk,
    made: Made,
}

impl BlockingStream {
    pub fn new(inbox: Arc<Inbox>, made: Made, trace: Arc<Trace>) -> Self {
        Self {
            inbox: Owned::new(inbox),
            desk: Desk::new(trace),
            made,
        }
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
        self.made.traverse(&visit)?;
        self.desk.traverse(&visit)
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        enter();
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        enter();
        let inbox = self.here(py)?;
        loop {
            let next = self.desk.with(|reader| reader.item(py, inbox, &self.made));
            let next = next.ok_or_else(|| {
                misuse("this stream is being read already: read it from one thread at a time")
            })??;
            match next {
                Next::Item(item) => return Ok(Some(item)),
                Next::End => return Ok(None),
                Next::Nothing => {
                    if let Err(interrupt) = wait_until(py, || inbox.wait(SIGNALS)) {
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
            self.desk.cancel();
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
