//! A request: what somebody asks for, and what of it goes over the wire.
//!
//! [`Request`] is what callers write: an endpoint, JSON, and what differs from the client's settings. [`Heads`] adds
//! what the client's settings say (the host, the key, headers) and makes it [`Prepared`]: what a lane sends, as often as
//! it has to. Of a request to `POST /api/chat` with the body `{}`, a client of `http://127.0.0.1:11434` with a key sends
//!
//! ```text
//! POST /api/chat HTTP/1.1
//! authorization: Bearer <the key>
//! content-type: application/json
//! accept: */*
//! user-agent: metagpt-ollama-rs/<the version>
//! host: 127.0.0.1:11434
//! content-length: 2
//!
//! {}
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};

use super::base::BaseUrl;
use super::config::{Config, real_key};
use super::endpoint::{Endpoint, Method};
use super::policy::{Retry, Timeouts};
use super::unix_socket::UnixSocket;
use super::upload::UploadFile;
use crate::error::{Error, Kind};
use crate::excerpt::excerpt;
use crate::stats::Trace;
use crate::sync::lock;

const OWN_NAME: &str = concat!("metagpt-ollama-rs/", env!("CARGO_PKG_VERSION"));

/// Headers that frame the message, or that say what becomes of its connection: set by hand they would break it.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// How many heads are kept: a client asks for a handful of paths, unless somebody makes them up.
const MAX_HEADS: usize = 64;

/// What to ask.
#[derive(Clone, Debug)]
pub struct Request {
    pub endpoint: Arc<Endpoint>,
    /// JSON text.
    pub body: Option<Vec<u8>>,
    /// A file that is sent as the body, in the place of `body`. The direct lane sends it only on a reactor with a thread of
    /// its own.
    pub upload: Option<UploadFile>,
    /// Replace those of the client.
    pub timeouts: Option<Timeouts>,
    /// Replaces that of the client.
    pub retry: Option<Retry>,
    /// Sent in addition to the headers of the client; one of the same name replaces the client's.
    pub headers: Vec<(String, String)>,
    /// The record of the call, if anybody wants one. A pump finishes it; a call leaves that to whoever made the call,
    /// who reads the reply.
    pub trace: Option<Arc<Trace>>,
    /// Whether a pump ends an answer that repeats itself without end, with an error.
    pub repetition_guard: bool,
}

impl Request {
    /// This request with `headers` in addition to those of the client. Errors are `Kind::Config` and name the header,
    /// never its value. `Host` is the client's alone, because all its requests share the connections to one host.
    pub fn with_headers(mut self, headers: Vec<(String, String)>) -> Result<Self, Error> {
        add_headers(&mut HeaderMap::new(), &headers)?;
        if let Some((name, _)) = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            return Err(unsendable(
                name,
                "a call cannot have another than the client's",
            ));
        }
        self.headers = headers;
        Ok(self)
    }

    /// A request to `endpoint` without a body, with the settings of the client.
    pub fn to(endpoint: impl Into<Arc<Endpoint>>) -> Self {
        Self {
            endpoint: endpoint.into(),
            body: None,
            upload: None,
            timeouts: None,
            retry: None,
            headers: Vec::new(),
            trace: None,
            repetition_guard: false,
        }
    }
}

/// A request as the lanes send it. It can be sent again, because a clone shares its head and its body.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) head: Arc<Head>,
    pub(super) body: Option<Bytes>,
    /// A file in the place of the body.
    pub(super) upload: Option<UploadFile>,
    /// Whether the request may change something on the server, so that it must not be sent again once the server may have
    /// got it.
    pub(super) changing: bool,
}

/// What of a request stands before its body.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) method: reqwest::Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    /// Those of the headers that the call has given, not the client. After a redirect to another origin they are not
    /// among the headers, but may be again after the next one.
    pub(super) of_call: Vec<(String, String)>,
    /// The media type of the body that comes with it, unless the headers say another.
    pub(super) body_type: BodyType,
    /// The socket on which the server listens, if it does not listen on a port.
    pub(super) socket: Option<UnixSocket>,
}

/// The media type of a body.
type BodyType = Option<&'static str>;

/// What tells two heads of one client apart: the endpoint, and what kind of body comes with it.
type HeadKey = (Arc<Endpoint>, BodyType);

/// Makes the heads of the requests of one client, and keeps them: making one costs as much as sending it.
pub(super) struct Heads {
    /// What the client's settings say: its key, its headers.
    headers: HeaderMap,
    base: BaseUrl,
    kept: Mutex<HashMap<HeadKey, Arc<Head>>>,
}

impl Heads {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization(config) {
            let mut value = HeaderValue::from_str(&value).map_err(|_| {
                Error::new(
                    Kind::Config,
                    "The API key cannot be sent: it contains a character that no header may hold.",
                )
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        add_headers(&mut headers, &config.headers)?;
        Ok(Self {
            headers,
            base: config.base.clone(),
            kept: Mutex::default(),
        })
    }

    /// Whether the client's settings have a key or headers, which another origin must not get.
    pub(super) fn has_credentials(&self) -> bool {
        !self.headers.is_empty()
    }

    /// `request` as the lanes send it.
    pub(super) fn prepare(&self, request: Request) -> Result<Prepared, Error> {
        let changing = request.endpoint.changes;
        let body_type = match (&request.body, &request.upload) {
            (_, Some(_)) => Some("application/octet-stream"),
            (Some(_), None) => Some("application/json"),
            (None, None) => None,
        };
        let head = if request.headers.is_empty() {
            let key = (request.endpoint, body_type);
            let kept = self.kept().get(&key).map(Arc::clone);
            if let Some(head) = kept {
                head
            } else {
                let head = Arc::new(self.head(&key.0, body_type, Vec::new())?);
                let mut kept = self.kept();
                if kept.len() >= MAX_HEADS {
                    kept.clear();
                }
                kept.insert(key, Arc::clone(&head));
                head
            }
        } else {
            Arc::new(self.head(&request.endpoint, body_type, request.headers)?)
        };
        Ok(Prepared {
            head,
            body: request.body.map(Bytes::from),
            upload: request.upload,
            changing,
        })
    }

    fn head(
        &self,
        endpoint: &Endpoint,
        body_type: BodyType,
        of_call: Vec<(String, String)>,
    ) -> Result<Head, Error> {
        let unusable = || {
            let message = format!("{:?} is no path of a URL.", endpoint.path);
            Error::new(Kind::Config, message)
        };
        let url = Url::parse(&self.base.request_url(&endpoint.path)).map_err(|_| unusable())?;
        let method = match endpoint.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Delete => reqwest::Method::DELETE,
            Method::Head => reqwest::Method::HEAD,
        };
        let headers = self.headers(body_type, &of_call, &url)?;
        Ok(Head {
            method,
            url,
            headers,
            of_call,
            body_type,
            socket: self.base.socket().cloned(),
        })
    }

    /// `request` as it goes on to `target`, to which a redirect leads. `self` are the heads of the client that sends it
    /// there. `trusted` says whether `target` gets the call's own headers: otherwise these stay at the origin that
    /// they were meant for.
    pub(super) fn redirected(
        &self,
        request: &Prepared,
        target: Url,
        trusted: bool,
    ) -> Result<Prepared, Error> {
        let of_call = request.head.of_call.clone();
        let headers = if request.head.url.origin() == target.origin() {
            request.head.headers.clone()
        } else {
            let sent = if trusted { of_call.as_slice() } else { &[] };
            self.headers(request.head.body_type, sent, &target)?
        };
        let head = Head {
            method: request.head.method.clone(),
            url: target,
            headers,
            of_call,
            body_type: request.head.body_type,
            socket: self.base.socket().cloned(),
        };
        Ok(Prepared {
            head: Arc::new(head),
            body: request.body.clone(),
            upload: request.upload.clone(),
            changing: request.changing,
        })
    }

    /// The headers of a request to `url`: those of the client's settings, `more`, and what every request has.
    fn headers(
        &self,
        body_type: BodyType,
        more: &[(String, String)],
        url: &Url,
    ) -> Result<HeaderMap, Error> {
        let mut headers = self.headers.clone();
        if let Some(body_type) = body_type
            && !headers.contains_key(CONTENT_TYPE)
        {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(body_type));
        }
        add_headers(&mut headers, more)?;
        for (name, value) in [(ACCEPT, "*/*"), (USER_AGENT, OWN_NAME)] {
            headers
                .entry(name)
                .or_insert(HeaderValue::from_static(value));
        }
        if !headers.contains_key(HOST) {
            let host = url.host_str().unwrap_or_default();
            let authority = match url.port() {
                Some(port) => HeaderValue::from_str(&format!("{host}:{port}")),
                None => HeaderValue::from_str(host),
            };
            let unusable = |_| Error::new(Kind::Config, format!("{host:?} is no host name."));
            headers.insert(HOST, authority.map_err(unusable)?);
        }
        Ok(headers)
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<HeadKey, Arc<Head>>> {
        lock(&self.kept)
    }
}

/// An explicit key, or else the user and password of the base URL.
fn authorization(config: &Config) -> Option<String> {
    if let Some(key) = config.api_key.as_deref().and_then(real_key) {
        return Some(format!("Bearer {key}"));
    }
    let (user, password) = config.base.credentials()?;
    Some(format!(
        "Basic {}",
        BASE64.encode(format!("{user}:{password}"))
    ))
}

/// The error for a header that cannot be sent. Its value may be a secret, and is not shown.
fn unsendable(name: &str, why: &str) -> Error {
    let message = format!("The header {:?} cannot be sent: {why}.", excerpt(name, 60));
    Error::new(Kind::Config, message)
}

/// Puts `more` into `headers`, in the place of those of the same names.
fn add_headers(headers: &mut HeaderMap, more: &[(String, String)]) -> Result<(), Error> {
    for (name, value) in more {
        let wrong = |why: &str| unsendable(name, why);
        let parsed =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("its name is not valid"))?;
        if FRAMING.contains(&parsed.as_str()) {
            return Err(wrong("the client sets it itself"));
        }
        let value = HeaderValue::from_str(value)
            .map_err(|_| wrong("its value holds a character that no header may hold"))?;
        headers.insert(parsed, value);
    }
    Ok(())
}
