//! The client: one connection pool, two verbs.

use std::fmt;
use std::sync::Arc;

use super::config::Config;
use super::direct::Reactor;
use super::explain::explain;
use super::lane::GetRuntime;
use super::pump;
use super::reply::{self, Reply};
use super::request::Request;
use super::sink::PumpMode;
use super::transport::Transport;
use crate::error::Error;
use crate::inbox::Inbox;

/// A pooled client. Clones share the pool; safe to use from any thread, but only on the runtime it is first used on.
/// One that [`Client::on`] has bound to a reactor runs there, and has a pool there.
#[derive(Clone)]
pub struct Client(Transport);

impl Client {
    /// A client for `config`. Nothing is sent. Errors are `Kind::Config`.
    pub fn new(config: Config) -> Result<Self, Error> {
        let url = config.base.display();
        Transport::new(config)
            .map(Self)
            .map_err(|error| error.at(&url))
    }

    /// Whether [`Client::on`] succeeds.
    pub fn is_plain(&self) -> bool {
        self.0.is_plain()
    }

    /// This client on `reactor`, where its futures have to run from then on; `None` where TLS or a proxy is needed,
    /// which a reactor does not have.
    pub fn on(&self, reactor: &Reactor, runtime: GetRuntime) -> Option<Self> {
        self.0.on(reactor, runtime, false).map(Self)
    }

    /// As [`Client::on`], on a reactor with a thread of its own: files are sent over its sockets, too.
    pub fn on_own_thread(&self, reactor: &Reactor, runtime: GetRuntime) -> Option<Self> {
        self.0.on(reactor, runtime, true).map(Self)
    }

    /// The proxy that requests go through, without credentials.
    pub fn proxy(&self) -> Option<String> {
        self.0.proxy()
    }

    pub fn config(&self) -> &Config {
        self.0.config()
    }

    /// Sends `request`, checks status and framing, returns the whole body.
    pub async fn call(&self, request: Request) -> Result<Reply, Error> {
        let url = self.config().base.url(&request.endpoint.path);
        let trace = request.trace.clone();
        let headers = request.headers.clone();
        let secrets = self.0.secrets_of(&request);
        match reply::fetch(&self.0, request).await {
            Ok(reply) => Ok(reply),
            Err(error) => {
                let explained = Box::pin(explain(&self.0, trace.as_deref(), headers, error)).await;
                Err(secrets.redact(explained.at(&url)))
            }
        }
    }

    /// Sends `request` and moves the reply into `inbox` until it ends, fails, or the reader aborts; then closes the
    /// inbox. An abort drops the connection at once. Dropping this future closes the inbox, too.
    pub async fn pump(&self, request: Request, inbox: Arc<Inbox>, mode: PumpMode) {
        pump::run(&self.0, request, &inbox, mode).await;
    }
}

/// Credentials appear nowhere.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.config().base)
            .finish_non_exhaustive()
    }
}
