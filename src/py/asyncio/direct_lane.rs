//! The direct lane in an event loop: one reactor for each loop, which the loop watches as one descriptor.
//!
//! The reader callback lets the reactor take what has come, and then wakes every stream and call that has something new:
//! one Python callback serves all sockets that are ready in a turn of the loop. Lanes are kept by the loop itself, as hubs
//! are. A loop without `add_reader` has none, and its requests take the general lane.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::loop_waker::{Sleeper, by_loop, unwatched, wake_all, watch};
use crate::http::direct::Reactor;
use crate::py::interpreter::exit::enter;
use crate::py::interpreter::runtime::{Owned, lock};

/// The part of a lane that tasks know.
pub struct LaneCore {
    reactor: Reactor,
    ready: Mutex<Vec<Weak<dyn Sleeper>>>,
    /// The reader callback is at work, and looks at `ready` before it ends.
    serving: AtomicBool,
}

impl LaneCore {
    pub fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    /// Wakes `sleeper` in the reader callback: this one, or the next.
    pub fn arm(&self, sleeper: Weak<dyn Sleeper>) {
        lock(&self.ready).push(sleeper);
        if !self.serving.load(Ordering::Acquire) {
            self.reactor.wake();
        }
    }

    /// Wakes whoever has been armed.
    fn serve(&self, py: Python<'_>) -> PyResult<()> {
        let ready = std::mem::take(&mut *lock(&self.ready));
        wake_all(py, ready)
    }
}

/// The lane of one event loop; its bound method `turn` is the reader callback.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct Lane {
    core: Owned<Arc<LaneCore>>,
}

#[pymethods]
impl Lane {
    fn turn(&self, py: Python<'_>) -> PyResult<()> {
        enter();
        let Ok(core) = self.core.get() else {
            return Ok(());
        };
        core.serving.store(true, Ordering::Release);
        // First those that were armed since the last turn.
        let mut result = core.serve(py);
        core.reactor.run_once(|| {
            let served = core.serve(py);
            if result.is_ok() {
                result = served;
            }
        });
        core.serving.store(false, Ordering::Release);
        if !lock(&core.ready).is_empty() {
            core.reactor.wake();
        }
        result
    }
}

/// The lane of `event_loop`; `None` if it can have none.
pub fn lane(py: Python<'_>, event_loop: &Bound<'_, PyAny>) -> PyResult<Option<Arc<LaneCore>>> {
    static LANES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let lanes = by_loop(py, &LANES)?;
    let known = lanes.call_method1(intern!(py, "get"), (event_loop,))?;
    if let Ok(lane) = known.cast::<Lane>()
        && let Ok(core) = lane.get().core.get()
    {
        return Ok(Some(Arc::clone(core)));
    }
    if known.is(event_loop.get_type()) {
        return Ok(None);
    }
    let made = new_lane(py, event_loop)?;
    let Some(lane) = made else {
        // Anything that is no lane will do to remember that there is none.
        lanes.set_item(event_loop, event_loop.get_type())?;
        return Ok(None);
    };
    lanes.set_item(event_loop, &lane)?;
    Ok(Some(Arc::clone(&lane.get().core)))
}

fn new_lane<'py>(
    py: Python<'py>,
    event_loop: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, Lane>>> {
    let reactor = Reactor::new().map_err(|error| unwatched(py, &error))?;
    let descriptor = reactor.descriptor();
    let core = Arc::new(LaneCore {
        reactor,
        ready: Mutex::default(),
        serving: AtomicBool::new(false),
    });
    let core = Owned::new(core);
    let lane = Bound::new(py, Lane { core })?;
    let turn = lane.getattr(intern!(py, "turn"))?;
    Ok(watch(event_loop, descriptor, &turn)?.then_some(lane))
}
