//! The client: one connection pool, two verbs.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::Url;

use super::base::{Base, Origin};
use super::config::Config;
#[cfg(target_os = "linux")]
use super::direct;
use super::endpoint::Endpoint;
use super::exchange::Exchange;
use super::explain::explain;
use super::general::General;
#[cfg(target_os = "linux")]
use super::lane::Runtime;
use super::lane::{Lane, Response, Sender};
use super::pump;
use super::redact::Secrets;
use super::request::{Heads, Prepared, Request};
use crate::error::Error;
use crate::inbox::Inbox;
use crate::wire::Shape;

/// Numbers the clients of the process.
static NUMBER: AtomicU64 = AtomicU64::new(0);

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
    heads: Heads,
    secrets: Secrets,
    /// The same client at other places of the host, to which redirects have led.
    moved: Mutex<Vec<Client>>,
    /// The reactors on which connections may be left.
    #[cfg(target_os = "linux")]
    reactors: Mutex<Vec<direct::ReactorHandle>>,
}

#[cfg(target_os = "linux")]
impl Drop for Inner {
    fn drop(&mut self) {
        let reactors = self
            .reactors
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        for handle in reactors {
            handle.close_idle(self.sender.number);
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
    /// The endpoint that sent it.
    pub endpoint: Arc<Endpoint>,
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
        let heads = Heads::new(&config)?;
        let secrets = Secrets::of(&config);
        let route = config.proxy.resolve(&config.base)?;
        let plain = route.is_none() && !config.base.is_https();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let sender = Sender::new(General::new(&config, route)?, number, plain);
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                sender,
                heads,
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
            .then(|| self.bound(reactor.handle(), runtime))
    }

    #[cfg(target_os = "linux")]
    fn bound(&self, handle: direct::ReactorHandle, runtime: Runtime) -> Self {
        let mut reactors = lock(&self.inner.reactors);
        if !reactors.iter().any(|known| known.same_reactor(&handle)) {
            reactors.retain(direct::ReactorHandle::is_alive);
            reactors.push(handle.clone());
        }
        drop(reactors);
        Self {
            inner: Arc::clone(&self.inner),
            lane: Lane::Direct(handle, runtime),
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
        let url = self.inner.config.base.url(&request.endpoint.path);
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
        let endpoint = Arc::clone(&request.endpoint);
        let mut exchange = Exchange::open(self, request, url).await?;
        let body = exchange.whole(self.inner.config.max_body).await?;
        Ok(Reply {
            status: exchange.status(),
            content_type: exchange.content_type().to_owned(),
            body,
            secrets: self.inner.secrets.clone(),
            endpoint,
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
            Response::Direct(response) => response.forbid_reuse(),
        }
    }

    pub(super) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// `request` as the lanes send it to `url`.
    pub(super) fn prepare(&self, request: Request, url: &str) -> Result<Prepared, Error> {
        self.inner.heads.prepare(request, url)
    }

    /// `request` as it goes on to `target`, to which its reply has redirected it, and the client that sends it there.
    /// `target` is on this client's host; to another origin go neither its key nor its own headers.
    pub(super) fn follow(
        &self,
        request: &Prepared,
        target: Url,
    ) -> Result<(Self, Prepared), Error> {
        let home = Url::parse(&self.inner.config.base.display()).ok();
        let is_home = home
            .as_ref()
            .is_some_and(|home| home.origin() == target.origin());
        let client = if is_home {
            self.clone()
        } else {
            self.at(&target, home.as_ref())?
        };
        let prepared = client.inner.heads.redirected(request, target)?;
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
            Lane::Direct(handle, runtime) => client.bound(handle.clone(), *runtime),
        })
    }

    /// Whether anything is sent that another origin must not get.
    pub(super) fn has_credentials(&self) -> bool {
        self.inner.heads.has_credentials()
    }
}

/// Whether `target` is what `home` is, with TLS on the usual ports: the one other origin that gets all.
fn is_upgrade(home: &Url, target: &Url) -> bool {
    let port = Url::port_or_known_default;
    (home.scheme(), port(home)) == ("http", Some(80))
        && (target.scheme(), port(target)) == ("https", Some(443))
}

/// What is guarded here is whole after every statement, whoever panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many places of its host a client knows that redirects have led to.
const MAX_MOVED: usize = 8;

/// Credentials appear nowhere.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.inner.config.base)
            .finish_non_exhaustive()
    }
}
