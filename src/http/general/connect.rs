//! Watching connections being made, on behalf of the request that needs one, and looking up the names for them.
//!
//! reqwest has one connect limit for a whole client and does not tell whether a request went out on a pooled
//! connection. This layer around its connector does both per request: the connector runs inside the task of the
//! request, so a task-local leads from it back to the request's [`Attempt`]. A connection that is being made when a pooled
//! one becomes free is finished in a task of its own; that finds no task-local and keeps the client's limit.
//!
//! That a connection was made for a request does not mean that the request went out on it: hyper takes the pooled one if
//! that becomes free before the new one is ready. So connections are told apart by their address on this side.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::Error as ClientError;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpInfo};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tower_layer::Layer;
use tower_service::Service;

use crate::http::attempt::{Attempt, ConnectTimeout, UnresolvedName};
use crate::http::fault::cause;
use crate::http::names;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

tokio::task_local! {
    static ATTEMPT: Arc<Attempt>;
}

/// Runs `work` with `attempt` in the connector's sight.
pub(super) async fn with_attempt<T>(attempt: &Arc<Attempt>, work: impl Future<Output = T>) -> T {
    ATTEMPT.scope(Arc::clone(attempt), work).await
}

/// Wraps reqwest's connector; the limit is for connections that no request waits for.
#[derive(Clone)]
pub(super) struct ConnectLayer(pub(super) Duration);

impl<S> Layer<S> for ConnectLayer {
    type Service = ConnectService<S>;

    fn layer(&self, inner: S) -> ConnectService<S> {
        ConnectService {
            inner,
            limit: self.0,
        }
    }
}

#[derive(Clone)]
pub(super) struct ConnectService<S> {
    inner: S,
    limit: Duration,
}

impl<S, R> Service<R> for ConnectService<S>
where
    S: Service<R, Error = BoxError>,
    S::Response: Connection,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let attempt = ATTEMPT.try_with(Arc::clone).ok();
        let limit = attempt
            .as_ref()
            .map_or(self.limit, |attempt| attempt.limit());
        let making = attempt.as_ref().map(Attempt::connecting);
        let connecting = self.inner.call(target);
        Box::pin(async move {
            let _making = making;
            let connection = match tokio::time::timeout(limit, connecting).await {
                Ok(result) => result?,
                Err(_) => return Err(ConnectTimeout(limit).into()),
            };
            if let Some(attempt) = attempt {
                attempt.connected(local_address(&connection.connected()));
            }
            Ok(connection)
        })
    }
}

/// The address on this side of the connection on which a request failed. `None` if it failed before it had one.
pub(super) fn used_address(error: &reqwest::Error) -> Option<SocketAddr> {
    let error: &ClientError = cause(error)?;
    local_address(error.connect_info()?)
}

fn local_address(connection: &Connected) -> Option<SocketAddr> {
    let mut extras = hyper::Request::new(()).into_parts().0.extensions;
    connection.get_extras(&mut extras);
    extras.get::<HttpInfo>().map(HttpInfo::local_addr)
}

/// Looks up names for reqwest. Which name it was that could not be resolved is told to the request: where a proxy is used
/// it may be the server's or the proxy's, and the connector's error does not say.
pub(super) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let attempt = ATTEMPT.try_with(Arc::clone).ok();
        Box::pin(async move {
            match names::resolve(name.as_str()).await {
                Ok(found) => Ok(Box::new(found.into_iter()) as Addrs),
                Err(error) => {
                    if let Some(attempt) = attempt {
                        attempt.note_unresolved(UnresolvedName {
                            name: name.as_str().to_owned(),
                            reason: error.to_string(),
                        });
                    }
                    Err(error.into())
                }
            }
        })
    }
}
