//! The extension's client: one connection pool, and a method for each way of waiting for a reply.
//!
//! It knows endpoints, payloads and time limits. Which endpoints there are, and which class a reply becomes, is
//! Python's (`endpoints.py`). The pool is keyed by process: a forked child makes its own and leaks the inherited one.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use pyo3::{PyTraverseError, PyVisit};

use super::endpoint::EndpointRow;
use super::options::{self, CallSettings, LimitNumbers, RetryNumbers, Verify};
use crate::error::{Error, Kind};
use crate::http::config::resolve_key;
use crate::http::{
    AddressSetting, BaseUrl, Client, ClientCertificate, Config, ProxyRule, Request, Secrets,
    UploadFile,
};
use crate::py::asyncio::awaitable::NativeAwaitable;
use crate::py::asyncio::delivery::Delivery;
use crate::py::asyncio::placement::Placement;
use crate::py::asyncio::runtime_future;
use crate::py::asyncio::stream::Stream;
use crate::py::asyncio::whole_reply::WholeReply;
use crate::py::blocking::delivery;
use crate::py::blocking::stream::BlockingStream;
use crate::py::blocking::wait::wait_for;
use crate::py::interpreter::errors;
use crate::py::interpreter::exit::enter;
use crate::py::interpreter::process::ProcessOwned;
use crate::py::interpreter::runtime::running_handle;
use crate::py::objects::json_writer;
use crate::py::replies::observed_call::ObservedCall;
use crate::py::replies::reply_format::ReplyFormat;
use crate::py::replies::stream_reader::ItemFormat;
use crate::stats::{CallInfo, Journal, Trace};
use crate::sync::lock;

/// How many times `aclose` lets the I/O thread run the tasks that are ready before it is done. Nothing tells when the task
/// of a connection has ended, so a number bounds the wait. An idle connection takes one time: its task was woken when the
/// pool was dropped. One whose reply was read to its end right before takes a second one, because a task of its own gives
/// it back to the pool first. The rest is reserve.
const YIELDS_UNTIL_CLOSED: usize = 8;

/// A client of one server, with its connection pool.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct NativeClient {
    config: Config,
    journal: Option<Arc<Journal>>,
    /// Whether requests of event loops may take the direct lane.
    allow_direct: bool,
    /// Is told of every call.
    on_event: Option<Py<PyAny>>,
    pool: Mutex<Option<ProcessOwned<Client>>>,
    closed: AtomicBool,
}

impl NativeClient {
    fn client(&self, py: Python<'_>) -> PyResult<Client> {
        if self.closed.load(Ordering::Acquire) {
            return Err(errors::to_python(
                py,
                Error::new(Kind::Closed, "the client is closed: make a new one"),
            ));
        }
        let known = lock(&self.pool)
            .as_ref()
            .filter(|pool| pool.is_here())
            .map(|pool| Client::clone(pool));
        if let Some(client) = known {
            return Ok(client);
        }
        let client =
            Client::new(self.config.clone()).map_err(|error| errors::to_python(py, error))?;
        let previous = lock(&self.pool).replace(ProcessOwned::new(client.clone()));
        drop(previous);
        Ok(client)
    }

    /// Refuses requests from now on, and gives up the pool. The lock is free before what was in it is dropped.
    fn take_pool(&self) -> Option<ProcessOwned<Client>> {
        self.closed.store(true, Ordering::Release);
        lock(&self.pool).take()
    }

    /// Where a request of the running loop runs.
    fn placement<'py>(&self, py: Python<'py>) -> PyResult<Placement<'py>> {
        Placement::of(py, self.client(py)?, self.allow_direct)
    }

    /// A request, and the call that it is, of which those who want to be told have been told.
    fn request(
        &self,
        py: Python<'_>,
        row: &Bound<'_, EndpointRow>,
        payload: Option<&Bound<'_, PyAny>>,
        settings: Option<CallSettings>,
        streamed: bool,
    ) -> PyResult<(Request, ObservedCall)> {
        let endpoint = row.get().endpoint();
        let body = payload
            .filter(|payload| !payload.is_none())
            .map(|payload| {
                if let Ok(body) = payload.cast::<PyBytes>() {
                    return Ok(body.as_bytes().to_vec());
                }
                let mut body = Vec::with_capacity(1024);
                json_writer::from_python(payload, &mut body).map(|()| body)
            })
            .transpose()
            .map_err(|error| unsendable(py, error))?;
        let (limits, retries, headers) = settings.unwrap_or_default();
        let timeouts = limits
            .map(|limits| options::timeouts(py, limits))
            .transpose()?;
        let retry = retries
            .map(|retries| options::retry(py, retries))
            .transpose()?;
        let request = Request {
            body,
            timeouts,
            retry,
            ..Request::to(Arc::clone(&endpoint))
        };
        let mut request = request
            .with_headers(headers.unwrap_or_default())
            .map_err(|error| errors::to_python(py, error))?;
        let call = CallInfo {
            model: model_of(py, payload)?,
            host: self.config.base.display(),
            endpoint: endpoint.route(),
            streamed,
        };
        let trace = Trace::new(call, self.journal.clone());
        request.trace = Some(Arc::clone(&trace));
        let hook = self.on_event.as_ref();
        let (call, mut added) = ObservedCall::begin(py, trace, hook, row.as_any(), payload)?;
        if !added.is_empty() {
            added.append(&mut request.headers);
            let with_added = request.with_headers(added);
            let with_added = with_added.map_err(|error| errors::to_python(py, error));
            request = told(py, &call, with_added)?;
        }
        Ok((request, call))
    }
}

/// Tells `on_call` the `id` in the record of a call.
fn announce(on_call: Option<&Bound<'_, PyAny>>, call: &ObservedCall) -> PyResult<()> {
    on_call.map_or(Ok(()), |on_call| {
        on_call.call1((call.trace().id(),)).map(drop)
    })
}

/// `result`; an exception ends `call`, and that is told.
fn told<T>(py: Python<'_>, call: &ObservedCall, result: PyResult<T>) -> PyResult<T> {
    if let Err(error) = &result {
        call.tell_end(py, Some(error))?;
    }
    result
}

/// The model that a payload names; `source` is that of a copy.
fn model_of(py: Python<'_>, payload: Option<&Bound<'_, PyAny>>) -> PyResult<String> {
    let Some(payload) = payload.filter(|payload| !payload.is_none()) else {
        return Ok(String::new());
    };
    let named = |name| errors::none_if_raised(py, payload.get_item(name));
    let model = match named("model")? {
        Some(model) => Some(model),
        None => named("source")?,
    };
    match model.as_ref().map(Bound::cast::<PyString>) {
        Some(Ok(model)) => model
            .extract()
            .or_else(|_| json_writer::join_surrogates(model)),
        _ => Ok(String::new()),
    }
}

/// The file at `path`, to be sent. Raises what Python's `open` raises, and `ConfigurationError` for a pipe or a device.
fn open_file(py: Python<'_>, path: PathBuf) -> PyResult<UploadFile> {
    UploadFile::open(&path).map_err(|error| match error.raw_os_error() {
        Some(number) => {
            let words = error.to_string();
            let words = words.split(" (os error").next().unwrap_or_default();
            PyOSError::new_err((number, words.to_owned(), path.into_os_string()))
        }
        None if path.is_dir() => {
            PyOSError::new_err((libc::EISDIR, "Is a directory", path.into_os_string()))
        }
        None => {
            let message = format!("{} is no file that can be sent.", path.display());
            errors::to_python(py, Error::new(Kind::Config, message))
        }
    })
}

/// The error for a payload that has no JSON form. Other kinds of errors, which an object in it raised, come through.
fn unsendable(py: Python<'_>, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyTypeError>(py) && !error.is_instance_of::<PyValueError>(py) {
        return error;
    }
    let message = format!("The request cannot be sent: {}", error.value(py));
    let clear = errors::to_python(py, Error::new(Kind::Config, message));
    clear.set_cause(py, Some(error));
    clear
}

/// Whether `url` is of Ollama's own cloud, which gets `OLLAMA_API_KEY`.
#[pyfunction]
pub fn is_cloud(url: &Bound<'_, PyString>) -> bool {
    enter();
    BaseUrl::parse(&url.to_string_lossy(), AddressSetting::BaseUrl)
        .is_ok_and(|base| base.is_cloud())
}

#[pymethods]
impl NativeClient {
    /// A client for `address`: a `base_url` as configurations write it, or with `is_host` a value in the manner of
    /// `OLLAMA_HOST`, which may have been copied together with one of the paths `endpoints`. Raises
    /// `ConfigurationError` for what cannot be used; nothing is sent.
    #[new]
    #[pyo3(signature = (address, *, is_host, endpoints, headers, api_key, proxy, verify, limits, retries, max_line, max_body, cert=None, trust_env=true, follow_redirects=true, on_event=None))]
    #[expect(
        clippy::too_many_arguments,
        reason = "the one caller is Python, and names them"
    )]
    fn new(
        py: Python<'_>,
        address: &str,
        is_host: bool,
        endpoints: Vec<String>,
        headers: Vec<(String, String)>,
        api_key: Option<&str>,
        proxy: Option<String>,
        verify: Verify,
        limits: Option<LimitNumbers>,
        retries: Option<RetryNumbers>,
        max_line: Option<usize>,
        max_body: Option<usize>,
        cert: Option<(PathBuf, Option<PathBuf>)>,
        trust_env: bool,
        follow_redirects: bool,
        on_event: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        enter();
        let setting = if is_host {
            AddressSetting::Host
        } else {
            AddressSetting::BaseUrl
        };
        let mut config = BaseUrl::parse(address, setting)
            .map(|base| Config::new(base.without_endpoint(&endpoints)))
            .map_err(|error| errors::to_python(py, error))?;
        config.endpoints = endpoints.into();
        config.headers = headers;
        let environment = std::env::var("OLLAMA_API_KEY").ok();
        config.api_key = resolve_key(api_key, environment.as_deref(), &config.base);
        config.proxy = match proxy {
            Some(proxy) => ProxyRule::Explicit(proxy),
            None if trust_env => ProxyRule::from_env(),
            None => ProxyRule::Direct,
        };
        config.trust = verify
            .into_trust(trust_env)
            .map_err(|error| errors::to_python(py, error))?;
        config.client_certificate = cert
            .map(|(certificate, key)| ClientCertificate::read(&certificate, key.as_deref()))
            .transpose()
            .map_err(|error| errors::to_python(py, error))?;
        config.follow_redirects = follow_redirects;
        if let Some(limits) = limits {
            config.timeouts = options::timeouts(py, limits)?;
        }
        if let Some(retries) = retries {
            config.retry = options::retry(py, retries)?;
        }
        config.max_line = max_line.unwrap_or(config.max_line);
        config.max_body = max_body.unwrap_or(config.max_body);
        // Read here, with the GIL held, because nothing may change the environment meanwhile.
        let target = std::env::var("METAGPT_OLLAMA_STATS").unwrap_or_default();
        let client = Self {
            config,
            journal: Journal::at(&target),
            allow_direct: options::allows_direct(py)?,
            on_event,
            pool: Mutex::new(None),
            closed: AtomicBool::new(false),
        };
        client.client(py)?;
        Ok(client)
    }

    /// The server's base URL, without user and password.
    #[getter]
    fn url(&self) -> String {
        enter();
        self.config.base.display()
    }

    /// Whether requests carry a bearer token, that of the key or of a header.
    #[getter]
    fn authorized(&self) -> bool {
        enter();
        let bearer = |(name, value): &(String, String)| {
            name.eq_ignore_ascii_case("authorization") && value.starts_with("Bearer ")
        };
        self.config.api_key.is_some() || self.config.headers.iter().any(bearer)
    }

    /// The beginning of `text` for a message: on one line, without what this client, or a call with `settings`, keeps
    /// secret.
    #[pyo3(signature = (text, settings=None))]
    fn redact(&self, text: &Bound<'_, PyString>, settings: Option<CallSettings>) -> String {
        enter();
        let error = Error::new(Kind::Protocol, text.to_string_lossy());
        let (_, _, headers) = settings.unwrap_or_default();
        let secrets = Secrets::of(&self.config).with_headers(&headers.unwrap_or_default());
        secrets.redact(error).message.clone()
    }

    /// `(connect, first_token, idle, total)` in seconds.
    #[getter]
    fn limits(&self) -> LimitNumbers {
        enter();
        options::limits_of(&self.config.timeouts)
    }

    /// Sends `payload` and returns the reply as a `Stream` of the running loop. `item_class` is the class of the items
    /// (`None`: dicts); with `raw_lines` they are the lines as bytes. With `guarded`, an answer that repeats itself is
    /// an error, except with `raw_lines`.
    #[pyo3(signature = (endpoint, payload, item_class, raw_lines, settings, guarded=false))]
    #[expect(clippy::too_many_arguments, reason = "the one caller is Python")]
    fn stream(
        &self,
        py: Python<'_>,
        endpoint: &Bound<'_, EndpointRow>,
        payload: Option<&Bound<'_, PyAny>>,
        item_class: Option<Py<PyAny>>,
        raw_lines: bool,
        settings: Option<CallSettings>,
        guarded: bool,
    ) -> PyResult<Stream> {
        enter();
        let (mut request, call) = self.request(py, endpoint, payload, settings, true)?;
        request.repetition_guard = guarded;
        let format = ItemFormat::of_lines(py, item_class, raw_lines);
        let placement = told(py, &call, self.placement(py))?;
        let stream = Stream::start(py, placement, request, format, call.clone());
        told(py, &call, stream)
    }

    /// Sends `payload` and calls `on_text(str)` with each piece of the answer; awaited, gives the final object.
    #[pyo3(signature = (endpoint, payload, on_text, on_thinking, settings, guarded=false))]
    #[expect(clippy::too_many_arguments, reason = "the one caller is Python")]
    fn deliver(
        &self,
        py: Python<'_>,
        endpoint: &Bound<'_, EndpointRow>,
        payload: Option<&Bound<'_, PyAny>>,
        on_text: Py<PyAny>,
        on_thinking: Option<Py<PyAny>>,
        settings: Option<CallSettings>,
        guarded: bool,
    ) -> PyResult<NativeAwaitable> {
        enter();
        let (mut request, call) = self.request(py, endpoint, payload, settings, true)?;
        request.repetition_guard = guarded;
        let placement = told(py, &call, self.placement(py))?;
        let delivery = Delivery::start(py, placement, request, on_text, on_thinking, call.clone());
        told(py, &call, delivery).map(|delivery| NativeAwaitable::new(delivery))
    }

    /// Sends a request and gives, awaited, its whole reply in a format: `answer` (parsed), `guarded` (the same, unless
    /// it repeats itself), `status` (as `answer`, or `None` for an empty body), `bytes` (`(bytes, content type)`) or
    /// `vectors` (`(bytearray, rows, width, dict)`). What `convert` makes of that is the result.
    #[pyo3(signature = (endpoint, payload, format, settings, convert=None))]
    fn call(
        &self,
        py: Python<'_>,
        endpoint: &Bound<'_, EndpointRow>,
        payload: Option<&Bound<'_, PyAny>>,
        format: &str,
        settings: Option<CallSettings>,
        convert: Option<Py<PyAny>>,
    ) -> PyResult<NativeAwaitable> {
        enter();
        let format = ReplyFormat::named(format)?;
        let (request, call) = self.request(py, endpoint, payload, settings, false)?;
        let placement = told(py, &call, self.placement(py))?;
        let reply = WholeReply::start(py, placement, request, format, convert, call.clone());
        told(py, &call, reply).map(|reply| NativeAwaitable::new(reply))
    }

    /// As `call`, waiting in this thread. `on_call` gets the `id` in the record of the call, before anything is sent.
    #[pyo3(signature = (endpoint, payload, format, settings, on_call=None, convert=None))]
    #[expect(clippy::too_many_arguments, reason = "the one caller is Python")]
    fn call_blocking(
        &self,
        py: Python<'_>,
        endpoint: &Bound<'_, EndpointRow>,
        payload: Option<&Bound<'_, PyAny>>,
        format: &str,
        settings: Option<CallSettings>,
        on_call: Option<&Bound<'_, PyAny>>,
        convert: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        enter();
        let format = ReplyFormat::named(format)?;
        let (request, call) = self.request(py, endpoint, payload, settings, false)?;
        let client = told(py, &call, self.client(py))?;
        told(py, &call, announce(on_call, &call))?;
        let waited = wait_for(py, async move { client.call(request).await });
        let reply = told(py, &call, waited)?;
        let result = format.to_python(py, reply, &call);
        call.convert_and_end(py, result, convert)
    }

    /// As `deliver`, waiting in this thread; `on_call` is that of `call_blocking`.
    #[pyo3(signature = (endpoint, payload, on_text, on_thinking, settings, guarded=false, on_call=None))]
    #[expect(clippy::too_many_arguments, reason = "the one caller is Python")]
    fn deliver_blocking(
        &self,
        py: Python<'_>,
        endpoint: &Bound<'_, EndpointRow>,
        payload: Option<&Bound<'_, PyAny>>,
        on_text: &Bound<'_, PyAny>,
        on_thinking: Option<&Bound<'_, PyAny>>,
        settings: Option<CallSettings>,
        guarded: bool,
        on_call: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        enter();
        let (mut request, call) = self.request(py, endpoint, payload, settings, true)?;
        request.repetition_guard = guarded;
        let client = told(py, &call, self.client(py))?;
        told(py, &call, announce(on_call, &call))?;
        let reply = delivery::deliver(py, client, request, on_text, on_thinking, call.clone());
        call.tell_end(py, reply.as_ref().err())?;
        reply
    }

    /// As `stream`, as an ordinary iterator.
    #[pyo3(signature = (endpoint, payload, item_class, settings, guarded=false, raw_lines=false))]
    #[expect(clippy::too_many_arguments, reason = "the one caller is Python")]
    fn stream_blocking(
        &self,
        py: Python<'_>,
        endpoint: &Bound<'_, EndpointRow>,
        payload: Option<&Bound<'_, PyAny>>,
        item_class: Option<Py<PyAny>>,
        settings: Option<CallSettings>,
        guarded: bool,
        raw_lines: bool,
    ) -> PyResult<BlockingStream> {
        enter();
        let (mut request, call) = self.request(py, endpoint, payload, settings, true)?;
        request.repetition_guard = guarded;
        let format = ItemFormat::of_lines(py, item_class, raw_lines);
        let client = told(py, &call, self.client(py))?;
        let stream = BlockingStream::start(py, client, request, format, call.clone());
        told(py, &call, stream)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.on_event)
    }

    /// Sends the file at `path` as the body, and returns the reports of its progress as a `Stream` of the running loop:
    /// `{"status": "uploading", "total": …, "completed": …}` in bytes, and at the end `{"status": "success"}`. `item_class` is
    /// the class of the items (`None`: dicts).
    #[pyo3(signature = (endpoint, path, item_class, settings))]
    fn upload(
        &self,
        py: Python<'_>,
        endpoint: &Bound<'_, EndpointRow>,
        path: PathBuf,
        item_class: Option<Py<PyAny>>,
        settings: Option<CallSettings>,
    ) -> PyResult<Stream> {
        enter();
        let file = open_file(py, path)?;
        let (mut request, call) = self.request(py, endpoint, None, settings, true)?;
        request.upload = Some(file);
        let format = ItemFormat::of_lines(py, item_class, false);
        let client = self.client(py);
        let placement =
            client.and_then(|client| Placement::of_upload(py, client, self.allow_direct));
        let placement = told(py, &call, placement)?;
        let stream = Stream::start(py, placement, request, format, call.clone());
        told(py, &call, stream)
    }

    /// As `upload`, as an ordinary iterator.
    #[pyo3(signature = (endpoint, path, item_class, settings))]
    fn upload_blocking(
        &self,
        py: Python<'_>,
        endpoint: &Bound<'_, EndpointRow>,
        path: PathBuf,
        item_class: Option<Py<PyAny>>,
        settings: Option<CallSettings>,
    ) -> PyResult<BlockingStream> {
        enter();
        let file = open_file(py, path)?;
        let (mut request, call) = self.request(py, endpoint, None, settings, true)?;
        request.upload = Some(file);
        let format = ItemFormat::of_lines(py, item_class, false);
        let client = told(py, &call, self.client(py))?;
        let direct = self.allow_direct;
        let stream =
            BlockingStream::start_upload(py, client, direct, request, format, call.clone());
        told(py, &call, stream)
    }

    /// Closes the idle connections. Streams under way go on to their end; new requests raise `ClosedError`.
    fn close(&self) {
        enter();
        drop(self.take_pool());
    }

    /// As `close`, to be awaited: when the result is there, the I/O thread has closed its idle connections. One that is
    /// still being made is closed when it is finished. Outside of a running event loop nothing is waited for.
    fn aclose<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        enter();
        match (self.take_pool(), running_handle()) {
            (Some(pool), Some(runtime)) if pool.is_here() => {
                let closing = runtime_future::spawn(py, &runtime, async move {
                    drop(pool);
                    for _ in 0..YIELDS_UNTIL_CLOSED {
                        tokio::task::yield_now().await;
                    }
                });
                // No future can be made without a running loop. The pool is dropped all the same.
                match errors::none_if_raised(py, closing)? {
                    Some(closing) => Ok(closing),
                    None => Ok(Bound::new(py, NativeAwaitable::ready(None))?.into_any()),
                }
            }
            // Without an I/O thread there is nothing to wait for.
            (pool, _) => {
                drop(pool);
                Ok(Bound::new(py, NativeAwaitable::ready(None))?.into_any())
            }
        }
    }
}
