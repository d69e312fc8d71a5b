//! The counters of a reply (`wire::counters`) as Python has them: members of a dict, and getters of a class.
//!
//! ```text
//! {"done": True, "eval_count": 3}       ->  Counters { eval_count: Some(3), all others None }
//! {"usage": {"completion_tokens": 3}}   ->  the same
//! ```

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

use crate::wire::Counters;

/// The names as str objects, made once: those of `Counters::NAMES`.
fn names(py: Python<'_>) -> &'static [Py<PyString>] {
    static NAMES: PyOnceLock<Vec<Py<PyString>>> = PyOnceLock::new();
    NAMES.get_or_init(py, || {
        let names = Counters::NAMES.iter();
        names
            .map(|name| PyString::intern(py, name).unbind())
            .collect()
    })
}

/// The counters among the members of `reply`, `{"eval_count": 3, …}`, or in its `usage` where it is one of `OpenAI`'s
/// endpoints. What is no count is left out.
pub fn read(reply: &Bound<'_, PyDict>) -> Counters {
    let py = reply.py();
    let mut counters = Counters::default();
    for (name, value) in names(py).iter().zip(counters.values_mut()) {
        *value = count(reply, name.bind(py));
    }
    if let Ok(Some(usage)) = reply.get_item(pyo3::intern!(py, "usage"))
        && let Ok(usage) = usage.cast::<PyDict>()
    {
        counters.set_openai_usage(|name| count(usage, &PyString::new(py, name)));
    }
    counters
}

fn count(record: &Bound<'_, PyDict>, name: &Bound<'_, PyString>) -> Option<u64> {
    record.get_item(name).ok()??.extract().ok()
}

/// Puts the counters that the server gave into `record`.
pub fn put(record: &Bound<'_, PyDict>, counters: &Counters) -> PyResult<()> {
    let py = record.py();
    for (name, (_, value)) in names(py).iter().zip(counters.iter()) {
        if let Some(value) = value {
            record.set_item(name, value)?;
        }
    }
    Ok(())
}

/// `#[pymethods] impl Class { … }` with a getter more for each counter. The class has a method `counters`.
macro_rules! with_counter_getters {
    ($($methods:tt)*) => {
        crate::wire::counters::for_each_counter! { add_counter_getters $($methods)* }
    };
}

macro_rules! add_counter_getters {
    (
        [$(#[$attribute:meta])* impl $class:ident { $($methods:tt)* }]
        $($(#[$doc:meta])* $counter:ident $(= $openai:literal)?,)+
    ) => {
        $(#[$attribute])*
        impl $class {
            $($methods)*
            $(
                $(#[$doc])*
                #[getter]
                fn $counter(&self) -> Option<u64> {
                    crate::py::interpreter::exit::enter();
                    self.counters().$counter
                }
            )+
        }
    };
}
pub(super) use {add_counter_getters, with_counter_getters};
