//! A call as Python is told of it: in lines of the log, and by the events of hooks.
//!
//! Hooks and what they are told are Python's (`python/metagpt_ollama_rs/events.py`): `begin_call` makes an observer of a call
//! that somebody wants to be told of, and the methods of that are called here, with the GIL, never on the I/O thread:
//!
//! ```text
//! first_token(0.42)                                   a stream has brought its first byte
//! retry(0.2, "retry 1 of 2 of http://… after …")      the request was sent again
//! end({"id": "71-…", …}, "stop", "qwen3:8b", None)    the call has ended, well or with an exception
//! ```
//!
//! A call that nobody wants to be told of has no observer, and costs the look at one flag.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use crate::error::{Error, Kind};
use crate::py::interpreter::exit::{enter, is_exiting};
use crate::py::interpreter::log;
use crate::py::interpreter::vectorcall;
use crate::py::objects::json;
use crate::stats::Trace;

/// Whether hooks of the whole process want to be told of every call.
static OBSERVES_ALL: AtomicBool = AtomicBool::new(false);

/// Says whether the hooks of `events.py` want to be told of the calls of every client.
#[pyfunction]
pub fn observe_all_calls(wanted: bool) {
    enter();
    OBSERVES_ALL.store(wanted, Ordering::Release);
}

/// A call under way: what is noted of it, and who is told.
#[derive(Clone)]
pub struct ObservedCall {
    trace: Arc<Trace>,
    observer: Option<Arc<Observer>>,
}

struct Observer {
    object: Py<PyAny>,
    /// Whether the observer was told of the end, which happens once.
    ended: AtomicBool,
}

/// Headers that a request gets from those who were told of it.
type AddedHeaders = Vec<(String, String)>;

impl ObservedCall {
    /// The call `trace` begins, and is told to `hook` and to the hooks of the process. `endpoint` is the row of the table.
    /// An exception of a hook is reported by `events.py`; only one that stops the program (`KeyboardInterrupt`) comes out.
    pub fn begin(
        py: Python<'_>,
        trace: Arc<Trace>,
        hook: Option<&Py<PyAny>>,
        endpoint: &Bound<'_, PyAny>,
        payload: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(Self, AddedHeaders)> {
        static BEGIN_CALL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let mut call = Self {
            trace,
            observer: None,
        };
        if hook.is_none() && !OBSERVES_ALL.load(Ordering::Acquire) {
            return Ok((call, Vec::new()));
        }
        call.trace.keep_end();
        let begin_call = BEGIN_CALL.import(py, "metagpt_ollama_rs.events", "begin_call")?;
        let info = call.trace.call();
        let begun = begin_call.call1((
            hook,
            call.trace.id(),
            &info.host,
            &info.model,
            endpoint,
            payload,
            info.streamed,
        ))?;
        let Some((object, headers)) = begun.extract::<Option<(Py<PyAny>, AddedHeaders)>>()? else {
            return Ok((call, Vec::new()));
        };
        call.observer = Some(Arc::new(Observer {
            object,
            ended: AtomicBool::new(false),
        }));
        Ok((call, headers))
    }

    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Logs and tells what the call has noted since the last time, and with `first_token` that the first items of a
    /// stream are there: before the retries that came later, because a transfer may have broken off since.
    pub fn tell_notes(&self, py: Python<'_>, mut first_token: bool) -> PyResult<()> {
        for note in self.trace.take_notes() {
            if first_token && note.retried_at >= self.trace.first_byte() {
                first_token = false;
                self.tell_first_token(py)?;
            }
            log::log(py, "warning", PyString::new(py, &note.text).as_any())?;
            if let (Some(observer), Some(at)) = (self.open_observer(), note.retried_at) {
                let object = observer.object.bind(py);
                object.call_method1(intern!(py, "retry"), (at.as_secs_f64(), note.text))?;
            }
        }
        if first_token {
            self.tell_first_token(py)?;
        }
        Ok(())
    }

    fn tell_first_token(&self, py: Python<'_>) -> PyResult<()> {
        if let (Some(observer), Some(at)) = (self.open_observer(), self.trace.first_byte()) {
            let object = observer.object.bind(py);
            object.call_method1(intern!(py, "first_token"), (at.as_secs_f64(),))?;
        }
        Ok(())
    }

    /// Tells that the call has ended: well, or with the exception `error` for its caller. Does nothing from the second
    /// time on.
    pub fn tell_end(&self, py: Python<'_>, error: Option<&PyErr>) -> PyResult<()> {
        let Some(observer) = self.open_observer() else {
            return Ok(());
        };
        let noted = self.tell_notes(py, false);
        // A call has ended before anybody knows how, but where this cannot be known: nobody has waited for it.
        self.trace.finish(Some(&abandoned()));
        if observer.ended.swap(true, Ordering::AcqRel) {
            return noted;
        }
        let Some(ended) = self.trace.ended() else {
            return noted;
        };
        let error = error.map(|error| error.value(py));
        let arguments = (
            json::from_serializable(py, &ended.record)?,
            ended.done_reason,
            ended.model,
            error,
        );
        let arguments: Bound<'_, PyTuple> = arguments.into_pyobject(py)?;
        let object = observer.object.bind(py);
        let ended = object.call_method1(intern!(py, "end"), arguments).map(drop);
        noted.and(ended)
    }

    /// The end of a call that is answered whole: what `convert` makes of its `result`, after all that is to be told was told.
    /// A reply that `convert` refuses is one of a call that has failed.
    pub fn convert_and_end(
        &self,
        py: Python<'_>,
        result: PyResult<Py<PyAny>>,
        convert: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let result = self.tell_notes(py, false).and(result);
        let result = match convert {
            Some(convert) => result
                .and_then(|value| vectorcall::call(convert, value.bind(py)).map(Bound::unbind)),
            None => result,
        };
        self.tell_end(py, result.as_ref().err())?;
        result
    }

    /// Tells that the call has ended because its result is not wanted any more: the stream was closed, the task was
    /// cancelled, the object is gone. To be called with the GIL, also where an object is being destroyed: whatever is
    /// raised then is written to `sys.unraisablehook`.
    pub fn tell_abandoned(&self) {
        if self.open_observer().is_none() || is_exiting() {
            return;
        }
        Python::attach(|py| {
            // An object may be destroyed while an exception is on its way.
            let on_its_way = PyErr::take(py);
            if let Err(error) = self.tell_end(py, None) {
                error.write_unraisable(py, None);
            }
            if let Some(error) = on_its_way {
                error.restore(py);
            }
        });
    }

    /// The observer that was not told of the end yet.
    fn open_observer(&self) -> Option<&Observer> {
        let observer = self.observer.as_deref();
        observer.filter(|observer| !observer.ended.load(Ordering::Acquire))
    }

    /// Visits the observer, for the cycle collector. One owner of the call does this, whatever the number of its clones.
    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.observer {
            Some(observer) => visit.call(&observer.object),
            None => Ok(()),
        }
    }
}

impl Deref for ObservedCall {
    type Target = Trace;

    fn deref(&self) -> &Trace {
        &self.trace
    }
}

fn abandoned() -> Error {
    Error::new(Kind::Closed, "nobody waited for the end")
}
