//! The bytes of a text by script, as a tuple: `b"two 42"` gives `(3, 2, 0, 1, 0, 0, 0, 0)`.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::py::interpreter::exit::enter;
use crate::wire::scripts::count_bytes;

/// How many bytes of `text`, which is UTF-8, belong to each of `SCRIPTS`.
#[pyfunction]
pub fn count_script_bytes<'py>(
    py: Python<'py>,
    text: &Bound<'py, PyBytes>,
) -> PyResult<Bound<'py, PyTuple>> {
    enter();
    PyTuple::new(py, count_bytes(text.as_bytes()))
}
