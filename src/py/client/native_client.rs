//! The extension's client: one connection pool, and a method for each way of waiting for a reply.
//!
//! It knows endpoints, payloads and time limits. Which endpoints there are, and which class a reply becomes, is Python's
//! (`endpoints.py`). The pool is keyed by process: a forked child makes its own and leaks the inherited one.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::error::{Error, Kind};
use crate::http::config::resolve_key;
use crate::http::{
    Base, Client, Config, Mode, Origin, ProxyRule, Request, Retry, Secrets, Timeouts, Trust,
};
use crate::inbox::{CAPACITY, Inbox};
use crate::py::asyncio::awaitable::{Pending, Ready, Seat};
use crate::py::asyncio::call::Call;
use crate::py::asyncio::loop_waker::Sleeper;
use crate::py::asyncio::placement::{Place, Task};
use crate::py::asyncio::runtime_future;
use crate::py::asyncio::stream::{Delivery, Stream, StreamCore};
use crate::py::blocking::stream::{BlockingStream, wait_for};
use crate::py::client::endpoint::EndpointRow;
use crate::py::interpreter::errors;
use crate::py::interpreter::exit::enter;
use crate::py::interpreter::runtime::{Owned, handle, lock, running_handle};
use crate::py::replies::reply_format::Form;
use crate::py::replies::stream_reader::Made;
use crate::stats::{About, Journal, Trace};

/// `(connect, first_token, idle, total)` in seconds; `None` is no limit.
type Limits = (Option<f64>, Option<f64>, Option<f64>, Option<f64>);

/// `(retries, first, budget, retry_after)`, all but the first in seconds.
type Tries = (u32, f64, f64, f64);

/// Whose certificates are believed.
#[derive(FromPyObject)]
enum Verify {
    Flag(bool),
    /// In DER, and whether they must be for the name that is asked.
    Certificates(Vec<Vec<u8>>, bool),
    Path(PathBuf),
}

/// A client of one server, with its connection pool.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct NativeClient {
    config: Config,
    journal: Option<Arc<Journal>>,
    /// Requests of event loops may take the direct lane.
    direct: bool,
    pool: Mutex<Option<Owned<Client>>>,
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
        let previous = lock(&self.pool).replace(Owned::new(client.clone()));
        drop(previous);
        Ok(client)
    }

    /// Refuses requests from now on, and gives up the pool. The lock is free before what was in it is dropped.
    fn take_pool(&self) -> Option<Owned<Client>> {
        self.closed.store(true, Ordering::Release);
        lock(&self.pool).take()
    }

    /// Where a request of the running loop runs.
    fn place<'py>(&self, py: Python<'py>) -> PyResult<Place<'py>> {
        Place::of(py, self.client(py)?, self.direct)
    }

    /// A request, and the trace that accompanies it.
    fn request(
        &self,
        py: Python<'_>,
        endpoint: &EndpointRow,
        payload: Option<&Bound<'_, PyAny>>,
        limits: Option<Limits>,
        streamed: bool,
    ) -> PyResult<(Request, Arc<Trace>)> {
        let endpoint = endpoint.endpoint();
        let body = payload
            .filter(|payload| !payload.is_none())
            .map(|payload| {
                if let Ok(body) = payload.cast::<PyBytes>() {
                    return Ok(body.as_bytes().to_vec());
                }
                let mut body = Vec::with_capacity(1024);
                crate::py::objects::json::from_python(payload, &mut body).map(|()| body)
            })
            .transpose()
            .map_err(|error| unsendable(py, error))?;
        let timeouts = limits.map(|limits| timeouts(py, limits)).transpose()?;
        let about = About {
            model: model_of(py, payload)?,
            host: self.config.base.display(),
            endpoint: endpoint.route(),
            streamed,
        };
        let trace = Trace::new(about, self.journal.clone());
        let request = Request {
            body,
            timeouts,
            trace: Some(Arc::clone(&trace)),
            ..Request::to(endpoint)
        };
        Ok((request, trace))
    }
}

/// Starts to pump the reply of `request` into `inbox`.
fn pump(
    py: Python<'_>,
    place: Place<'_>,
    request: Request,
    mode: Mode,
    inbox: Arc<Inbox>,
) -> PyResult<Task> {
    place.start(py, |client| async move {
        client.pump(request, inbox, mode).await;
    })
}

/// Whether `METAGPT_OLLAMA_LANE` allows the direct lane.
fn allows_direct(py: Python<'_>) -> PyResult<bool> {
    match std::env::var("METAGPT_OLLAMA_LANE").as_deref() {
        Err(_) | Ok("" | "direct") => Ok(true),
        Ok("general") => Ok(false),
        Ok(other) => {
            let message = format!(
                "METAGPT_OLLAMA_LANE is {other:?}: write general or direct, or leave it out."
            );
            Err(errors::to_python(py, Error::new(Kind::Config, message)))
        }
    }
}

/// The model that a payload names; `source` is that of a copy.
fn model_of(py: Python<'_>, payload: Option<&Bound<'_, PyAny>>) -> PyResult<String> {
    let Some(payload) = payload.filter(|payload| !payload.is_none()) else {
        return Ok(String::new());
    };
    let named = |name| errors::if_any(py, payload.get_item(name));
    let model = match named("model")? {
        Some(model) => Some(model),
        None => named("source")?,
    };
    match model.as_ref().map(Bound::cast::<PyString>) {
        Some(Ok(model)) => model
            .extract()
            .or_else(|_| crate::py::objects::json::joined(model)),
        _ => Ok(String::new()),
    }
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

fn timeouts(py: Python<'_>, limits: Limits) -> PyResult<Timeouts> {
    let seconds = |name: &str, value: Option<f64>| {
        let Some(value) = value else { return Ok(None) };
        let limit = Duration::try_from_secs_f64(value)
            .ok()
            .filter(|limit| !limit.is_zero());
        limit.map(Some).ok_or_else(|| {
            let message =
                format!("The timeout {name} must be a positive number of seconds, and is {value}.");
            errors::to_python(py, Error::new(Kind::Config, message))
        })
    };
    Ok(Timeouts {
        connect: seconds("connect", limits.0)?.unwrap_or(Duration::MAX),
        first_token: seconds("first_token", limits.1)?.unwrap_or(Duration::MAX),
        idle: seconds("idle", limits.2)?.unwrap_or(Duration::MAX),
        total: seconds("total", limits.3)?,
    })
}

fn retry(py: Python<'_>, (count, first, budget, retry_after): Tries) -> PyResult<Retry> {
    let seconds = |name: &str, value: f64| {
        Duration::try_from_secs_f64(value).map_err(|_| {
            let message =
                format!("{name} of the retries must be a number of seconds, and is {value}.");
            errors::to_python(py, Error::new(Kind::Config, message))
        })
    };
    Ok(Retry {
        count,
        first: seconds("first", first)?,
        budget: seconds("budget", budget)?,
        retry_after: seconds("retry_after", retry_after)?,
    })
}

fn weak<T: Sleeper + 'static>(sleeper: &Arc<T>) -> Weak<dyn Sleeper> {
    let sleeper: Arc<dyn Sleeper> = Arc::clone(sleeper) as Arc<dyn Sleeper>;
    Arc::downgrade(&sleeper)
}

#[pymethods]
impl NativeClient {
    /// A client for `address`: a `base_url` as configurations write it, or with `is_host` a value in the manner of
    /// `OLLAMA_HOST`. Raises `ConfigurationError` for what cannot be used; nothing is sent.
    #[new]
    #[pyo3(signature = (address, *, is_host, headers, api_key, proxy, verify, limits, retries, max_line, max_body))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keywords of the one Python caller"
    )]
    fn new(
        py: Python<'_>,
        address: &str,
        is_host: bool,
        headers: Vec<(String, String)>,
        api_key: Option<&str>,
        proxy: Option<String>,
        verify: Verify,
        limits: Option<Limits>,
        retries: Option<Tries>,
        max_line: Option<usize>,
        max_body: Option<usize>,
    ) -> PyResult<Self> {
        enter();
        let origin = if is_host {
            Origin::Host
        } else {
            Origin::BaseUrl
        };
        let mut config = Base::parse(address, origin)
            .map(Config::new)
            .map_err(|error| errors::to_python(py, error))?;
        config.headers = headers;
        let environment = std::env::var("OLLAMA_API_KEY").ok();
        config.api_key = resolve_key(api_key, environment.as_deref(), &config.base);
        config.proxy = proxy.map_or_else(ProxyRule::from_env, ProxyRule::Explicit);
        config.trust = match verify {
            Verify::Flag(true) => Ok(Trust::from_env()),
            Verify::Flag(false) => Ok(Trust::Anybody),
            Verify::Certificates(certificates, names) => Trust::of(certificates, names),
            Verify::Path(path) => Trust::in_path(&path, "verify"),
        }
        .map_err(|error| errors::to_python(py, error))?;
        if let Some(limits) = limits {
            config.timeouts = timeouts(py, limits)?;
        }
        if let Some(retries) = retries {
            config.retry = retry(py, retries)?;
        }
        config.max_line = max_line.unwrap_or(config.max_line);
        config.max_body = max_body.unwrap_or(config.max_body);
        // Read here, with the GIL held, because nothing may change the environment meanwhile.
        let place = std::env::var("METAGPT_OLLAMA_STATS").unwrap_or_default();
        let client = Self {
            config,
            journal: Journal::at(&place),
            direct: allows_direct(py)?,
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

    /// The beginning of `text` for a message: on one line, without what this client keeps secret.
    fn redact(&self, text: &Bound<'_, PyString>) -> String {
        enter();
        let error = Error::new(Kind::Protocol, text.to_string_lossy());
        Secrets::of(&self.config).redact(error).message.clone()
    }

    /// `(connect, first_token, idle, total)` in seconds.
    #[getter]
    fn limits(&self) -> Limits {
        enter();
        let seconds = |limit: Duration| (limit < Duration::MAX).then_some(limit.as_secs_f64());
        let timeouts = &self.config.timeouts;
        let total = timeouts.total.and_then(seconds);
        (
            seconds(timeouts.connect),
            seconds(timeouts.first_token),
            seconds(timeouts.idle),
            total,
        )
    }

    /// Sends `payload` and returns the reply as a `Stream` of the running loop. `made` is the class of the items
    /// (`None`: dicts); with `lines` they are the raw lines as bytes. With `guarded`, an answer that goes in circles is an
    /// error (never of raw lines).
    #[pyo3(signature = (endpoint, payload, made, lines, limits, guarded=false))]
    #[expect(clippy::too_many_arguments, reason = "those of the one Python caller")]
    fn stream(
        &self,
        py: Python<'_>,
        endpoint: &EndpointRow,
        payload: Option<&Bound<'_, PyAny>>,
        made: Option<Py<PyAny>>,
        lines: bool,
        limits: Option<Limits>,
        guarded: bool,
    ) -> PyResult<Stream> {
        enter();
        let (mut request, trace) = self.request(py, endpoint, payload, limits, true)?;
        request.guarded = guarded;
        let place = self.place(py)?;
        let inbox = Inbox::new(CAPACITY);
        let kind = if lines {
            Made::Lines
        } else {
            Made::records(py, made)
        };
        let how = kind.mode();
        let seat = Seat::new(&place.event_loop);
        let core = StreamCore::new(Arc::clone(&inbox), seat, kind, trace);
        inbox.set_wake(Some(Arc::new(place.alarm(weak(&core)))));
        core.runs_as(pump(py, place, request, how, inbox)?);
        Stream::new(py, core)
    }

    /// Sends `payload` and calls `on_text(str)` with each piece of the answer; awaited, gives the final object.
    #[pyo3(signature = (endpoint, payload, on_text, on_thinking, limits, guarded=false))]
    #[expect(clippy::too_many_arguments, reason = "those of the one Python caller")]
    fn deliver(
        &self,
        py: Python<'_>,
        endpoint: &EndpointRow,
        payload: Option<&Bound<'_, PyAny>>,
        on_text: Py<PyAny>,
        on_thinking: Option<Py<PyAny>>,
        limits: Option<Limits>,
        guarded: bool,
    ) -> PyResult<Pending> {
        enter();
        let (mut request, trace) = self.request(py, endpoint, payload, limits, true)?;
        request.guarded = guarded;
        let place = self.place(py)?;
        let inbox = Inbox::new(CAPACITY);
        let delivery = Delivery::new(
            py,
            Arc::clone(&inbox),
            Seat::new(&place.event_loop),
            on_text,
            on_thinking,
            trace,
        )?;
        inbox.set_wake(Some(Arc::new(place.alarm(weak(&delivery)))));
        delivery.runs_as(pump(py, place, request, Mode::Deltas, inbox)?);
        Ok(Pending::new(delivery))
    }

    /// Sends a request and gives, awaited, its whole reply in a form: `answer` (parsed), `guarded` (the same, unless it
    /// goes in circles), `status` (as `answer`, or `None` for an empty body), `bytes` (`(bytes, content type)`) or `vectors`
    /// (`(bytearray, rows, width, dict)`).
    #[pyo3(signature = (endpoint, payload, form, limits))]
    fn call(
        &self,
        py: Python<'_>,
        endpoint: &EndpointRow,
        payload: Option<&Bound<'_, PyAny>>,
        form: &str,
        limits: Option<Limits>,
    ) -> PyResult<Pending> {
        enter();
        let (request, trace) = self.request(py, endpoint, payload, limits, false)?;
        let place = self.place(py)?;
        let form = Form::named(form)?;
        let call = Call::new(Seat::new(&place.event_loop), form, trace);
        let promise = call.promise(place.alarm(weak(&call)));
        let task = place.start(py, |client| async move {
            promise.keep(client.call(request).await);
        })?;
        call.runs_as(task);
        Ok(Pending::new(call))
    }

    /// As `call`, waiting in this thread.
    #[pyo3(signature = (endpoint, payload, form, limits))]
    fn call_blocking(
        &self,
        py: Python<'_>,
        endpoint: &EndpointRow,
        payload: Option<&Bound<'_, PyAny>>,
        form: &str,
        limits: Option<Limits>,
    ) -> PyResult<Py<PyAny>> {
        enter();
        let (request, trace) = self.request(py, endpoint, payload, limits, false)?;
        let form = Form::named(form)?;
        let client = self.client(py)?;
        let reply = wait_for(py, async move { client.call(request).await })?;
        let result = form.to_python(py, reply, &trace);
        crate::py::interpreter::log::report(py, &trace)?;
        result
    }

    /// As `stream`, as an ordinary iterator.
    #[pyo3(signature = (endpoint, payload, made, limits, guarded=false))]
    fn stream_blocking(
        &self,
        py: Python<'_>,
        endpoint: &EndpointRow,
        payload: Option<&Bound<'_, PyAny>>,
        made: Option<Py<PyAny>>,
        limits: Option<Limits>,
        guarded: bool,
    ) -> PyResult<BlockingStream> {
        enter();
        let (mut request, trace) = self.request(py, endpoint, payload, limits, true)?;
        request.guarded = guarded;
        let inbox = Inbox::new(CAPACITY);
        let (client, producer) = (self.client(py)?, Arc::clone(&inbox));
        let made = Made::records(py, made);
        let how = made.mode();
        let stream = BlockingStream::new(py, inbox, made, trace)?;
        handle(py)?.spawn(async move { client.pump(request, producer, how).await });
        Ok(stream)
    }

    /// Closes the idle connections. Streams under way go on to their end; new requests raise `ClosedError`.
    fn close(&self) {
        enter();
        drop(self.take_pool());
    }

    /// As `close`, to be awaited: connections of the I/O thread are closed by that thread, and are when the result is there.
    fn aclose<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        enter();
        match (self.take_pool(), running_handle()) {
            (Some(pool), Some(runtime)) if pool.is_here() => {
                runtime_future::spawn(py, &runtime, async move {
                    drop(pool);
                    // The tasks that hold the connections have been woken, and close them before this one goes on.
                    tokio::task::yield_now().await;
                })
            }
            // No I/O thread: nothing is left to wait for.
            (pool, _) => {
                drop(pool);
                Ok(Bound::new(py, Ready(None))?.into_any())
            }
        }
    }
}
