//! The extension's client: one connection pool, and a method for each way of waiting for a reply.
//!
//! It knows paths, payloads and time limits. What a chat is, and which class a reply becomes, is Python's
//! (`client.py`). The pool is keyed by process: a forked child makes its own and leaks the inherited one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::awaitable::{Pending, Seat};
use super::blocking::{BlockingStream, receive};
use super::call::Call;
use super::errors;
use super::reader::Made;
use super::reply::Form;
use super::runtime::{Owned, handle, lock};
use super::stream::{Delivery, Stream, StreamCore};
use super::wake::{Alarm, Sleeper, hub};
use crate::error::{Error, Kind};
use crate::http::config::resolve_key;
use crate::http::{Base, Client, Config, Method, Mode, Origin, ProxyRule, Request, Timeouts};
use crate::inbox::{CAPACITY, Inbox};

/// `(connect, first_token, idle, total)` in seconds; `None` is no limit.
type Limits = (Option<f64>, Option<f64>, Option<f64>, Option<f64>);

/// A client of one server, with its connection pool.
#[pyclass(frozen, module = "metagpt_ollama_rs._core")]
pub struct Transport {
    config: Config,
    pool: Mutex<Option<Owned<Client>>>,
    closed: AtomicBool,
}

impl Transport {
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

    /// Starts to pump the reply of a request into an inbox, waking `sleeper` on the running loop.
    fn pump(
        &self,
        py: Python<'_>,
        request: Request,
        mode: Mode,
        inbox: &Arc<Inbox>,
    ) -> PyResult<()> {
        let client = self.client(py)?;
        let inbox = Arc::clone(inbox);
        handle(py)?.spawn(async move { client.pump(request, inbox, mode).await });
        Ok(())
    }
}

fn request(
    py: Python<'_>,
    method: &str,
    path: &str,
    payload: Option<&Bound<'_, PyAny>>,
    limits: Option<Limits>,
) -> PyResult<Request> {
    let method = match method {
        "GET" => Method::Get,
        "DELETE" => Method::Delete,
        "HEAD" => Method::Head,
        _ => Method::Post,
    };
    let body = payload
        .filter(|payload| !payload.is_none())
        .map(|payload| {
            if let Ok(body) = payload.cast::<PyBytes>() {
                return Ok(body.as_bytes().to_vec());
            }
            let mut body = Vec::with_capacity(1024);
            super::json::from_python(payload, &mut body).map(|()| body)
        })
        .transpose()?;
    let timeouts = limits.map(|limits| timeouts(py, limits)).transpose()?;
    Ok(Request {
        method,
        path: path.to_owned(),
        body,
        timeouts,
        headers: Vec::new(),
    })
}

/// The model that a payload names, for error messages.
fn model_of(payload: Option<&Bound<'_, PyAny>>) -> String {
    payload
        .and_then(|payload| {
            payload
                .cast::<PyDict>()
                .ok()?
                .get_item("model")
                .ok()??
                .extract()
                .ok()
        })
        .unwrap_or_default()
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

fn weak<T: Sleeper + 'static>(sleeper: &Arc<T>) -> Weak<dyn Sleeper> {
    let sleeper: Arc<dyn Sleeper> = Arc::clone(sleeper) as Arc<dyn Sleeper>;
    Arc::downgrade(&sleeper)
}

#[pymethods]
impl Transport {
    /// A client for `address`: a `base_url` as configurations write it, or with `is_host` a value in the manner of
    /// `OLLAMA_HOST`. Raises `ConfigurationError` for what cannot be used; nothing is sent.
    #[new]
    #[pyo3(signature = (address, *, is_host, headers, api_key, proxy, limits, max_line, max_body))]
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
        limits: Option<Limits>,
        max_line: Option<usize>,
        max_body: Option<usize>,
    ) -> PyResult<Self> {
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
        if let Some(limits) = limits {
            config.timeouts = timeouts(py, limits)?;
        }
        config.max_line = max_line.unwrap_or(config.max_line);
        config.max_body = max_body.unwrap_or(config.max_body);
        let transport = Self {
            config,
            pool: Mutex::new(None),
            closed: AtomicBool::new(false),
        };
        transport.client(py)?;
        Ok(transport)
    }

    /// The server's base URL, without user and password.
    #[getter]
    fn url(&self) -> String {
        self.config.base.display()
    }

    /// `(connect, first_token, idle, total)` in seconds.
    #[getter]
    fn limits(&self) -> Limits {
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
    /// (`None`: dicts); with `lines` they are the raw lines as bytes.
    #[pyo3(signature = (path, payload, made, lines, limits))]
    fn stream(
        &self,
        py: Python<'_>,
        path: &str,
        payload: Option<&Bound<'_, PyAny>>,
        made: Option<Py<PyAny>>,
        lines: bool,
        limits: Option<Limits>,
    ) -> PyResult<Stream> {
        let request = request(py, "POST", path, payload, limits)?;
        let (hub, event_loop) = hub(py)?;
        let inbox = Inbox::new(CAPACITY);
        let (items, how) = if lines {
            (Made::Lines, Mode::Lines)
        } else {
            (Made::records(py, made), Mode::Deltas)
        };
        let core = StreamCore::new(
            Arc::clone(&inbox),
            Seat::new(&event_loop),
            items,
            model_of(payload),
        );
        inbox.set_wake(Some(Arc::new(Alarm {
            hub,
            sleeper: weak(&core),
        })));
        self.pump(py, request, how, &inbox)?;
        Ok(Stream::new(core))
    }

    /// Sends `payload` and calls `on_text(str)` with each piece of the answer; awaited, gives the final object.
    #[pyo3(signature = (path, payload, on_text, on_thinking, limits))]
    fn deliver(
        &self,
        py: Python<'_>,
        path: &str,
        payload: Option<&Bound<'_, PyAny>>,
        on_text: Py<PyAny>,
        on_thinking: Option<Py<PyAny>>,
        limits: Option<Limits>,
    ) -> PyResult<Pending> {
        let request = request(py, "POST", path, payload, limits)?;
        let (hub, event_loop) = hub(py)?;
        let inbox = Inbox::new(CAPACITY);
        let delivery = Delivery::new(
            py,
            Arc::clone(&inbox),
            Seat::new(&event_loop),
            on_text,
            on_thinking,
            model_of(payload),
        )?;
        inbox.set_wake(Some(Arc::new(Alarm {
            hub,
            sleeper: weak(&delivery),
        })));
        self.pump(py, request, Mode::Deltas, &inbox)?;
        Ok(Pending::new(delivery))
    }

    /// Sends a request and gives, awaited, its whole reply: parsed, or with `raw` as `(bytes, content type)`, or with
    /// `vectors` as `(bytearray, rows, width, dict)`.
    #[pyo3(signature = (method, path, payload, raw, limits, *, vectors = false))]
    #[expect(
        clippy::too_many_arguments,
        reason = "arguments of the one Python caller"
    )]
    fn call(
        &self,
        py: Python<'_>,
        method: &str,
        path: &str,
        payload: Option<&Bound<'_, PyAny>>,
        raw: bool,
        limits: Option<Limits>,
        vectors: bool,
    ) -> PyResult<Pending> {
        let request = request(py, method, path, payload, limits)?;
        let client = self.client(py)?;
        let (hub, event_loop) = hub(py)?;
        let form = match (vectors, raw) {
            (true, _) => Form::Vectors,
            (false, true) => Form::Bytes,
            (false, false) => Form::Answer,
        };
        let call = Call::new(
            Seat::new(&event_loop),
            form,
            self.config.base.url(path),
            model_of(payload),
        );
        let (waiting, sleeper) = (Arc::downgrade(&call), weak(&call));
        let task = handle(py)?.spawn(async move {
            let reply = client.call(request).await;
            if let Some(call) = waiting.upgrade() {
                call.finish(reply);
                crate::inbox::Wake::wake(&Alarm { hub, sleeper });
            }
        });
        call.runs_as(task.abort_handle());
        Ok(Pending::new(call))
    }

    /// As `call`, for requests about models rather than to them: an ordinary asyncio future of pyo3-async-runtimes.
    /// With `empty` an empty body is right and gives `None`.
    #[pyo3(signature = (method, path, payload, empty, limits))]
    fn manage<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        path: &str,
        payload: Option<&Bound<'py, PyAny>>,
        empty: bool,
        limits: Option<Limits>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let request = request(py, method, path, payload, limits)?;
        let client = self.client(py)?;
        let url = self.config.base.url(path);
        let model = model_of(payload);
        let form = if empty { Form::Status } else { Form::Answer };
        super::futures::into_python(py, async move {
            let reply = client.call(request).await;
            Ok(super::futures::Late(move |py: Python<'_>| {
                form.to_python(py, reply, &url, &model)
            }))
        })
    }

    /// As `call`, waiting in this thread. With `empty` an empty body is right and gives `None`.
    #[pyo3(signature = (method, path, payload, empty, limits, *, vectors = false))]
    #[expect(
        clippy::too_many_arguments,
        reason = "arguments of the one Python caller"
    )]
    fn call_blocking(
        &self,
        py: Python<'_>,
        method: &str,
        path: &str,
        payload: Option<&Bound<'_, PyAny>>,
        empty: bool,
        limits: Option<Limits>,
        vectors: bool,
    ) -> PyResult<Py<PyAny>> {
        let request = request(py, method, path, payload, limits)?;
        let client = self.client(py)?;
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let task = handle(py)?.spawn(async move {
            let _ = sender.send(client.call(request).await);
        });
        let reply = match receive(py, receiver) {
            Ok(reply) => reply,
            Err(interrupt) => {
                task.abort();
                return Err(interrupt);
            }
        };
        let form = match (vectors, empty) {
            (true, _) => Form::Vectors,
            (false, true) => Form::Status,
            (false, false) => Form::Answer,
        };
        form.to_python(py, reply, &self.config.base.url(path), &model_of(payload))
    }

    /// As `stream`, as an ordinary iterator.
    #[pyo3(signature = (path, payload, made, limits))]
    fn stream_blocking(
        &self,
        py: Python<'_>,
        path: &str,
        payload: Option<&Bound<'_, PyAny>>,
        made: Option<Py<PyAny>>,
        limits: Option<Limits>,
    ) -> PyResult<BlockingStream> {
        let request = request(py, "POST", path, payload, limits)?;
        let inbox = Inbox::new(CAPACITY);
        self.pump(py, request, Mode::Deltas, &inbox)?;
        Ok(BlockingStream::new(
            inbox,
            Made::records(py, made),
            model_of(payload),
        ))
    }

    /// Closes the pool. Streams under way go on to their end; new requests raise `ClosedError`.
    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let pool = lock(&self.pool).take();
        drop(pool);
    }
}
