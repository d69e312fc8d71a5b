//! The two ways to a server, and their clocks.
//!
//! Both send the same bytes, read the same responses and fail with the same errors: what differs is who polls the
//! sockets. Everything above (retries, time limits, decoding) is written once.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tokio::time::{Instant, Sleep, sleep_until};

use super::attempt::Attempt;
#[cfg(target_os = "linux")]
use super::direct;
use super::general;
use super::policy::later;
use super::request::Prepared;
use crate::error::Error;
#[cfg(target_os = "linux")]
use crate::error::Kind;

/// Gives the tokio runtime of the process, which is started when it is first needed.
pub type Runtime = fn() -> Result<tokio::runtime::Handle, Error>;

/// Who polls the sockets of a request.
#[derive(Clone)]
pub(super) enum Lane {
    /// A tokio runtime, on which the request has to run.
    General,
    /// A reactor in somebody's event loop, on which the request has to run. The runtime is for what a redirect leads to
    /// that needs TLS or a proxy.
    #[cfg(target_os = "linux")]
    Direct(direct::ReactorHandle, Runtime),
}

impl Lane {
    pub(super) fn timer(&self, at: Instant) -> Timer {
        match self {
            Self::General => Timer::General(Box::pin(sleep_until(at))),
            #[cfg(target_os = "linux")]
            Self::Direct(handle, _) => Timer::Direct(handle.timer(at)),
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

/// Completes at a time, which can be moved.
pub(super) enum Timer {
    General(Pin<Box<Sleep>>),
    #[cfg(target_os = "linux")]
    Direct(direct::Timer),
}

impl Timer {
    /// Moves it.
    pub(super) fn reset(&mut self, at: Instant) {
        match self {
            Self::General(sleep) => sleep.as_mut().reset(at),
            #[cfg(target_os = "linux")]
            Self::Direct(timer) => timer.reset(at),
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        match self {
            Self::General(sleep) => sleep.deadline(),
            #[cfg(target_os = "linux")]
            Self::Direct(timer) => timer.deadline(),
        }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.get_mut() {
            Self::General(sleep) => sleep.as_mut().poll(context),
            #[cfg(target_os = "linux")]
            Self::Direct(timer) => Pin::new(timer).poll(context),
        }
    }
}

/// The head of a response, and its body piece by piece.
pub(super) enum Response {
    General(general::Response),
    #[cfg(target_os = "linux")]
    Direct(Box<direct::Response>),
}

impl Response {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::General(response) => response.status(),
            #[cfg(target_os = "linux")]
            Self::Direct(response) => response.head().status,
        }
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        match self {
            Self::General(response) => response.headers(),
            #[cfg(target_os = "linux")]
            Self::Direct(response) => &response.head().headers,
        }
    }

    /// How many bytes of the body are to come, if that is known.
    pub(super) fn expected(&self) -> Option<u64> {
        match self {
            Self::General(response) => response.expected(),
            #[cfg(target_os = "linux")]
            Self::Direct(response) => response.expected(),
        }
    }

    /// Waits for more of the body and shows its pieces to `take` until that says no; what is left is for the next call.
    /// True: the body has ended.
    pub(super) async fn pull(&mut self, take: impl FnMut(&[u8]) -> bool) -> Result<bool, Error> {
        match self {
            Self::General(response) => response.pull(take).await,
            #[cfg(target_os = "linux")]
            Self::Direct(response) => response.pull(take).await.map_err(Error::from),
        }
    }
}

/// What sends the requests of one client.
pub(super) struct Sender {
    general: RwLock<Arc<general::General>>,
    /// The number under which a reactor keeps the client's connections.
    pub(super) number: u64,
    /// Neither TLS nor a proxy stands between here and the server.
    pub(super) plain: bool,
}

impl Sender {
    pub(super) fn new(general: general::General, number: u64, plain: bool) -> Self {
        Self {
            general: RwLock::new(Arc::new(general)),
            number,
            plain,
        }
    }

    /// Sends through `general` from now on, and so over none of the connections of the one before.
    pub(super) fn renew(&self, general: general::General) {
        let mut current = self.general.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, Arc::new(general));
        drop(current);
        drop(before);
    }

    /// The proxy that requests go through, without credentials.
    pub(super) fn proxy(&self) -> Option<String> {
        self.general().proxy().map(str::to_owned)
    }

    /// The proxy that may reply in the server's place, without credentials.
    pub(super) fn may_reply(&self) -> Option<String> {
        self.general().may_reply().map(str::to_owned)
    }

    fn general(&self) -> Arc<general::General> {
        let current = self.general.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

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
            #[cfg(target_os = "linux")]
            Lane::Direct(handle, _) if self.plain => {
                direct::send(handle, self.number, request, attempt)
                    .await
                    .map(|response| Response::Direct(Box::new(response)))
                    .map_err(Error::from)
            }
            #[cfg(target_os = "linux")]
            Lane::Direct(_, runtime) => {
                let general = self.general();
                let (request, attempt) = (request.clone(), Arc::clone(attempt));
                let sending = async move { general.send(&request, &attempt).await };
                let mut task = Elsewhere(runtime()?.spawn(sending));
                match (&mut task.0).await {
                    Ok(sent) => sent.map(Response::General),
                    Err(_) => Err(Error::new(Kind::Closed, "The I/O thread has ended.")),
                }
            }
        }
    }
}

/// A task of the runtime that ends with whoever waits for it.
#[cfg(target_os = "linux")]
struct Elsewhere<T>(tokio::task::JoinHandle<T>);

#[cfg(target_os = "linux")]
impl<T> Drop for Elsewhere<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
