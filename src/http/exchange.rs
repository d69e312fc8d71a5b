//! One request and its reply: sent (again, where that may help), checked, read piece by piece.
//!
//! The pieces are those of the body as the network brings them. Of a stream of lines, one may be half a line or many:
//!
//! ```text
//! {"model":"m","response":"He","done":false}\n{"model":"m","resp
//! onse":"y","done":true}\n
//! ```
//!
//! A pooled connection that turns out to be dead is replaced by its lane, once and at once; `retry_plan` decides on all other
//! tries.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER,
    TRANSFER_ENCODING,
};
use tokio::time::Instant;

use super::attempt::Attempt;
use super::clock::ExchangeClock;
use super::fault;
use super::lane::{Lane, Response};
use super::policy::Timeouts;
use super::redact::Secrets;
use super::redirect;
use super::refusal;
use super::request::{Head, Prepared, Request};
use super::retry_plan::RetryPlan;
use super::transport::Transport;
use crate::error::{Error, MAX_BODY};
use crate::stats::Trace;

/// How long a refusal's body is waited for: the status alone says enough.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(3);

/// How long, and how much of, the body of a redirect is read, so that its connection can be used again.
const REDIRECT_BODY: (Duration, usize) = (Duration::from_millis(100), 16 << 10);

/// The largest buffer that is reserved for a `Content-Length` before anything has arrived.
const MAX_RESERVE: u64 = 16 << 20;

/// A reply with a status of success, whose body is read piece by piece.
pub(super) struct Exchange {
    lane: Lane,
    response: Response,
    clock: ExchangeClock,
    content_type: String,
    /// Where a redirect has led, if one has.
    redirected_to: Option<String>,
    /// Whether that is another origin, which did not get the client's key and headers.
    credentials_withheld: bool,
    /// The proxy that may have replied in the server's place, without credentials.
    proxy: Option<String>,
    /// Notes when the body begins, once the head is accepted.
    trace: Option<Arc<Trace>>,
    /// What an error must not show.
    secrets: Secrets,
}

impl Exchange {
    /// Sends `request` until a reply begins or no further try is due, and checks the head of the reply. A
    /// status that is no success is an error.
    pub(super) async fn open(transport: &Transport, request: Request) -> Result<Self, Error> {
        let limits = request.timeouts.unwrap_or(transport.config().timeouts);
        let policy = request.retry.unwrap_or(transport.config().retry);
        let trace = request.trace.clone();
        let mut plan = RetryPlan::new(policy, &request, limits.total);
        let secrets = transport.secrets_of(&request);
        let prepared = transport.prepare(request)?;
        loop {
            let failure =
                match Self::send_and_follow(transport, &prepared, limits, plan.since()).await {
                    Ok(mut exchange) => {
                        exchange.trace = trace;
                        exchange.secrets = secrets;
                        return Ok(exchange);
                    }
                    Err(failure) => failure,
                };
            plan.wait_for_next(secrets.redact(failure), transport.lane(), trace.as_deref())
                .await?;
        }
    }

    /// Sends a request once, and on to where redirects lead, until there is a reply that answers it.
    async fn send_and_follow(
        transport: &Transport,
        first: &Prepared,
        limits: Timeouts,
        asked: Instant,
    ) -> Result<Self, Error> {
        let mut exchange = Self::send(transport, first, limits, asked).await?;
        let mut left: Vec<Url> = Vec::new();
        let mut redirected: Option<Prepared> = None;
        loop {
            let request = redirected.as_ref().unwrap_or(first);
            let Some(target) = exchange.check_head(transport, request).await? else {
                return Ok(exchange);
            };
            let from = &request.head.url;
            let obstacle = if left.len() >= redirect::MAX {
                Some("it is one of too many in a row")
            } else if *from == target || left.contains(&target) {
                Some("it leads in a circle")
            } else {
                None
            };
            if let Some(why) = obstacle {
                let status = exchange.response.status();
                let refused = redirect::refused(from, status, &target, why);
                return Err(exchange.at_redirected_url(refused.after(status.as_u16())));
            }
            exchange.read_redirect_body().await;
            left.push(from.clone());
            let target_url = redirect::shown(&target);
            let (there, next, trusted) = transport.follow_redirect(request, target)?;
            exchange = Self::send(&there, &next, limits, asked)
                .await
                .map_err(|error| error.at(&target_url))?;
            exchange.redirected_to = Some(target_url);
            exchange.credentials_withheld = !trusted && transport.has_credentials(first);
            redirected = Some(next);
        }
    }

    /// Sends a request once, or twice where a pooled connection was dead.
    async fn send(
        transport: &Transport,
        prepared: &Prepared,
        limits: Timeouts,
        asked: Instant,
    ) -> Result<Self, Error> {
        let lane = transport.lane().clone();
        let mut clock = ExchangeClock::start(&lane, limits, asked);
        let attempt = Attempt::new(limits.connect, prepared.upload.clone());
        // Boxed, because it is large, and what holds it is moved on the stack of whoever asks, which may be small.
        let sending = Box::pin(transport.send(prepared, &attempt));
        let mut response = clock.run(sending, Some(&attempt)).await??;
        if check_framing(response.headers()).is_err() {
            transport.forbid_reuse(&mut response);
        }
        let content_type = header(response.headers(), &CONTENT_TYPE)
            .unwrap_or_default()
            .to_owned();
        Ok(Self {
            lane,
            response,
            clock,
            content_type,
            redirected_to: None,
            credentials_withheld: false,
            proxy: transport.proxy_that_may_reply(),
            trace: None,
            secrets: Secrets::default(),
        })
    }

    /// Checks the head of the reply to `request`; gives where that redirects to.
    async fn check_head(
        &mut self,
        transport: &Transport,
        request: &Prepared,
    ) -> Result<Option<Url>, Error> {
        let status = self.response.status();
        if status.is_client_error() || status.is_server_error() {
            let refusal = self.refusal().await;
            return Err(self.at_redirected_url(refusal));
        }
        let Head {
            method,
            url,
            socket,
            ..
        } = &*request.head;
        let head_socket = socket.is_some();
        let checked = if status.is_redirection() {
            let endpoints = &transport.config().endpoints;
            let target = redirect::target(method, url, status, self.response.headers(), endpoints);
            target.and_then(|target| {
                let leaves_socket = head_socket && target.origin() != url.origin();
                let why = match (transport.config().follow_redirects, leaves_socket) {
                    (false, _) => "the client has follow_redirects=False",
                    (true, true) => "it leads away from the Unix socket",
                    (true, false) => return Ok(Some(target)),
                };
                Err(redirect::refused(url, status, &target, why))
            })
        } else {
            self.check_success(url).map(|()| None)
        };
        checked.map_err(|error| {
            let error = error.with_proxy(self.proxy.as_deref());
            self.at_redirected_url(error.after(status.as_u16()))
        })
    }

    /// `error` with the URL to which a redirect has led, if one has.
    pub(super) fn at_redirected_url(&self, error: Error) -> Error {
        match &self.redirected_to {
            Some(url) => error.at(url),
            None => error,
        }
    }

    /// Reads the body of a redirect, which is meant for people, so that the connection can be used again.
    async fn read_redirect_body(&mut self) {
        let lane = self.lane.clone();
        let (patience, mut left) = REDIRECT_BODY;
        let reading = async {
            loop {
                let pulled = self.pull(|piece| {
                    left = left.saturating_sub(piece.len());
                    left > 0
                });
                if !matches!(pulled.await, Ok(false)) || left == 0 {
                    break;
                }
            }
        };
        lane.within(patience, reading).await;
    }

    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(super) fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The media type alone, such as `application/json`: lower case, without parameters.
    pub(super) fn media_type(&self) -> String {
        self.content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    }

    /// Waits for more of the body and shows its pieces to `take` until that says no; what is left is for the next call.
    /// At most one network read lies behind it. True: the body has ended. Only payload moves the time limits on: a
    /// server that sends nothing but framing, blank lines or comments is silent.
    pub(super) async fn pull(
        &mut self,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<bool, Error> {
        let mut has_payload = false;
        let reading = self.response.pull(|piece| {
            has_payload = has_payload || is_payload(piece);
            take(piece)
        });
        let read = self.clock.run(reading, None).await;
        if has_payload {
            self.clock.payload_arrived();
            if let Some(trace) = &self.trace {
                trace.note_first_byte();
            }
        }
        read.and_then(|read| read)
            .map_err(|error| self.at_redirected_url(error.after(self.status())))
    }

    /// Waits for the reader, whose time is not the server's.
    pub(super) async fn wait_for(&mut self, reader: impl Future<Output = ()>) {
        let since = Instant::now();
        reader.await;
        self.clock.discount(since.elapsed());
    }

    /// The whole body, at most `limit` bytes of it.
    pub(super) async fn whole(&mut self, limit: usize) -> Result<Vec<u8>, Error> {
        let length = self.response.content_length().unwrap_or(0).min(MAX_RESERVE);
        let mut body = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        let mut fits = true;
        loop {
            let ended = self
                .pull(|piece| {
                    fits = body.len() + piece.len() <= limit;
                    if fits {
                        body.extend_from_slice(piece);
                    }
                    fits
                })
                .await?;
            if !fits {
                return Err(fault::protocol(format!(
                    "The reply's body is longer than the limit of {limit} bytes."
                ))
                .after(self.status()));
            }
            if ended {
                return Ok(body);
            }
        }
    }

    pub(super) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// What an error that is made of the reply must not show.
    pub(super) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The error of a head that is good HTTP and that no Ollama server sends.
    fn check_success(&self, url: &Url) -> Result<(), Error> {
        let status = self.response.status();
        let headers = self.response.headers();
        if !status.is_success() {
            return Err(fault::protocol(format!(
                "The server answered with the status {status}, which fits no request of Ollama's API."
            )));
        }
        if let Some(coding) = content_coding(headers) {
            return Err(fault::protocol(format!(
                "The reply is compressed ({coding:?}), which was not asked for: something between here and Ollama does it.",
                coding = refusal::shortened(coding)
            )));
        }
        check_framing(headers)?;
        let media = self.media_type();
        if matches!(media.as_str(), "text/html" | "application/xhtml+xml") {
            let through = match &self.proxy {
                Some(proxy) => format!(" through the proxy {proxy}"),
                None => String::new(),
            };
            return Err(fault::protocol(format!(
                "{} answered{through} with a web page ({media}): no Ollama server is there.",
                redirect::shown(url)
            )));
        }
        Ok(())
    }

    /// The error of a status of 400 or more, with as much of its body as arrives.
    async fn refusal(&mut self) -> Error {
        let mut body = Vec::new();
        if content_coding(self.response.headers()).is_none() {
            let lane = self.lane.clone();
            let reading = async {
                loop {
                    let pulled = self.pull(|piece| {
                        body.extend_from_slice(piece);
                        body.len() < MAX_BODY
                    });
                    if !matches!(pulled.await, Ok(false)) || body.len() >= MAX_BODY {
                        break;
                    }
                }
            };
            // What has arrived when the time is up is what there is.
            lane.within(REFUSAL_PATIENCE, reading).await;
        }
        body.truncate(MAX_BODY);
        let headers = self.response.headers();
        let retry_after = header(headers, &RETRY_AFTER).and_then(refusal::retry_after);
        let error = refusal::refusal(
            self.response.status(),
            &self.media_type(),
            body,
            retry_after,
            self.proxy.as_deref(),
        );
        if self.credentials_withheld && matches!(self.status(), 401 | 403) {
            return error.with_sentence(
                "The request was redirected to another origin, and key and headers are not sent to one.",
            );
        }
        error
    }
}

/// Whether a piece of a body has more than what keeps a connection alive: blank lines, and of server-sent events
/// everything but data. `: ping` and `event: message` are no payload, `data: {}` and `{"done":true}` are.
fn is_payload(piece: &[u8]) -> bool {
    if matches!(piece.first(), Some(b'{' | b'[' | b'"')) {
        return true;
    }
    piece
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .any(has_data)
}

fn has_data(line: &[u8]) -> bool {
    const SILENT: [&[u8]; 4] = [b":", b"event:", b"id:", b"retry:"];
    match line.strip_prefix(b"data:") {
        Some(data) => !data.trim_ascii().is_empty(),
        None => !line.is_empty() && !SILENT.iter().any(|field| line.starts_with(field)),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// The members of a list, such as `gzip, chunked`, which may stand in several lines of the same name.
fn list_members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter();
    lines
        .flat_map(|line| line.to_str().unwrap_or("?").split(','))
        .map(str::trim)
}

/// The first content coding that changes the bytes.
fn content_coding(headers: &HeaderMap) -> Option<&str> {
    list_members(headers, &CONTENT_ENCODING)
        .find(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
}

/// Whether the headers leave no doubt about where the body ends.
fn check_framing(headers: &HeaderMap) -> Result<(), Error> {
    if !headers.contains_key(TRANSFER_ENCODING) {
        return Ok(());
    }
    if headers.contains_key(CONTENT_LENGTH) {
        return Err(fault::protocol(
            "The reply has both Content-Length and Transfer-Encoding, so nobody can say where it ends.",
        ));
    }
    let codings: Vec<&str> = list_members(headers, &TRANSFER_ENCODING).collect();
    if matches!(codings.as_slice(), [coding] if coding.eq_ignore_ascii_case("chunked")) {
        return Ok(());
    }
    Err(fault::protocol(format!(
        "The reply's Transfer-Encoding is {:?}, not chunked.",
        refusal::shortened(&codings.join(", "))
    )))
}
