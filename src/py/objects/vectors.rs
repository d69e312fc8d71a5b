//! The check of vectors that came as lists. In Python it would take longer than reading them did.
//!
//! ```text
//! [[0.1, 0.2], [3, 4.5]]   ->  None
//! [[0.1, 0.2], [3, None]]  ->  'number 1 of vector 1 is not a number: it is null'
//! ```

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyList};

use crate::py::interpreter::c_api;
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
        // Nearly always all of them are finite floats, and the safe way to each takes five times as long.
        for column in c_api::count_finite_floats(vector)..found {
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

fn kind(value: &Bound<'_, PyAny>) -> PyResult<String> {
    if value.is_none() {
        return Ok("null".to_owned());
    }
    Ok(format!("a {}", value.get_type().name()?))
}
