//! A stream whose text goes to a callback as it arrives, in the thread that waits for the answer.

use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;

use super::green_thread::GreenThread;
use super::wait::wait_for_items;
use crate::http::{Client, PumpMode, Request};
use crate::inbox::{CAPACITY, Inbox};
use crate::py::interpreter::errors;
use crate::py::interpreter::process::ProcessOwned;
use crate::py::interpreter::runtime::handle;
use crate::py::replies::observed_call::ObservedCall;
use crate::py::replies::stream_reader::{ReaderCell, TextCallback};

/// Ends the request when the wait for its reply is over, however that came about.
struct Ending(ProcessOwned<Arc<Inbox>>);

impl Drop for Ending {
    fn drop(&mut self) {
        if let Ok(inbox) = self.0.get() {
            inbox.abort();
        }
    }
}

/// Sends `request`, calls `on_text` (and `on_thinking`) with each piece of the answer, and gives the final object.
pub fn deliver(
    py: Python<'_>,
    client: Client,
    request: Request,
    on_text: &Bound<'_, PyAny>,
    on_thinking: Option<&Bound<'_, PyAny>>,
    call: ObservedCall,
) -> PyResult<Py<PyAny>> {
    let inbox = Inbox::new(CAPACITY);
    let green = GreenThread::current(py)?;
    inbox.set_waker(green.as_ref().map(GreenThread::waker));
    let ending = Ending(ProcessOwned::new(Arc::clone(&inbox)));
    handle(py)?.spawn(async move { client.pump(request, inbox, PumpMode::Deltas).await });
    let reader = ReaderCell::new(call);
    let successor = OnceLock::new();
    let on_text = TextCallback::new(on_text, &successor);
    // A callback may fork: the child has no reply.
    let here = || {
        let inbox = ending.0.get();
        inbox.map_err(|error| errors::to_python(py, error))
    };
    loop {
        let inbox = here()?;
        let outcome = reader.with(|stream| {
            if !stream.refill(inbox) {
                return None;
            }
            if stream.at_end() {
                return Some(stream.check_end(py).and_then(|()| stream.answer(py)));
            }
            let delivered = stream.deliver(py, &on_text, on_thinking, || true);
            // A callback that is no Python code lets no signal handler run.
            delivered
                .and_then(|()| py.check_signals())
                .map_or_else(|error| Some(Err(error)), |()| None)
        });
        match outcome.flatten() {
            Some(outcome) => return outcome,
            None => wait_for_items(py, here()?, green.as_ref())?,
        }
    }
}
