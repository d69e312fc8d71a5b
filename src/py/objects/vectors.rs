//! The check of vectors that came as lists. In Python it would take longer than reading them did.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyList};

use crate::py::interpreter::exit::enter;

/// What is wrong with a list of vectors as JSON has it, or None: each must be a list of as many finite numbers as the
/// first one, and of one at least.
#[pyfunction]
pub fn vectors_fault(vectors: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    enter();
    let Ok(vectors) = vectors.cast::<PyList>() else {
        return Ok(Some(format!(
            "the vectors are {} and no list",
            kind(vectors)?
        )));
    };
    let mut width = 0;
    for (row, vector) in vectors.iter().enumerate() {
        let Ok(vector) = vector.cast::<PyList>() else {
            let text = format!(
                "vector {row} is no list of numbers: it is {}",
                kind(&vector)?
            );
            return Ok(Some(text));
        };
        let found = vector.len();
        if found == 0 {
            return Ok(Some(format!("vector {row} is empty")));
        }
        for column in plain(vector)..found {
            let number = vector.get_item(column)?;
            if number.is_exact_instance_of::<PyFloat>() {
                if number.extract::<f64>()?.is_finite() {
                    continue;
                }
            } else if !number.is_instance_of::<PyInt>() || number.is_instance_of::<PyBool>() {
                let kind = kind(&number)?;
                return Ok(Some(format!(
                    "number {column} of vector {row} is not a number: it is {kind}"
                )));
            } else if number.extract::<f64>().is_ok() {
                continue;
            }
            return Ok(Some(format!(
                "number {column} of vector {row} is not finite, or too large for a float"
            )));
        }
        if row == 0 {
            width = found;
        } else if found != width {
            return Ok(Some(format!(
                "vector {row} has {found} numbers, and those before it have {width}"
            )));
        }
    }
    Ok(None)
}

/// How many of the first numbers are finite floats: nearly always all. The safe way to each takes five times as long.
fn plain(vector: &Bound<'_, PyList>) -> usize {
    let mut found = 0;
    loop {
        let Ok(index) = ffi::Py_ssize_t::try_from(found) else {
            return found;
        };
        if found == vector.len() {
            return found;
        }
        // SAFETY: the thread is attached and the list alive. The reference is borrowed from the list, and no code that
        // could change the list runs before its last use.
        let finite = unsafe {
            let number = ffi::PyList_GetItem(vector.as_ptr(), index);
            !number.is_null()
                && ffi::PyFloat_CheckExact(number) != 0
                && ffi::PyFloat_AsDouble(number).is_finite()
        };
        if !finite {
            return found;
        }
        found += 1;
    }
}

fn kind(value: &Bound<'_, PyAny>) -> PyResult<String> {
    if value.is_none() {
        return Ok("null".to_owned());
    }
    Ok(format!("a {}", value.get_type().name()?))
}
