//! The general lane: reqwest on a tokio runtime. TLS, proxies, and every caller that has no event loop for the direct
//! lane to live in.

mod connect;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, Response as Received, StatusCode};

use self::connect::{ConnectLayer, Resolver, used_address, with_attempt};
use super::attempt::Attempt;
use super::config::Config;
use super::fault;
use super::policy::POOL_IDLE;
use super::proxy::{ProxyInfo, UsableProxy};
use super::request::Prepared;
use super::unix_socket::UnixSocket;
use crate::error::{Error, Kind};

/// How many pieces, and how many bytes of them, are taken together when they are there already.
const AT_ONCE: (usize, usize) = (256, 128 << 10);

/// The general lane of one client: reqwest's client, set up for one server.
#[derive(Clone)]
pub(super) struct General {
    http: reqwest::Client,
    /// The same without a pool, for requests whose pooled connection was dead: the next one of the pool may be dead, too.
    without_pool: OnceLock<reqwest::Client>,
    config: Config,
    proxy_setting: Option<reqwest::Proxy>,
    https: bool,
    proxy: Option<ProxyInfo>,
    socket: Option<UnixSocket>,
}

impl General {
    pub(super) fn new(config: &Config, proxy: Option<UsableProxy>) -> Result<Self, Error> {
        let (proxy_setting, proxy) = proxy.map(|proxy| (proxy.setting, proxy.info)).unzip();
        Ok(Self {
            http: build(config, proxy_setting.as_ref(), proxy.as_ref(), |builder| {
                builder
            })?,
            without_pool: OnceLock::new(),
            config: config.clone(),
            proxy_setting,
            https: config.base.is_https(),
            proxy,
            socket: config.base.socket().cloned(),
        })
    }

    /// As `http`, without a pool. Making that succeeded before; if it no longer does, the pool has to serve.
    fn without_pool(&self) -> &reqwest::Client {
        if let Some(made) = self.without_pool.get() {
            return made;
        }
        let (setting, info) = (self.proxy_setting.as_ref(), self.proxy.as_ref());
        match build(&self.config, setting, info, |builder| {
            builder.pool_max_idle_per_host(0)
        }) {
            Ok(made) => self.without_pool.get_or_init(|| made),
            Err(_) => &self.http,
        }
    }

    /// The proxy in use, without credentials.
    pub(super) fn proxy(&self) -> Option<&str> {
        self.proxy.as_ref().map(|proxy| proxy.shown.as_str())
    }

    /// The proxy that may reply in the server's place. Through a tunnel only the server does.
    pub(super) fn proxy_that_may_reply(&self) -> Option<&str> {
        let proxy = self
            .proxy
            .as_ref()
            .filter(|proxy| proxy.http && !self.https)?;
        Some(&proxy.shown)
    }

    /// Sends `request`, once more and on a new connection where a pooled one was dead. One that changes something is sent
    /// once more only if nothing of it was written.
    pub(super) async fn send(
        &self,
        request: &Prepared,
        attempt: &Arc<Attempt>,
    ) -> Result<Response, Error> {
        let mut replaced = false;
        loop {
            let http = if replaced {
                self.without_pool()
            } else {
                &self.http
            };
            let sending = http.execute(for_reqwest(request));
            match with_attempt(attempt, sending).await {
                Ok(response) => return Ok(Response(response)),
                Err(error)
                    if !replaced
                        && !attempt.used_new_connection(used_address(&error))
                        && attempt.may_be_stale()
                        && fault::is_stale(&error, request.changing) =>
                {
                    replaced = true;
                }
                Err(error) => {
                    return Err(fault::send_error(
                        error,
                        self.https,
                        self.proxy.as_ref(),
                        self.socket.as_ref(),
                        attempt.unresolved(),
                    ));
                }
            }
        }
    }
}

/// reqwest's client for the server of `config`, through a proxy if there is one. `change` has the last word on its settings.
fn build(
    config: &Config,
    setting: Option<&reqwest::Proxy>,
    proxy: Option<&ProxyInfo>,
    change: fn(ClientBuilder) -> ClientBuilder,
) -> Result<reqwest::Client, Error> {
    let mut builder = reqwest::Client::builder()
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .dns_resolver(Resolver)
        .tcp_nodelay(true)
        .pool_idle_timeout(POOL_IDLE)
        .http1_only()
        .connector_layer(ConnectLayer(config.timeouts.connect));
    // Loading the machine's certificates takes milliseconds, and fails where there are none.
    if config.base.is_https() || proxy.is_some_and(|proxy| proxy.https) {
        builder = config
            .trust
            .apply(builder, config.client_certificate.as_ref())?;
    } else {
        builder = builder.tls_certs_only([]);
    }
    #[cfg(unix)]
    if let Some(socket) = config.base.socket() {
        builder = builder.unix_socket(socket.path());
    }
    if let Some(setting) = setting {
        builder = builder.proxy(setting.clone());
    }
    change(builder).build().map_err(|error| {
        let cause = fault::root_cause(&error);
        Error::new(
            Kind::Config,
            format!(
                "TLS cannot be set up on this machine (are CA certificates installed?): {cause}."
            ),
        )
    })
}

fn for_reqwest(request: &Prepared) -> reqwest::Request {
    let Prepared {
        head, body, upload, ..
    } = request;
    let mut request = reqwest::Request::new(head.method.clone(), head.url.clone());
    request.headers_mut().clone_from(&head.headers);
    *request.body_mut() = match upload {
        // hyper says no length of a body that has ended before it began.
        Some(file) if file.length() == 0 => {
            let zero = HeaderValue::from_static("0");
            request.headers_mut().insert(CONTENT_LENGTH, zero);
            None
        }
        Some(file) => Some(reqwest::Body::wrap(file.body())),
        None => body.clone().map(reqwest::Body::from),
    };
    request
}

/// A response whose body is read piece by piece.
pub(super) struct Response(Received);

/// What a read without waiting found.
enum ReadyPiece {
    Piece(Bytes),
    End,
    Nothing,
}

impl Response {
    pub(super) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// How many bytes of the body are to come, if that is known.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.0.content_length()
    }

    /// Waits for a piece of the body, and shows it and those that are there already to `take` until that says no; the
    /// rest is for the next call. True: the body has ended.
    pub(super) async fn pull(
        &mut self,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<bool, Error> {
        let mut read = match self.0.chunk().await {
            Ok(piece) => piece.map_or(ReadyPiece::End, ReadyPiece::Piece),
            Err(error) => return Err(fault::read_error(error)),
        };
        let (mut pieces, mut bytes) = AT_ONCE;
        while let ReadyPiece::Piece(piece) = read {
            pieces -= 1;
            bytes = bytes.saturating_sub(piece.len());
            if !take(&piece) || pieces == 0 || bytes == 0 {
                return Ok(false);
            }
            read = self.ready().await?;
        }
        Ok(matches!(read, ReadyPiece::End))
    }

    /// The next piece if it is there already. The connection's task hands its pieces over one at a time, so the reader
    /// yields to it once: it then cuts the next piece out of what it has read. Without that a burst costs five times the CPU.
    async fn ready(&mut self) -> Result<ReadyPiece, Error> {
        let mut reading = pin!(self.0.chunk());
        let mut yielded = false;
        let read = std::future::poll_fn(|cx| match reading.as_mut().poll(cx) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending if yielded => Poll::Ready(None),
            Poll::Pending => {
                yielded = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
        match read {
            Some(Ok(Some(piece))) => Ok(ReadyPiece::Piece(piece)),
            Some(Ok(None)) => Ok(ReadyPiece::End),
            Some(Err(error)) => Err(fault::read_error(error)),
            None => Ok(ReadyPiece::Nothing),
        }
    }
}
