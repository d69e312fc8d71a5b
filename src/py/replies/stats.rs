//! The records of calls for `metagpt_ollama_rs.stats`.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::error::{Error, Kind};
use crate::py::interpreter::exit::enter;
use crate::py::interpreter::log;
use crate::py::objects::{counters, json};
use crate::stats;
use crate::stats::{CallInfo, Journal, ReplyEnd, Trace};
use crate::wire::fold_body;

/// Whole bodies longer than this are not read a second time for their counts.
const SHORT: usize = 64 << 10;

/// The records of this process as a list of dicts, the oldest first.
#[pyfunction]
pub fn stats_records(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    enter();
    json::from_serializable(py, &stats::records())
}

/// The calls of this process that are under way as a list of dicts, the oldest first.
#[pyfunction]
pub fn stats_pending(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    enter();
    json::from_serializable(py, &stats::pending())
}

/// Forgets the records of this process.
#[pyfunction]
pub fn stats_clear() {
    enter();
    stats::clear();
}

/// Keeps the last `capacity` records from now on.
#[pyfunction]
pub fn stats_resize(capacity: usize) {
    enter();
    stats::resize(capacity);
}

/// Makes the record of an error that was raised without the core: of a call that was refused before anything was sent,
/// or with `rejected` of the reply of a call that ended well. Raises `ValueError` for a `kind` that is none.
#[pyfunction]
#[pyo3(signature = (kind, *, model, host, endpoint, streamed, status, rejected))]
#[expect(
    clippy::too_many_arguments,
    reason = "keywords of the one Python caller"
)]
pub fn stats_fail(
    py: Python<'_>,
    kind: &str,
    model: String,
    host: String,
    endpoint: String,
    streamed: bool,
    status: Option<u16>,
    rejected: bool,
) -> PyResult<()> {
    enter();
    let kind = Kind::named(kind)
        .ok_or_else(|| PyValueError::new_err(format!("{kind:?} is no kind of error")))?;
    let call = CallInfo {
        model,
        host,
        endpoint,
        streamed,
    };
    let target = std::env::var("METAGPT_OLLAMA_STATS").unwrap_or_default();
    let trace = Trace::not_under_way(call, Journal::at(&target), rejected);
    let error = Error::new(kind, "").with_status(status);
    trace.finish(Some(&error));
    for note in trace.take_notes() {
        log::log(py, "warning", PyString::new(py, &note.text).as_any())?;
    }
    Ok(())
}

/// Notes what was repaired in the answer of the call with this `id`, which has ended.
#[pyfunction]
pub fn stats_repaired(id: &str, repaired: &str) {
    enter();
    let target = std::env::var("METAGPT_OLLAMA_STATS").unwrap_or_default();
    stats::note_repairs(id, repaired, Journal::at(&target).as_deref());
}

/// Tells `trace` the counters of a parsed reply, and why it ended.
pub fn note_answer(reply: &Bound<'_, PyAny>, trace: &Trace) {
    let Ok(reply) = reply.cast::<PyDict>() else {
        return;
    };
    let text = |name| {
        let value = reply.get_item(name).ok().flatten();
        value.and_then(|value| value.extract().ok())
    };
    let end = ReplyEnd {
        counters: counters::read(reply),
        done_reason: text(intern!(reply.py(), "done_reason")),
        model: text(intern!(reply.py(), "model")),
    };
    trace.note_answer(end, true);
}

/// As `note_answer`, for a body that is handed on unread.
pub fn note_body(body: &[u8], trace: &Trace) {
    if body.len() <= SHORT {
        let (answer, _) = fold_body(body);
        let end = ReplyEnd {
            counters: answer.counters,
            done_reason: answer.done_reason,
            model: answer.model,
        };
        trace.note_answer(end, true);
    }
}
