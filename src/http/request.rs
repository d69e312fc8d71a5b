//! A request: what somebody asks for, and what of it goes over the wire.
//!
//! [`Request`] is what callers write: a method, a path, JSON, and what differs from the client's settings. [`Heads`] adds
//! what the client's settings say (the host, the key, headers) and makes it [`Prepared`]: what a lane sends, as often as
//! it has to. Of `Request::post("/api/chat", "{}")` a client of `http://127.0.0.1:11434` with a key sends
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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};

use super::config::{Config, real_key};
use super::policy::{Retry, Timeouts};
use crate::error::{Error, Kind};
use crate::stats::Trace;

/// Routes that change nothing, though they are asked with POST.
const HARMLESS: [&str; 10] = [
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
    "/api/show",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
];

/// Routes whose streams report progress.
const PROGRESS: [&str; 3] = ["/api/pull", "/api/push", "/api/create"];

/// Routes whose streams are answers in Ollama's own shapes.
pub const ANSWERS: [&str; 2] = ["/api/chat", "/api/generate"];

const OWN_NAME: &str = concat!("metagpt-ollama-rs/", env!("CARGO_PKG_VERSION"));

/// Headers that frame the message: set by hand they would break it.
const FRAMING: [&str; 4] = [
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
];

/// How many heads are kept: a client asks for a handful of paths, unless somebody makes them up.
const MAX_HEADS: usize = 64;

/// The verbs that Ollama's routes use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Get,
    Post,
    Delete,
    Head,
}

/// What to ask.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    /// Such as `/api/chat`; it comes after the base URL's prefix.
    pub path: String,
    /// JSON text.
    pub body: Option<Vec<u8>>,
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
    pub guarded: bool,
}

impl Request {
    /// `POST path` with a JSON body.
    pub fn post(path: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: Some(body.into()),
            method: Method::Post,
            ..Self::get(path)
        }
    }

    /// `GET path`.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::Get,
            path: path.into(),
            body: None,
            timeouts: None,
            retry: None,
            headers: Vec::new(),
            trace: None,
            guarded: false,
        }
    }

    /// Whether this may change something (copy, create, delete, push, pull, blobs, and what is not known). Such a request
    /// is not sent twice when the server may have carried it out already.
    pub(super) fn is_changing(&self) -> bool {
        match self.method {
            Method::Get | Method::Head => false,
            Method::Post => !HARMLESS.contains(&self.path.as_str()),
            Method::Delete => true,
        }
    }

    /// Whether the lines of the reply report progress.
    pub(super) fn has_progress(&self) -> bool {
        PROGRESS.contains(&self.path.as_str())
    }

    /// Whether the lines of the reply are parts of an answer in Ollama's own shapes.
    pub(super) fn has_answer(&self) -> bool {
        ANSWERS.contains(&self.path.as_str())
    }
}

/// A request that can be sent, more than once.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) head: Arc<Head>,
    pub(super) body: Option<Bytes>,
    /// It must not be sent twice if the server may have got it.
    pub(super) changing: bool,
}

/// A request without its body.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) method: reqwest::Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
}

/// What a head is made of, and so what tells two heads of one client apart: method, path, whether a body comes with it.
type HeadKey = (Method, String, bool);

/// Makes the heads of the requests of one client, and keeps them: making one costs as much as sending it.
pub(super) struct Heads {
    /// What the client's settings say: its key, its headers.
    headers: HeaderMap,
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
            kept: Mutex::default(),
        })
    }

    /// Whether the client's settings have a key or headers, which another origin must not get.
    pub(super) fn has_credentials(&self) -> bool {
        !self.headers.is_empty()
    }

    /// `request` as the lanes send it to `url`.
    pub(super) fn prepare(&self, request: Request, url: &str) -> Result<Prepared, Error> {
        let changing = request.is_changing();
        let has_body = request.body.is_some();
        let head = if request.headers.is_empty() {
            let key = (request.method, request.path, has_body);
            let kept = self.kept().get(&key).map(Arc::clone);
            if let Some(head) = kept {
                head
            } else {
                let head = Arc::new(self.head(key.0, &key.1, key.2, &[], url)?);
                let mut kept = self.kept();
                if kept.len() >= MAX_HEADS {
                    kept.clear();
                }
                kept.insert(key, Arc::clone(&head));
                head
            }
        } else {
            let (path, more) = (&request.path, &request.headers);
            Arc::new(self.head(request.method, path, has_body, more, url)?)
        };
        Ok(Prepared {
            head,
            body: request.body.map(Bytes::from),
            changing,
        })
    }

    fn head(
        &self,
        method: Method,
        path: &str,
        has_body: bool,
        more: &[(String, String)],
        url: &str,
    ) -> Result<Head, Error> {
        let unusable = || Error::new(Kind::Config, format!("{path:?} is no path of a URL."));
        let url = Url::parse(url).map_err(|_| unusable())?;
        let method = match method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Delete => reqwest::Method::DELETE,
            Method::Head => reqwest::Method::HEAD,
        };
        let headers = self.headers(has_body, more, &url)?;
        Ok(Head {
            method,
            url,
            headers,
        })
    }

    /// `request` as it goes on to `target`, to which a redirect leads. `self` are the heads of the client that sends it
    /// there. The request's own headers stay where they were meant for: at their origin.
    pub(super) fn redirected(&self, request: &Prepared, target: Url) -> Result<Prepared, Error> {
        let headers = if request.head.url.origin() == target.origin() {
            request.head.headers.clone()
        } else {
            self.headers(request.body.is_some(), &[], &target)?
        };
        let head = Head {
            method: request.head.method.clone(),
            url: target,
            headers,
        };
        Ok(Prepared {
            head: Arc::new(head),
            body: request.body.clone(),
            changing: request.changing,
        })
    }

    /// The headers of a request to `url`: those of the client's settings, `more`, and what every request has.
    fn headers(
        &self,
        has_body: bool,
        more: &[(String, String)],
        url: &Url,
    ) -> Result<HeaderMap, Error> {
        let mut headers = self.headers.clone();
        if has_body && !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
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
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Values may be secrets, so an error names the header only.
fn add_headers(headers: &mut HeaderMap, more: &[(String, String)]) -> Result<(), Error> {
    for (name, value) in more {
        let wrong = |what: &str| {
            Error::new(
                Kind::Config,
                format!("The header {name:?} cannot be sent: {what}."),
            )
        };
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
