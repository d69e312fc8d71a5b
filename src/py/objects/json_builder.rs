//! Python objects for the reader of JSON text (`wire::json::value`), equal to those of `json.loads`.
//!
//! `{"done": true, "eval_count": 26}` becomes a dict of a bool and an int.

use std::vec::Drain;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString};

use super::key_cache::KeyCache;
use super::text;
use crate::py::interpreter::c_api;
use crate::py::interpreter::pending_exception::NoObject;
use crate::wire::JsonString;
use crate::wire::json::value::{self, ValueBuilder};

/// The value of `text`. `scratch` is memory for strings with escapes, and may hold anything.
pub fn read<'py>(
    py: Python<'py>,
    text: &[u8],
    keys: &mut KeyCache,
    scratch: &mut Vec<u8>,
) -> Result<Bound<'py, PyAny>, NoObject> {
    let value = value::read(text, &mut ObjectBuilder { py, keys }, scratch);
    value.ok_or(NoObject::declined_or_raised())
}

/// Refuses what is declined, and what Python has raised an exception for, which stays pending: `None` is [`NoObject`] here.
struct ObjectBuilder<'py, 'k> {
    py: Python<'py>,
    keys: &'k mut KeyCache,
}

impl<'py> ValueBuilder for ObjectBuilder<'py, '_> {
    type Value = Bound<'py, PyAny>;
    type Object = Bound<'py, PyDict>;
    type Key = Bound<'py, PyString>;

    fn null(&mut self) -> Option<Self::Value> {
        Some(self.py.None().into_bound(self.py))
    }

    fn boolean(&mut self, truth: bool) -> Option<Self::Value> {
        Some(PyBool::new(self.py, truth).to_owned().into_any())
    }

    #[inline]
    fn integer(&mut self, number: i64) -> Option<Self::Value> {
        c_api::new_int(self.py, number).ok()
    }

    #[inline]
    fn float(&mut self, number: f64) -> Option<Self::Value> {
        c_api::new_float(self.py, number).ok()
    }

    #[inline]
    fn string(&mut self, text: JsonString<'_>) -> Option<Self::Value> {
        text::to_str(self.py, text).ok().map(Bound::into_any)
    }

    fn array(&mut self, items: Drain<'_, Self::Value>) -> Option<Self::Value> {
        c_api::new_list(self.py, items).ok()
    }

    #[inline]
    fn object(&mut self) -> Option<Self::Object> {
        c_api::new_dict(self.py).ok()
    }

    #[inline]
    fn key(&mut self, text: JsonString<'_>) -> Option<Self::Key> {
        self.keys.get(self.py, text).ok()
    }

    #[inline]
    fn member(
        &mut self,
        object: &mut Self::Object,
        key: Self::Key,
        value: Self::Value,
    ) -> Option<()> {
        // As with json.loads, a repeated key keeps its first place and takes the last value.
        c_api::set_item(object, &key, &value).ok()
    }

    #[inline]
    fn close(&mut self, object: Self::Object) -> Option<Self::Value> {
        Some(object.into_any())
    }
}
