//! A stream for code without an event loop: an ordinary iterator. Threads that read one stream share its items.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::green_thread::GreenThread;
use super::wait::wait_for_items;
use crate::http::{Client, PumpMode, Request};
use crate::inbox::{CAPACITY, Inbox};
use crate::py::interpreter::errors::{self, runtime_error};
use crate::py::interpreter::exit::enter;
use crate::py::interpreter::process::ProcessOwned;
use crate::py::interpreter::runtime::handle;
use crate::py::interpreter::upload_thread;
use crate::py::replies::observed_call::ObservedCall;
use crate::py::replies::stream_reader::{ItemFormat, NextItem, ReaderCell};

/// How long a thread waits that has found another one taking an item.
const TAKING_INTERVAL: Duration = Duration::from_micros(50);

/// A reply as it arrives, as an iterator. Closing or dropping it ends the request on the server. Of several threads that
/// read it, each item goes to one.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct BlockingStream {
    inbox: ProcessOwned<Arc<Inbox>>,
    reader: ReaderCell,
    call: ObservedCall,
    format: ItemFormat,
    green: Option<GreenThread>,
    /// The number of the thread that uses the reader, or has used it last. Set and read with the GIL held.
    taking_thread: AtomicUsize,
}

/// A number of the calling thread, which no other living thread has.
fn thread_number() -> usize {
    thread_local! {
        static MARK: u8 = const { 0 };
    }
    MARK.with(|mark| std::ptr::from_ref(mark).addr())
}

impl BlockingStream {
    /// Sends `request`; the items of its reply will be given in `format`.
    pub fn start(
        py: Python<'_>,
        client: Client,
        request: Request,
        format: ItemFormat,
        call: ObservedCall,
    ) -> PyResult<Self> {
        Self::filled(py, format, call, |inbox, mode| {
            handle(py)?.spawn(async move { client.pump(request, inbox, mode).await });
            Ok(())
        })
    }

    /// As [`BlockingStream::start`], for a request that sends a file, which the direct lane may do with `allow_direct`.
    pub fn start_upload(
        py: Python<'_>,
        client: Client,
        allow_direct: bool,
        request: Request,
        format: ItemFormat,
        call: ObservedCall,
    ) -> PyResult<Self> {
        Self::filled(py, format, call, |inbox, mode| {
            upload_thread::spawn(py, client, allow_direct, |client| async move {
                client.pump(request, inbox, mode).await;
            })
        })
    }

    /// A stream whose request `start` begins, which fills the inbox in that mode.
    fn filled(
        py: Python<'_>,
        format: ItemFormat,
        call: ObservedCall,
        start: impl FnOnce(Arc<Inbox>, PumpMode) -> PyResult<()>,
    ) -> PyResult<Self> {
        let (inbox, mode) = (Inbox::new(CAPACITY), format.mode());
        let green = GreenThread::current(py)?;
        inbox.set_waker(green.as_ref().map(GreenThread::waker));
        let stream = Self {
            inbox: ProcessOwned::new(Arc::clone(&inbox)),
            reader: ReaderCell::new(call.clone()),
            call,
            format,
            green,
            taking_thread: AtomicUsize::new(0),
        };
        start(inbox, mode)?;
        Ok(stream)
    }

    /// Lets the thread that uses the reader, and has lost the GIL meanwhile, finish. Refuses the code that this thread
    /// runs while it takes an item, which would wait for itself.
    fn wait_for_other_thread(&self, py: Python<'_>) -> PyResult<()> {
        if self.taking_thread.load(Ordering::Relaxed) == thread_number() {
            return Err(runtime_error(
                "this stream is being read already: an item of it is being made by this thread",
            ));
        }
        py.detach(|| std::thread::sleep(TAKING_INTERVAL));
        py.check_signals()
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
            self.call.tell_abandoned();
        }
    }
}

#[pymethods]
impl BlockingStream {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.format.traverse(&visit)?;
        self.call.traverse(&visit)?;
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
            let next = self.reader.with(|stream| {
                self.taking_thread.store(thread_number(), Ordering::Relaxed);
                stream.next_item(py, inbox, &self.format)
            });
            let Some(next) = next else {
                self.wait_for_other_thread(py)?;
                continue;
            };
            match next? {
                NextItem::Item(item) => return Ok(Some(item)),
                NextItem::End => return Ok(None),
                NextItem::NotYet => {
                    if let Err(interrupt) = wait_for_items(py, inbox, self.green.as_ref()) {
                        self.close();
                        return Err(interrupt);
                    }
                }
            }
        }
    }

    /// The `id` in the record of the call; `None` in a forked child, to which it does not belong.
    #[getter]
    fn call_id(&self) -> Option<String> {
        enter();
        self.inbox.get().ok().map(|_| self.call.trace().id())
    }

    /// Ends the request if it is still under way; the server sees the connection close.
    fn close(&self) {
        enter();
        if let Ok(inbox) = self.inbox.get() {
            inbox.abort();
            self.reader.cancel();
            self.call.tell_abandoned();
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
