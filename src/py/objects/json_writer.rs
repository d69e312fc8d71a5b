//! Python objects to JSON text: compact, in UTF-8, without surrogates, of the objects that people put into a request.
//!
//! `{"options": {"temperature": 0.5}, "stop": ("a", None)}` becomes
//! `{"options":{"temperature":0.5},"stop":["a",null]}`. An error names the place in the value: `options.temperature:
//! nan is not JSON`.
//!
//! This runs arbitrary Python code (a `model_dump`, a garbage collection), so no borrow of shared state is held
//! meanwhile.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pyo3::exceptions::{PyTypeError, PyUnicodeEncodeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::list::BoundListIterator;
use pyo3::types::{
    PyBool, PyBytes, PyDict, PyFloat, PyInt, PyIterator, PyList, PyString, PyTuple, PyType,
};

use super::bytes_like::BytesLike;
use crate::py::interpreter::errors;

/// A value with more levels of nesting is an error, because it may contain itself. Python's own `json` goes about as
/// deep.
const MAX_DEPTH: usize = 1000;
/// The number of steps of a path that an error shows: that of a value which contains itself would have a thousand.
const SHOWN_STEPS: usize = 16;

/// Appends `value` to `out` as compact JSON in UTF-8; only what must be escaped is.
///
/// Beyond what `json.dumps` takes: pydantic models (`model_dump(mode="json", exclude_none=True)`), other mappings,
/// bytes (as the text that they are in UTF-8; under the `images` of a request as standard base64), and numbers that
/// only have `__index__` or `__float__` (the scalars of `numpy`). Two surrogates that make a pair are written as the
/// character that they stand for, and a lone one as U+FFFD: servers send half pairs, and people send them back.
///
/// Raises `TypeError` for what has no JSON form, and `ValueError` for NaN, infinities, bytes that are no UTF-8 and
/// nesting over 1,000 levels; the message begins with the path to the value, for example `messages[0].content`. On an
/// error nothing is appended.
pub fn from_python(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
    let start = out.len();
    let done = write_value(value, out);
    if done.is_err() {
        out.truncate(start);
    }
    done
}

/// A container that is being written.
struct OpenContainer<'py> {
    rest: Remaining<'py>,
    /// Which of its values is being written.
    step: JsonPathStep<'py>,
}

/// What is still to be written of a container.
enum Remaining<'py> {
    /// The pairs of a copy of a dict: writing a value may run Python code that changes the dict.
    Pairs(BoundListIterator<'py>),
    /// The items of a list. The iterator asks for the length anew at each step, so that a list which shrinks meanwhile
    /// ends.
    Items(BoundListIterator<'py>),
    /// A mapping that is no dict, and its keys.
    Mapping(Bound<'py, PyAny>, Bound<'py, PyIterator>),
    /// Nothing of a model: its dump is written at the model's path. It counts as a level of nesting, so that a model
    /// whose dump contains the model itself ends, too.
    Dump,
}

/// A step from a container to a value in it.
enum JsonPathStep<'py> {
    /// No value was written yet.
    None,
    Key(Bound<'py, PyBytes>),
    Index(usize),
}

/// How much of a value was written.
enum Written<'py> {
    All,
    /// The opening bracket of a container.
    Opening(Remaining<'py>),
    /// Nothing of a model. This, its dump, is to be written at its path.
    Nothing(Bound<'py, PyAny>),
}

/// Appends `value` to `out`. Without recursion, because threads may have little stack.
fn write_value(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
    let mut open: Vec<OpenContainer<'_>> = Vec::new();
    let mut value = value.clone();
    loop {
        let (rest, next) = match write_start(&value, &JsonPath(&open), out)? {
            Written::All => (None, None),
            Written::Opening(rest) => (Some(rest), None),
            Written::Nothing(plain) => (Some(Remaining::Dump), Some(plain)),
        };
        let step = JsonPathStep::None;
        open.extend(rest.map(|rest| OpenContainer { rest, step }));
        value = match next {
            Some(plain) => plain,
            None => match next_value(&mut open, out)? {
                Some(next) => next,
                None => return Ok(()),
            },
        };
    }
}

/// The next value to be written: of the innermost container that has one. The containers inside that have none are
/// closed.
fn next_value<'py>(
    open: &mut Vec<OpenContainer<'py>>,
    out: &mut Vec<u8>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    while let Some((last, outer)) = open.split_last_mut() {
        let comma = match last.step {
            JsonPathStep::None => "",
            _ => ",",
        };
        let (next, end) = match &mut last.rest {
            Remaining::Dump => (None, ""),
            Remaining::Items(items) => (items.next().map(|item| (None, item)), "]"),
            Remaining::Pairs(pairs) => match pairs.next() {
                Some(pair) => {
                    let (key, value) = pair.extract()?;
                    (Some((Some(key), value)), "}")
                }
                None => (None, "}"),
            },
            Remaining::Mapping(mapping, keys) => match keys.next().transpose()? {
                Some(key) => {
                    let value = mapping.get_item(&key)?;
                    (Some((Some(key), value)), "}")
                }
                None => (None, "}"),
            },
        };
        let Some((key, value)) = next else {
            out.extend_from_slice(end.as_bytes());
            open.pop();
            continue;
        };
        out.extend_from_slice(comma.as_bytes());
        last.step = match (key, &last.step) {
            (Some(key), _) => {
                let key = write_key(&key, &JsonPath(outer), out)?;
                JsonPathStep::Key(key)
            }
            (None, JsonPathStep::Index(index)) => JsonPathStep::Index(index + 1),
            (None, _) => JsonPathStep::Index(0),
        };
        return Ok(Some(value));
    }
    Ok(None)
}

fn write_key<'py>(
    key: &Bound<'py, PyAny>,
    path: &JsonPath<'_, 'py>,
    out: &mut Vec<u8>,
) -> PyResult<Bound<'py, PyBytes>> {
    let Ok(text) = key.cast::<PyString>() else {
        let text = format!("key {} is {}, not str", show(key)?, type_name(key));
        return Err(PyTypeError::new_err(path.describe(text)));
    };
    let text = utf8(text)?;
    quote(text.as_bytes(), out);
    out.push(b':');
    Ok(text)
}

/// The path from the value that is written to a value inside it, by the containers that are open.
struct JsonPath<'a, 'py>(&'a [OpenContainer<'py>]);

impl<'a, 'py> JsonPath<'a, 'py> {
    fn steps(&self) -> impl Iterator<Item = &'a JsonPathStep<'py>> {
        let steps = self.0.iter().map(|open| &open.step);
        steps.filter(|step| !matches!(step, JsonPathStep::None))
    }

    /// Whether it leads to an image: to `images[i]` of the request, or of one of its messages.
    fn is_image(&self) -> bool {
        let is = |step: Option<&JsonPathStep<'_>>, name: &[u8]| matches!(step, Some(JsonPathStep::Key(key)) if key.as_bytes() == name);
        let mut steps = self.steps();
        let mut first = steps.next();
        if is(first, b"messages") {
            steps.next();
            first = steps.next();
        }
        is(first, b"images") && steps.next().is_some() && steps.next().is_none()
    }

    /// `text`, preceded by the path if that has steps.
    #[cold]
    fn describe(&self, text: impl fmt::Display) -> String {
        let steps = self.steps().count();
        match steps {
            0 => text.to_string(),
            1..=SHOWN_STEPS => format!("{self}: {text}"),
            _ => format!("{self}…: {text}"),
        }
    }
}

impl fmt::Display for JsonPath<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.steps().take(SHOWN_STEPS).enumerate() {
            match step {
                JsonPathStep::None => {}
                JsonPathStep::Index(index) => write!(f, "[{index}]")?,
                JsonPathStep::Key(key) => {
                    let key = String::from_utf8_lossy(key.as_bytes());
                    let plain = !key.is_empty()
                        && key
                            .chars()
                            .all(|c| c.is_alphanumeric() || c == '_' || c == '-');
                    match (plain, depth) {
                        (true, 0) => f.write_str(&key)?,
                        (true, _) => write!(f, ".{key}")?,
                        (false, _) => write!(f, "[{key:?}]")?,
                    }
                }
            }
        }
        Ok(())
    }
}

/// Writes `value`, or the beginning of it.
fn write_start<'py>(
    value: &Bound<'py, PyAny>,
    path: &JsonPath<'_, 'py>,
    out: &mut Vec<u8>,
) -> PyResult<Written<'py>> {
    if let Ok(text) = value.cast::<PyString>() {
        quote(utf8(text)?.as_bytes(), out);
    } else if value.is_none() {
        out.extend_from_slice(b"null");
    } else if let Ok(truth) = value.cast::<PyBool>() {
        out.extend_from_slice(if truth.is_true() { b"true" } else { b"false" });
    } else if let Ok(number) = value.cast::<PyInt>() {
        write_int(number, path, out)?;
    } else if let Ok(number) = value.cast::<PyFloat>() {
        write_float(value.py(), number.value(), path, out)?;
    } else if path.0.len() >= MAX_DEPTH {
        let text = format!("more than {MAX_DEPTH} levels of nesting (circular?)");
        return Err(PyValueError::new_err(path.describe(text)));
    } else if let Ok(dict) = value.cast::<PyDict>() {
        out.push(b'{');
        return Ok(Written::Opening(Remaining::Pairs(dict.items().iter())));
    } else if let Ok(list) = value.cast::<PyList>() {
        out.push(b'[');
        return Ok(Written::Opening(Remaining::Items(list.iter())));
    } else if let Ok(tuple) = value.cast::<PyTuple>() {
        out.push(b'[');
        return Ok(Written::Opening(Remaining::Items(tuple.to_list().iter())));
    } else {
        return write_other(value, path, out);
    }
    Ok(Written::All)
}

fn write_int(
    number: &Bound<'_, PyInt>,
    path: &JsonPath<'_, '_>,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    if let Ok(small) = number.extract::<i64>() {
        return Ok(write!(out, "{small}")?);
    }
    // Not `repr(number)`: that of an enum member is its name.
    let digits = number
        .py()
        .get_type::<PyInt>()
        .call_method1(intern!(number.py(), "__repr__"), (number,))
        .map_err(|error| PyValueError::new_err(path.describe(error.value(number.py()))))?;
    out.extend_from_slice(digits.cast::<PyString>()?.to_cow()?.as_bytes());
    Ok(())
}

fn write_float(
    py: Python<'_>,
    number: f64,
    path: &JsonPath<'_, '_>,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    if !number.is_finite() {
        let text = format!("{} is not JSON", PyFloat::new(py, number).repr()?);
        return Err(PyValueError::new_err(path.describe(text)));
    }
    // A new float: the repr of a subclass (`np.float64(0.5)`) need not be a number.
    out.extend_from_slice(PyFloat::new(py, number).repr()?.to_cow()?.as_bytes());
    Ok(())
}

/// Everything that is not one of JSON's own types in Python.
#[inline(never)]
fn write_other<'py>(
    value: &Bound<'py, PyAny>,
    path: &JsonPath<'_, 'py>,
    out: &mut Vec<u8>,
) -> PyResult<Written<'py>> {
    let py = value.py();
    if let Some(bytes) = BytesLike::of(value)? {
        let bytes = bytes.as_slice();
        if path.is_image() {
            quote(STANDARD.encode(bytes).as_bytes(), out);
            return Ok(Written::All);
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let text = format!("the {} are not UTF-8 text: {error}", type_name(value));
            PyValueError::new_err(path.describe(text))
        })?;
        quote(text.as_bytes(), out);
        return Ok(Written::All);
    }
    if let Ok(class) = value.cast::<PyType>() {
        let mut text = format!("the class {} is not JSON", class.name()?);
        if class.hasattr(intern!(py, "model_json_schema"))? {
            write!(
                text,
                "; for its schema write {}.model_json_schema()",
                class.name()?
            )
            .map_err(refuse)?;
        }
        return Err(PyTypeError::new_err(path.describe(text)));
    }
    if value.hasattr(intern!(py, "model_dump"))? {
        let options = PyDict::new(py);
        options.set_item(intern!(py, "mode"), intern!(py, "json"))?;
        options.set_item(intern!(py, "exclude_none"), true)?;
        let plain = value.call_method(intern!(py, "model_dump"), (), Some(&options))?;
        return Ok(Written::Nothing(plain));
    }
    if value.hasattr(intern!(py, "keys"))? && value.hasattr(intern!(py, "__getitem__"))? {
        let keys = value.call_method0(intern!(py, "keys"))?.try_iter()?;
        out.push(b'{');
        return Ok(Written::Opening(Remaining::Mapping(value.clone(), keys)));
    }
    // What has a length is a container, also where it knows `__float__` (an array of one number).
    if !value.hasattr(intern!(py, "__len__"))? {
        if is_numpy_bool(value)? {
            out.extend_from_slice(if value.is_truthy()? {
                b"true"
            } else {
                b"false"
            });
            return Ok(Written::All);
        }
        if let Some(number) = number(value, intern!(py, "__index__"))? {
            write_int(number.cast::<PyInt>()?, path, out)?;
            return Ok(Written::All);
        }
        if let Some(number) = number(value, intern!(py, "__float__"))? {
            write_float(py, number.extract()?, path, out)?;
            return Ok(Written::All);
        }
    }
    Err(PyTypeError::new_err(
        path.describe(format!("{} is not JSON", type_name(value))),
    ))
}

/// What `method` of a number makes of it. Having the method does not mean that it works: the complex of Python 3.9 has
/// `__float__`.
fn number<'py>(
    value: &Bound<'py, PyAny>,
    method: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if !value.get_type().hasattr(method)? {
        return Ok(None);
    }
    match value.call_method0(method) {
        Err(error) if error.is_instance_of::<PyTypeError>(value.py()) => Ok(None),
        other => other.map(Some),
    }
}

/// The bool of `numpy` has `__float__` too, but it is not a number to JSON.
fn is_numpy_bool(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let class = value.get_type();
    let name = class.name()?;
    Ok((name == "bool" || name == "bool_") && class.module()? == "numpy")
}

fn utf8<'py>(text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyBytes>> {
    match text.encode_utf8() {
        Err(error) if error.is_instance_of::<PyUnicodeEncodeError>(text.py()) => {
            Ok(PyBytes::new(text.py(), join_surrogates(text)?.as_bytes()))
        }
        other => other,
    }
}

/// `text` with its pairs of surrogates joined, and U+FFFD for those that are alone.
#[cold]
pub fn join_surrogates(text: &Bound<'_, PyString>) -> PyResult<String> {
    let units = text.call_method1(intern!(text.py(), "encode"), ("utf-16-le", "surrogatepass"))?;
    let units = units.cast::<PyBytes>()?;
    let units = units
        .as_bytes()
        .chunks_exact(2)
        .filter_map(|unit| Some(u16::from_le_bytes(unit.try_into().ok()?)));
    Ok(char::decode_utf16(units)
        .map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect())
}

/// Appends `text` as a JSON string. Everything that needs an escape is a single byte, so bytes are enough.
fn quote(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = rest
        .iter()
        .position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\')
    {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, tail)) = tail.split_first() else {
            break;
        };
        match *byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0C => out.extend_from_slice(b"\\f"),
            control => {
                out.extend_from_slice(b"\\u00");
                out.extend(
                    [control >> 4, control & 15]
                        .iter()
                        .filter_map(|digit| HEX.get(usize::from(*digit))),
                );
            }
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn type_name(value: &Bound<'_, PyAny>) -> String {
    value
        .get_type()
        .name()
        .map_or_else(|_| "object".to_owned(), |name| name.to_string())
}

/// A short repr for a message.
fn show(value: &Bound<'_, PyAny>) -> PyResult<String> {
    let text = errors::none_if_raised(value.py(), value.repr())?;
    Ok(text.map_or_else(
        || "?".to_owned(),
        |text| text.to_string_lossy().chars().take(60).collect(),
    ))
}

fn refuse(error: fmt::Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}
