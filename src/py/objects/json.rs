//! JSON text to Python objects, equal to those of Python's `json.loads`.
//!
//! `{"done": true, "eval_count": 26}` becomes `{"done": True, "eval_count": 26}`. One pass over the text makes the
//! objects (`json_builder`). Whatever that declines or cannot represent (NaN, lone surrogates, integers over 64 bits,
//! deep nesting, plain errors) goes to `json.loads` itself, so that values and exceptions are its own.
//!
//! Reading may run arbitrary Python code (a garbage collection), so no borrow of shared state is held meanwhile.

use std::cell::Cell;

use pyo3::exceptions::{PyRecursionError, PyUnicodeDecodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;
use serde::Serialize;

use super::json_builder;
use super::key_cache::KeyCache;
use crate::py::interpreter::pending_exception::NoObject;

/// Scratch memory above this is given back after use.
const KEEP_BYTES: usize = 1 << 20;

/// What the quick reader needs, kept from call to call.
struct ReaderMemory {
    scratch: Vec<u8>,
    keys: KeyCache,
}

thread_local! {
    // Taken out while in use: building objects may run a garbage collection, and that any Python code, this reader too.
    static MEMORY: Cell<Option<Box<ReaderMemory>>> = const { Cell::new(None) };
}

/// The value that `json.loads` has for `text` (UTF-8, no byte order mark).
///
/// Raises what `json.loads` raises (`json.JSONDecodeError`; `RecursionError` for absurd nesting), and
/// `UnicodeDecodeError` for text that is not UTF-8.
pub fn to_python<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match fast(py, text)? {
        Some(value) => Ok(value),
        None => loads(py, &PyString::from_bytes(py, text)?),
    }
}

/// The object that stands for `value`: a struct is a dict.
pub fn from_serializable<'py>(
    py: Python<'py>,
    value: &impl Serialize,
) -> PyResult<Bound<'py, PyAny>> {
    let text =
        serde_json::to_vec(value).map_err(|error| PyValueError::new_err(error.to_string()))?;
    to_python(py, &text)
}

/// The value, or `None` where [`is_not_json`] is the reason that there is none. Any other exception is raised on.
pub fn none_if_not_json<T>(py: Python<'_>, read: PyResult<T>) -> PyResult<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_not_json(py, &error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether `error` says that Python finds no JSON: a `ValueError`, as also for integers over 4,300 digits and for what
/// is not UTF-8, or a `RecursionError` for nesting that is too deep.
pub fn is_not_json(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyValueError>(py) || error.is_instance_of::<PyRecursionError>(py)
}

/// Python's own `json.loads` of a str.
pub fn loads<'py>(py: Python<'py>, text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let loads = LOADS.get_or_try_init(py, || {
        py.import("json")?.getattr("loads").map(Bound::unbind)
    })?;
    loads.bind(py).call1((text,))
}

/// The value of `text`, or None where only `json.loads` can tell.
fn fast<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Option<Bound<'py, PyAny>>> {
    match try_read(py, text) {
        Ok(value) => Ok(Some(value)),
        Err(why) => match why.exception(py).map(|exception| exception.take(py)) {
            Some(error) if !error.is_instance_of::<PyUnicodeDecodeError>(py) => Err(error),
            _ => Ok(None),
        },
    }
}

/// The value of `text`, where the quick way finds it. Drops no `Py`.
pub fn try_read<'py>(py: Python<'py>, text: &[u8]) -> Result<Bound<'py, PyAny>, NoObject> {
    let mut memory = MEMORY.take().unwrap_or_else(|| {
        let (scratch, keys) = (Vec::new(), KeyCache::new(py));
        Box::new(ReaderMemory { scratch, keys })
    });
    let ReaderMemory { scratch, keys } = &mut *memory;
    let value = json_builder::read(py, text, keys, scratch);
    scratch.shrink_to(KEEP_BYTES);
    MEMORY.set(Some(memory));
    value
}
