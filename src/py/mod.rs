//! The extension module `metagpt_ollama_rs._core`: what Python sees of the crate.

mod decode;
mod delta;
mod errors;
mod json;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The value of JSON text, as `json.loads` has it.
#[pyfunction]
fn loads<'py>(py: Python<'py>, text: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
    json::to_python(py, text.as_bytes())
}

/// Compact JSON text of `value`, in UTF-8.
#[pyfunction]
fn dumps<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::new();
    json::from_python(value, &mut out)?;
    Ok(PyBytes::new(py, &out))
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<delta::StreamDecoder>()?;
    module.add_class::<delta::Delta>()?;
    module.add_function(wrap_pyfunction!(loads, module)?)?;
    module.add_function(wrap_pyfunction!(dumps, module)?)?;
    module.add_function(wrap_pyfunction!(decode::decode, module)?)?;
    module.add_function(wrap_pyfunction!(decode::get_choice, module)?)?;
    module.add_function(wrap_pyfunction!(decode::get_response_choice, module)?)?;
    Ok(())
}
