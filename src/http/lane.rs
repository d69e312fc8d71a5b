//! The two ways to a server, and their clocks.
//!
//! Both send the same bytes, read the same responses and fail with the same errors: what differs is who polls the
//! sockets. Everything above (retries, time limits, decoding) is written once.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tokio::time::{Instant, Sleep, sleep_until};

use super::attempt::Attempt;
use super::config::Config;
use super::direct::{self, ReactorHandle};
use super::general::{self, General};
use super::policy::later;
use super::request::Prepared;
use crate::error::{Error, Kind};
use crate::sync::lock;

/// A function that gives the tokio runtime of the process, which is started when it is first needed.
pub type GetRuntime = fn() -> Result<tokio::runtime::Handle, Error>;

/// Who polls the sockets of a request.
#[derive(Clone)]
pub(super) enum Lane {
    /// A tokio runtime polls them; the request has to run there.
    General,
    /// A reactor polls them; the request has to run there.
    Direct(ReactorLane),
}

/// A reactor that polls the sockets of requests.
#[derive(Clone)]
pub(super) struct ReactorLane {
    pub(super) reactor: ReactorHandle,
    /// For an origin that needs TLS or a proxy, to which a redirect may lead.
    pub(super) runtime: GetRuntime,
    /// Whether the reactor has a thread of its own, which may wait for the disk, and not that of an event loop.
    pub(super) may_block: bool,
}

impl Lane {
    pub(super) fn timer(&self, at: Instant) -> Timer {
        match self {
            Self::General => Timer::General(Box::pin(sleep_until(at))),
            Self::Direct(lane) => Timer::Direct(lane.reactor.timer(at)),
        }
    }

    pub(super) async fn sleep(&self, time: Duration) {
        self.timer(later(Instant::now(), time)).await;
    }

    /// What `work` comes to; `None` if that takes longer than `limit`.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.sleep(limit) => None,
        }
    }
}

/// A future that completes at a time, which can be moved.
pub(super) enum Timer {
    General(Pin<Box<Sleep>>),
    Direct(direct::Timer),
}

impl Timer {
    /// Moves the time to `at`.
    pub(super) fn reset(&mut self, at: Instant) {
        match self {
            Self::General(sleep) => sleep.as_mut().reset(at),
            Self::Direct(timer) => timer.reset(at),
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        match self {
            Self::General(sleep) => sleep.deadline(),
            Self::Direct(timer) => timer.deadline(),
        }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.get_mut() {
            Self::General(sleep) => sleep.as_mut().poll(context),
            Self::Direct(timer) => Pin::new(timer).poll(context),
        }
    }
}

/// The head of a response, and its body piece by piece.
pub(super) enum Response {
    General(general::Response),
    Direct(Box<direct::Response>),
}

impl Response {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::General(response) => response.status(),
            Self::Direct(response) => response.head().status,
        }
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        match self {
            Self::General(response) => response.headers(),
            Self::Direct(response) => &response.head().headers,
        }
    }

    /// How many bytes of the body are to come, if that is known.
    pub(super) fn content_length(&self) -> Option<u64> {
        match self {
            Self::General(response) => response.content_length(),
            Self::Direct(response) => response.expected(),
        }
    }

    /// Waits for more of the body and shows its pieces to `take` until that says no; what is left is for the next call.
    /// True: the body has ended.
    pub(super) async fn pull(&mut self, take: impl FnMut(&[u8]) -> bool) -> Result<bool, Error> {
        match self {
            Self::General(response) => response.pull(take).await,
            Self::Direct(response) => response.pull(take).await.map_err(Error::from),
        }
    }
}

/// Numbers the clients of the process.
static CLIENTS: AtomicU64 = AtomicU64::new(0);

/// The two lanes of one client, which send its requests.
pub(super) struct Lanes {
    general: Mutex<Arc<General>>,
    /// The number under which a reactor keeps the client's connections.
    client: u64,
    /// Whether neither TLS nor a proxy stands between here and the server.
    plain: bool,
    /// The reactors on which connections may be left.
    reactors: Mutex<Vec<ReactorHandle>>,
}

impl Lanes {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let proxy = config.proxy.resolve(&config.base)?;
        if proxy.is_some() && config.base.socket().is_some() {
            return Err(Error::new(
                Kind::Config,
                "The proxy cannot be used: no proxy leads to a Unix socket. Leave one of the two out.",
            ));
        }
        Ok(Self {
            plain: proxy.is_none() && !config.base.is_https(),
            general: Mutex::new(Arc::new(General::new(config, proxy)?)),
            client: CLIENTS.fetch_add(1, Ordering::Relaxed),
            reactors: Mutex::default(),
        })
    }

    /// Whether the direct lane leads to the server.
    pub(super) fn is_plain(&self) -> bool {
        self.plain
    }

    /// Notes that connections may be left on the reactor of `lane`.
    pub(super) fn remember(&self, lane: &Lane) {
        if let Lane::Direct(ReactorLane {
            reactor: handle, ..
        }) = lane
        {
            let mut reactors = lock(&self.reactors);
            if !reactors.iter().any(|known| known.same_reactor(handle)) {
                reactors.retain(ReactorHandle::is_alive);
                reactors.push(handle.clone());
            }
        }
    }

    /// The proxy that requests go through, without credentials.
    pub(super) fn proxy(&self) -> Option<String> {
        self.general().proxy().map(str::to_owned)
    }

    /// The proxy that may reply in the server's place, without credentials.
    pub(super) fn proxy_that_may_reply(&self) -> Option<String> {
        self.general().proxy_that_may_reply().map(str::to_owned)
    }

    fn general(&self) -> Arc<General> {
        Arc::clone(&lock(&self.general))
    }

    /// Sends `request` in `lane`. The general lane takes it where the direct one does not lead to the server, and where a
    /// file would block an event loop.
    pub(super) async fn send(
        &self,
        lane: &Lane,
        request: &Prepared,
        attempt: &Arc<Attempt>,
    ) -> Result<Response, Error> {
        match lane {
            Lane::General => self
                .general()
                .send(request, attempt)
                .await
                .map(Response::General),
            Lane::Direct(lane) if self.plain && (lane.may_block || request.upload.is_none()) => {
                direct::send(&lane.reactor, self.client, request, attempt)
                    .await
                    .map(|response| Response::Direct(Box::new(response)))
                    .map_err(Error::from)
            }
            Lane::Direct(ReactorLane { runtime, .. }) => {
                let general = self.general();
                let (request, attempt) = (request.clone(), Arc::clone(attempt));
                let sending = async move { general.send(&request, &attempt).await };
                let mut task = AbortOnDrop(runtime()?.spawn(sending));
                match (&mut task.0).await {
                    Ok(sent) => sent.map(Response::General),
                    Err(_) => Err(Error::new(Kind::Closed, "The I/O thread has ended.")),
                }
            }
        }
    }

    /// Sees to it that the connection which brought `response` is not used again. The general lane's pool gives none of
    /// its connections away, so all of it goes. `config` is that of the client.
    pub(super) fn forbid_reuse(&self, response: &mut Response, config: &Config) {
        match response {
            Response::General(_) => {
                let proxy = config.proxy.resolve(&config.base);
                // Making reqwest's client succeeded before; if it no longer does, the old one stays, and so may its connection.
                if let Ok(fresh) = proxy.and_then(|proxy| General::new(config, proxy)) {
                    let before = std::mem::replace(&mut *lock(&self.general), Arc::new(fresh));
                    drop(before);
                }
            }
            Response::Direct(response) => response.forbid_reuse(),
        }
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        for handle in &*lock(&self.reactors) {
            handle.close_idle(self.client);
        }
    }
}

/// A task of the runtime that is aborted when nobody waits for it any more.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
