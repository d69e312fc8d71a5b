//! One conversion from the crate's error to the exceptions of `metagpt_ollama_rs.errors`.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::Error;

/// The exception for `error`.
#[expect(clippy::needless_pass_by_value, reason = "an error is reported once")]
pub fn to_python(py: Python<'_>, error: Error) -> PyErr {
    let build = || {
        let facts = PyDict::new(py);
        facts.set_item("message", &error.message)?;
        py.import("metagpt_ollama_rs.errors")?
            .getattr("from_core")?
            .call((error.kind.name(),), Some(&facts))
    };
    build().map_or_else(|failure| failure, PyErr::from_value)
}
