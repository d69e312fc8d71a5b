//! The client: one connection pool, two verbs.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};

use super::base::{Base, Origin};
use super::config::{Config, Timeouts, real_key};
#[cfg(target_os = "linux")]
use super::direct;
use super::exchange::Exchange;
use super::explain::explain;
use super::general::General;
#[cfg(target_os = "linux")]
use super::lane::Runtime;
use super::lane::{Lane, Response, Sender};
use super::pump;
use super::redact::Secrets;
use super::retry::{Retry, is_changing};
use crate::error::{Error, Kind};
use crate::inbox::Inbox;
use crate::stats::Trace;
use crate::wire::Shape;

/// Numbers the clients of the process.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// How long an unused connection is kept. Ollama itself never closes one; whatever stands between may, and then the
/// retry of a stale connection hides it.
pub(super) const POOL_IDLE: Duration = Duration::from_secs(600);

const OWN_NAME: &str = concat!("metagpt-ollama-rs/", env!("CARGO_PKG_VERSION"));

/// Headers that frame the message: set by hand they would break it.
const FRAMING: [&str; 4] = [
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
];

/// A pooled client. Clones share the pool; safe to use from any thread, but only on the runtime it is first used on.
/// One that [`Client::on`] has bound to a reactor runs there, and has a pool there.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    lane: Lane,
}

struct Inner {
    config: Config,
    sender: Sender,
    headers: HeaderMap,
    /// By method, path and whether a body comes with it: making one costs as much as sending it.
    heads: Mutex<HashMap<(Method, String, bool), Arc<Head>>>,
    secrets: Secrets,
    /// The same client at other places of the host, to which redirects have led.
    moved: Mutex<Vec<Client>>,
    /// The reactors on which connections may be left.
    #[cfg(target_os = "linux")]
    reactors: Mutex<Vec<direct::Driver>>,
}

#[cfg(target_os = "linux")]
impl Drop for Inner {
    fn drop(&mut self) {
        let reactors = self
            .reactors
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        for driver in reactors {
            direct::forget(driver, self.sender.number);
        }
    }
}

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
    /// Instead of the client's.
    pub timeouts: Option<Timeouts>,
    /// Instead of the client's.
    pub retry: Option<Retry>,
    /// In addition to the client's; one of the same name replaces it.
    pub headers: Vec<(String, String)>,
    /// What accompanies the call, if anybody wants to know. A pump finishes it; a call leaves that to its caller, who
    /// reads the reply.
    pub trace: Option<Arc<Trace>>,
    /// A pump ends an answer that goes in circles, with an error.
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
}

/// A whole reply with a status of success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// As sent, or empty.
    pub content_type: String,
    pub body: Vec<u8>,
    /// What an error that is made of the body must not show.
    pub secrets: Secrets,
}

/// What a pump puts into the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Decoded items.
    Deltas,
    /// The same, for a reader that can make nothing of an answer of another shape.
    Records(Shape),
    /// Raw lines without their newline, blank ones left out, nothing decoded or checked: for code that brings its
    /// own decoder.
    Lines,
}

impl Client {
    /// A client for `config`. Nothing is sent. Errors are `Kind::Config`.
    pub fn new(config: Config) -> Result<Self, Error> {
        let url = config.base.display();
        Self::build(config).map_err(|error| error.at(&url))
    }

    fn build(config: Config) -> Result<Self, Error> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization(&config) {
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
        let secrets = Secrets::of(&config);
        let route = config.proxy.resolve(&config.base)?;
        let plain = route.is_none() && !config.base.is_https();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let sender = Sender::new(General::new(&config, route)?, number, plain);
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                sender,
                headers,
                heads: Mutex::default(),
                secrets,
                moved: Mutex::default(),
                #[cfg(target_os = "linux")]
                reactors: Mutex::default(),
            }),
            lane: Lane::General,
        })
    }

    /// Whether [`Client::on`] succeeds.
    #[cfg(target_os = "linux")]
    pub fn is_plain(&self) -> bool {
        self.inner.sender.plain
    }

    /// This client on `reactor`, where its futures have to run from then on; `None` where TLS or a proxy is needed,
    /// which a reactor does not have.
    #[cfg(target_os = "linux")]
    pub fn on(&self, reactor: &direct::Reactor, runtime: Runtime) -> Option<Self> {
        self.is_plain()
            .then(|| self.bound(reactor.driver(), runtime))
    }

    #[cfg(target_os = "linux")]
    fn bound(&self, driver: direct::Driver, runtime: Runtime) -> Self {
        let mut reactors = lock(&self.inner.reactors);
        if !reactors.iter().any(|known| known.is(&driver)) {
            reactors.retain(direct::Driver::is_alive);
            reactors.push(driver.clone());
        }
        drop(reactors);
        Self {
            inner: Arc::clone(&self.inner),
            lane: Lane::Direct(driver, runtime),
        }
    }

    /// The proxy that requests go through, without credentials.
    pub fn proxy(&self) -> Option<String> {
        self.inner.sender.proxy()
    }

    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Sends `request`, checks status and framing, returns the whole body.
    pub async fn call(&self, request: Request) -> Result<Reply, Error> {
        let url = self.inner.config.base.url(&request.path);
        let trace = request.trace.clone();
        match self.whole(request, &url).await {
            Ok(reply) => Ok(reply),
            Err(error) => {
                let explained = Box::pin(explain(self, trace.as_deref(), error)).await;
                Err(self.redact(explained.at(&url)))
            }
        }
    }

    /// `error` without anything that this client keeps secret, should the server have repeated it.
    pub(super) fn redact(&self, error: Error) -> Error {
        self.inner.secrets.redact(error)
    }

    pub(super) async fn whole(&self, request: Request, url: &str) -> Result<Reply, Error> {
        let mut exchange = Exchange::open(self, request, url).await?;
        let body = exchange.whole(self.inner.config.max_body).await?;
        Ok(Reply {
            status: exchange.status(),
            content_type: exchange.content_type().to_owned(),
            body,
            secrets: self.inner.secrets.clone(),
        })
    }

    /// Sends `request` and moves the reply into `inbox` until it ends, fails, or the reader aborts; then closes the
    /// inbox. An abort drops the connection at once. Dropping this future closes the inbox, too.
    pub async fn pump(&self, request: Request, inbox: Arc<Inbox>, mode: Mode) {
        pump::run(self, request, &inbox, mode).await;
    }

    pub(super) fn sender(&self) -> &Sender {
        &self.inner.sender
    }

    /// Sees to it that the connection which brought `response` is not used again. The general lane's pool gives none of
    /// its connections away, so all of it goes.
    pub(super) fn distrust(&self, response: &mut Response) {
        match response {
            Response::General(_) => {
                let config = &self.inner.config;
                let route = config.proxy.resolve(&config.base);
                // It could be made before; if it no longer can, the next request says so.
                if let Ok(general) = route.and_then(|route| General::new(config, route)) {
                    self.inner.sender.renew(general);
                }
            }
            #[cfg(target_os = "linux")]
            Response::Direct(response) => response.distrust(),
        }
    }

    pub(super) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// The request as the lanes want it.
    pub(super) fn prepare(&self, request: Request, url: &str) -> Result<Prepared, Error> {
        let changing = is_changing(request.method, &request.path);
        let head = if request.headers.is_empty() {
            let key = (request.method, request.path, request.body.is_some());
            let known = self.inner.heads().get(&key).map(Arc::clone);
            if let Some(head) = known {
                head
            } else {
                let head = Arc::new(self.head(key.0, &key.1, key.2, &[], url)?);
                let mut heads = self.inner.heads();
                if heads.len() >= MAX_HEADS {
                    heads.clear();
                }
                heads.insert(key, Arc::clone(&head));
                head
            }
        } else {
            let (path, more) = (&request.path, &request.headers);
            Arc::new(self.head(request.method, path, request.body.is_some(), more, url)?)
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

    /// The headers of a request to `url`.
    fn headers(
        &self,
        has_body: bool,
        more: &[(String, String)],
        url: &Url,
    ) -> Result<HeaderMap, Error> {
        let mut headers = self.inner.headers.clone();
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
            let place = match url.port() {
                Some(port) => HeaderValue::from_str(&format!("{host}:{port}")),
                None => HeaderValue::from_str(host),
            };
            let unusable = |_| Error::new(Kind::Config, format!("{host:?} is no host name."));
            headers.insert(HOST, place.map_err(unusable)?);
        }
        Ok(headers)
    }

    /// `request` as it goes on to `target`, to which its reply has redirected it, and the client that sends it there.
    /// `target` is on this client's host; to another origin go neither its key nor its own headers.
    pub(super) fn follow(
        &self,
        request: &Prepared,
        target: Url,
    ) -> Result<(Self, Prepared), Error> {
        let home = Url::parse(&self.inner.config.base.display()).ok();
        let same = |url: Option<&Url>| url.is_some_and(|url| url.origin() == target.origin());
        let client = if same(home.as_ref()) {
            self.clone()
        } else {
            self.at(&target, home.as_ref())?
        };
        let headers = if same(Some(&request.head.url)) {
            request.head.headers.clone()
        } else {
            client.headers(request.body.is_some(), &[], &target)?
        };
        let head = Head {
            method: request.head.method.clone(),
            url: target,
            headers,
        };
        let prepared = Prepared {
            head: Arc::new(head),
            body: request.body.clone(),
            changing: request.changing,
        };
        Ok((client, prepared))
    }

    /// This client at the origin of `target`. `home` is its own.
    fn at(&self, target: &Url, home: Option<&Url>) -> Result<Self, Error> {
        let mut base = Base::parse(&target.origin().ascii_serialization(), Origin::BaseUrl)?;
        let mut known = lock(&self.inner.moved);
        let found = known
            .iter()
            .find(|client| client.inner.config.base.is_at(&base));
        let client = if let Some(client) = found {
            client.clone()
        } else {
            let mut config = self.inner.config.clone();
            if home.is_some_and(|home| is_upgrade(home, target)) {
                base = base.with_credentials_of(&config.base);
            } else {
                config.api_key = None;
                config.headers.clear();
            }
            config.base = base;
            let client = Self::new(config)?;
            if known.len() >= MAX_MOVED {
                known.clear();
            }
            known.push(client.clone());
            client
        };
        drop(known);
        Ok(match &self.lane {
            Lane::General => client,
            #[cfg(target_os = "linux")]
            Lane::Direct(driver, runtime) => client.bound(driver.clone(), *runtime),
        })
    }

    /// Whether anything is sent that another origin must not get.
    pub(super) fn has_credentials(&self) -> bool {
        !self.inner.headers.is_empty()
    }
}

/// Whether `target` is what `home` is, with TLS on the usual ports: the one other origin that gets all.
fn is_upgrade(home: &Url, target: &Url) -> bool {
    let port = Url::port_or_known_default;
    (home.scheme(), port(home)) == ("http", Some(80))
        && (target.scheme(), port(target)) == ("https", Some(443))
}

impl Inner {
    fn heads(&self) -> MutexGuard<'_, HashMap<(Method, String, bool), Arc<Head>>> {
        lock(&self.heads)
    }
}

/// What is guarded here is whole after every statement, whoever panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many places of its host a client knows that redirects have led to.
const MAX_MOVED: usize = 8;

/// How many heads are kept: a client asks for a handful of paths, unless somebody makes them up.
const MAX_HEADS: usize = 64;

/// A request that can be sent, more than once.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) head: Arc<Head>,
    pub(super) body: Option<Bytes>,
    /// It must not be sent twice if the server may have got it.
    pub(super) changing: bool,
}

/// A request without its body.
pub(super) struct Head {
    pub(super) method: reqwest::Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
}

impl Prepared {
    pub(super) fn for_reqwest(&self) -> reqwest::Request {
        let head = &self.head;
        let mut request = reqwest::Request::new(head.method.clone(), head.url.clone());
        request.headers_mut().clone_from(&head.headers);
        *request.body_mut() = self.body.clone().map(reqwest::Body::from);
        request
    }
}

/// Credentials appear nowhere.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.inner.config.base)
            .finish_non_exhaustive()
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
