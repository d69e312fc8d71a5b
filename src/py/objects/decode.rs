//! `decode` and `get_choice` of the "`MetaGPT` on Ollama" guide, parsed from the end.
//!
//! Of the body `{"response":"Hel"}\n{"response":"lo","done":true}\n`, `decode` makes `{"response": "lo", "done":
//! True}`, and `decode_text` makes `"lo"`.
//!
//! Wherever the guide's functions return something that is not an error dict, these return an equal value of equal
//! type; where those give an error dict or raise, these may do better (docs/compatibility.md lists each case).

use std::ffi::CStr;

use pyo3::exceptions::{PyException, PyTypeError, PyUnicodeDecodeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PySlice, PyString};

use super::bytes_like::BytesLike;
use super::content_line;
use super::json;
use crate::py::interpreter::exit::enter;
use crate::py::interpreter::log::log;
use crate::py::interpreter::pending_exception::NoObject;
use crate::py::interpreter::unary_function::{self, UnaryFunction};
use crate::wire::{LineTemplate, last_value};

/// So many characters of a body go into an error dict, a log line or an error text.
const RAW_CHARACTERS: isize = 200;

/// The bytes of a body, and whether they are those of a str with lone surrogates in it (as `surrogatepass` writes
/// them).
struct Body<'py> {
    bytes: BytesLike<'py>,
    surrogates: bool,
}

impl<'py> Body<'py> {
    fn of(response: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Some(body) = Self::plain(response)? {
            return Ok(body);
        }
        let inner = match response.getattr_opt(intern!(response.py(), "data"))? {
            Some(data) => Self::plain(&data)?,
            None => None,
        };
        inner.ok_or_else(|| {
            let name = response.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string());
            PyTypeError::new_err(format!(
                "decode() takes bytes, bytearray, memoryview, str or an object whose `data` is one of these, not {name}"
            ))
        })
    }

    fn plain(value: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        if let Some(bytes) = BytesLike::of(value)? {
            return Ok(Some(Self {
                bytes,
                surrogates: false,
            }));
        }
        let Ok(text) = value.cast::<PyString>() else {
            return Ok(None);
        };
        if let Ok(bytes) = text.encode_utf8() {
            let bytes = BytesLike::Shared(bytes);
            return Ok(Some(Self {
                bytes,
                surrogates: false,
            }));
        }
        let bytes = text.call_method1(intern!(value.py(), "encode"), ("utf-8", "surrogatepass"))?;
        let bytes = BytesLike::Shared(bytes.cast_into::<PyBytes>()?);
        Ok(Some(Self {
            bytes,
            surrogates: true,
        }))
    }

    /// `part` of the body as text; raises `UnicodeDecodeError` where it is not UTF-8.
    fn text(&self, py: Python<'py>, part: &[u8]) -> PyResult<Bound<'py, PyString>> {
        if self.surrogates {
            decode_with(py, part, "surrogatepass")
        } else {
            PyString::from_bytes(py, part)
        }
    }

    /// The value of `part`, or None where `json.loads` fails on it.
    fn parse(&self, py: Python<'py>, part: &[u8]) -> PyResult<Option<Bound<'py, PyAny>>> {
        let parsed = json::to_python(py, part).or_else(|error| {
            if self.surrogates && error.is_instance_of::<PyUnicodeDecodeError>(py) {
                json::loads(py, &self.text(py, part)?)
            } else {
                Err(error)
            }
        });
        json::none_if_not_json(py, parsed)
    }
}

fn decode_with<'py>(py: Python<'py>, bytes: &[u8], errors: &str) -> PyResult<Bound<'py, PyString>> {
    let bytes = PyBytes::new(py, bytes);
    Ok(bytes
        .call_method1(intern!(py, "decode"), ("utf-8", errors))?
        .cast_into::<PyString>()?)
}

/// Adds `decode` and `decode_text` to the module.
pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    unary_function::add::<Decode>(module)?;
    unary_function::add::<DecodeText>(module)
}

struct Decode;

impl UnaryFunction for Decode {
    const NAME: &'static CStr = c"decode";
    const DOC: &'static CStr = c"\
decode(response, /)
--

The last JSON value of a reply's body, whatever its format (one object, NDJSON, server-sent events).

`response` is an object with a `data` attribute (`OpenAIResponse`) or the body itself: bytes, bytearray,
memoryview or str. The value is what `json.loads` makes of the last line that parses, of any JSON type.
A body in which nothing parses gives `{\"error\": …, \"raw_data\": …}` and a warning in the log.
Raises `TypeError` for an argument that holds no body.";

    fn try_quickly<'py>(response: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>, NoObject> {
        let py = response.py();
        let body = exact_bytes(response)?;
        match content_line::dict(py, single_line(body)).map_err(|why| why.exception(py)) {
            Ok(dict) => return Ok(dict),
            Err(Some(exception)) => return Err(exception.into()),
            Err(None) => {}
        }
        let line = last_value::lines_from_end(last_value::without_byte_order_mark(body)).next();
        // The template of a content line is to be learned, which `call` does.
        match line.filter(|line| LineTemplate::of(line).is_none()) {
            Some(line) => json::try_read(py, line),
            None => Err(NoObject::declined_or_raised()),
        }
    }

    fn call<'py>(response: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        read(response, content_line::dict, Ok)
    }
}

struct DecodeText;

impl UnaryFunction for DecodeText {
    const NAME: &'static CStr = c"decode_text";
    const DOC: &'static CStr = c"\
decode_text(response, /)
--

The text in the last JSON value of a reply's body: `get_choice(decode(response))` without the dict in between.

A value of `/api/generate`, which has a `response` and no message, gives that response.
Raises `TypeError` for an argument that holds no body.";

    fn try_quickly<'py>(response: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>, NoObject> {
        content_line::text(response.py(), single_line(exact_bytes(response)?))
    }

    fn call<'py>(response: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        read(response, content_line::text, |value| {
            let py = value.py();
            let generated = value.is_instance_of::<PyDict>()
                && field(&value, intern!(py, "message"))?.is_none();
            if generated {
                get_response_choice(&value)
            } else {
                get_choice(&value)
            }
        })
    }
}

/// The bytes of a body that came as bytes itself.
#[inline]
fn exact_bytes<'a>(response: &'a Bound<'_, PyAny>) -> Result<&'a [u8], NoObject> {
    let bytes = response.cast_exact::<PyBytes>();
    bytes.map_or(Err(NoObject::declined_or_raised()), |bytes| {
        Ok(bytes.as_bytes())
    })
}

#[inline]
fn single_line(body: &[u8]) -> &[u8] {
    body.strip_suffix(b"\n").unwrap_or(body)
}

/// What `of_content_line` makes of the last line of the body, if that is a content line, or what `of_value` makes of
/// the last value.
fn read<'py>(
    response: &Bound<'py, PyAny>,
    of_content_line: fn(Python<'py>, &[u8]) -> Result<Bound<'py, PyAny>, NoObject>,
    of_value: fn(Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = response.py();
    let body = Body::of(response)?;
    let text = last_value::without_byte_order_mark(body.bytes.as_slice());
    if let Some(line) = last_value::lines_from_end(text).next() {
        match of_content_line(py, line).map_err(|why| why.exception(py)) {
            Ok(value) => return Ok(value),
            Err(Some(exception)) => exception.discard(py),
            Err(None) if content_line::learn(py, line)? => match of_content_line(py, line) {
                Ok(value) => return Ok(value),
                Err(why) => why.discard(py),
            },
            Err(None) => {}
        }
    }
    of_value(decode_body(py, &body, text)?)
}

fn decode_body<'py>(py: Python<'py>, body: &Body<'py>, text: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    for line in last_value::lines_from_end(text) {
        if let Some(value) = body.parse(py, line)? {
            return Ok(value);
        }
    }
    let whole = last_value::strip_like_python(text);
    if last_value::may_be_json(whole)
        && let Some(value) = body.parse(py, whole)?
    {
        return Ok(value);
    }
    for event in last_value::events_from_end(text) {
        if let Some(value) = body.parse(py, &event)? {
            return Ok(value);
        }
    }
    describe_failure(py, body, text)
}

/// The error dict of a body in which nothing parses.
#[cold]
fn describe_failure<'py>(
    py: Python<'py>,
    body: &Body<'py>,
    text: &[u8],
) -> PyResult<Bound<'py, PyAny>> {
    let bytes = body.bytes.as_slice();
    let shown = match body.text(py, bytes) {
        Ok(text) => text,
        Err(_) => decode_with(py, bytes, "replace")?,
    };
    let error = match body.text(py, text).and_then(|text| json::loads(py, &text)) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if !error.is_instance_of::<PyException>(py) {
        return Err(error);
    }
    let reason = error.value(py).str()?;
    let reason = reason.to_string_lossy();
    let answer = PyDict::new(py);
    if error.is_instance(py, decode_error(py)?) || error.is_instance_of::<PyUnicodeDecodeError>(py)
    {
        let raw = shown.get_item(PySlice::new(py, 0, RAW_CHARACTERS, 1))?;
        answer.set_item("error", format!("JSON 解析失败: {reason}"))?;
        answer.set_item("raw_data", &raw)?;
        // Joined by Python, because `raw` may hold lone surrogates.
        let message = PyString::new(
            py,
            &format!("Ollama API 响应解析失败: {reason}, 原始数据: "),
        )
        .add(raw)?
        .add("...")?;
        log(py, "warning", &message)?;
    } else {
        answer.set_item("error", format!("响应解析失败: {reason}"))?;
        log(
            py,
            "error",
            PyString::new(py, &format!("Ollama API 响应解析完全失败: {reason}")).as_any(),
        )?;
    }
    Ok(answer.into_any())
}

fn decode_error(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    CLASS
        .get_or_try_init(py, || {
            py.import("json")?
                .getattr("JSONDecodeError")
                .map(Bound::unbind)
        })
        .map(|class| class.bind(py))
}

/// The answer's text in what `decode` returned for `/api/chat`.
///
/// An error dict gives `[Ollama Error] … | Raw: …`; a message of the assistant its content (`""` where that is null or
/// missing); anything else its `str`.
#[pyfunction]
#[pyo3(signature = (to_choice_dict, /))]
pub fn get_choice<'py>(to_choice_dict: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    enter();
    let py = to_choice_dict.py();
    if let Some(error) = error_as_choice(to_choice_dict)? {
        return Ok(error);
    }
    let Some(message) = field(to_choice_dict, intern!(py, "message"))? else {
        return Ok(to_choice_dict.str()?.into_any());
    };
    let from_assistant = match field(&message, intern!(py, "role"))? {
        Some(role) => role.eq(intern!(py, "assistant"))?,
        None => false,
    };
    if !from_assistant {
        return Ok(message.str()?.into_any());
    }
    Ok(text_or_empty(py, field(&message, intern!(py, "content"))?))
}

/// The answer's text in what `decode` returned for `/api/generate`: as `get_choice`, with `response` for the message.
#[pyfunction]
#[pyo3(signature = (to_choice_dict, /))]
pub fn get_response_choice<'py>(to_choice_dict: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    enter();
    let py = to_choice_dict.py();
    if let Some(error) = error_as_choice(to_choice_dict)? {
        return Ok(error);
    }
    match field(to_choice_dict, intern!(py, "response"))? {
        Some(response) => Ok(text_or_empty(py, Some(response))),
        None => Ok(to_choice_dict.str()?.into_any()),
    }
}

fn text_or_empty<'py>(py: Python<'py>, content: Option<Bound<'py, PyAny>>) -> Bound<'py, PyAny> {
    match content {
        Some(content) if !content.is_none() => content,
        _ => intern!(py, "").clone().into_any(),
    }
}

/// The text that stands in the place of the answer where `answer` is an error: `[Ollama Error] … | Raw: …`.
fn error_as_choice<'py>(answer: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = answer.py();
    let Some(error) = field(answer, intern!(py, "error"))? else {
        return Ok(None);
    };
    let raw = match field(answer, intern!(py, "raw_data"))? {
        Some(raw) => raw
            .str()?
            .get_item(PySlice::new(py, 0, RAW_CHARACTERS, 1))?,
        None => intern!(py, "").clone().into_any(),
    };
    // Joined by Python: both texts may hold lone surrogates.
    let text = intern!(py, "[Ollama Error] ")
        .add(error.str()?)?
        .add(intern!(py, " | Raw: "))?
        .add(raw)?;
    Ok(Some(text))
}

/// `value[name]` if `value` is a dict, or anything else with a `get`, and has it. Null counts as there.
fn field<'py>(
    value: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if let Ok(dict) = value.cast_exact::<PyDict>() {
        return dict.get_item(name);
    }
    if !value.hasattr(intern!(value.py(), "get"))? || !value.contains(name)? {
        return Ok(None);
    }
    value.get_item(name).map(Some)
}
