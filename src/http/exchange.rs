//! One request and its reply: sent (again, where that may help), checked, read piece by piece.
//!
//! A pooled connection that turns out to be dead is replaced once and at once; everything else is `retry`'s.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER,
    TRANSFER_ENCODING,
};
use reqwest::{Response, StatusCode};

use super::base::{Base, Origin};
use super::client::{Client, Request};
use super::clock::Clock;
use super::config::Timeouts;
use super::connect::Attempt;
use super::fault;
use super::retry::Tries;
use crate::error::Error;
use crate::stats::Trace;

/// How much of a refusal's body is kept.
const MAX_REFUSAL: usize = 64 << 10;

/// How long a refusal's body is waited for: the status alone says enough.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(3);

/// The buffer that a `Content-Length` may reserve before anything has arrived.
const MAX_RESERVE: u64 = 16 << 20;

/// A reply with a status of success, whose body is read piece by piece.
pub(super) struct Exchange {
    response: Response,
    clock: Clock,
    content_type: String,
    /// Told when the body begins, once the head is accepted.
    trace: Option<Arc<Trace>>,
}

/// What a read without waiting found.
pub(super) enum Ready {
    Piece(Bytes),
    End,
    Nothing,
}

impl From<Option<Bytes>> for Ready {
    fn from(piece: Option<Bytes>) -> Self {
        piece.map_or(Self::End, Self::Piece)
    }
}

impl Exchange {
    /// Sends `request` to `url` until a reply begins or no further try is due, and checks the head of the reply. A
    /// status that is no success is an error.
    pub(super) async fn open(client: &Client, request: Request, url: &str) -> Result<Self, Error> {
        let limits = request.timeouts.unwrap_or(client.config().timeouts);
        let policy = request.retry.unwrap_or(client.config().retry);
        let trace = request.trace.clone();
        let mut tries = Tries::new(policy, &request, limits.total);
        let prepared = client.prepare(request, url)?;
        loop {
            let failure = match prepared.try_clone() {
                Some(prepared) => {
                    let clock = Clock::start(limits, tries.since());
                    match Self::send(client, prepared, limits, clock).await {
                        Ok(mut exchange) => match exchange.accept(url).await {
                            Ok(()) => {
                                exchange.trace = trace;
                                return Ok(exchange);
                            }
                            Err(failure) => failure,
                        },
                        Err(failure) => failure,
                    }
                }
                None => fault::protocol("The request cannot be sent."),
            };
            tries
                .after(client.redact(failure), trace.as_deref())
                .await?;
        }
    }

    /// Sends a request once, or twice where a pooled connection was dead.
    async fn send(
        client: &Client,
        mut prepared: reqwest::Request,
        limits: Timeouts,
        mut clock: Clock,
    ) -> Result<Self, Error> {
        let mut replaced = false;
        let response = loop {
            let spare = prepared.try_clone();
            let attempt = Attempt::new(limits.connect);
            let sending = attempt.watch(client.http().execute(prepared));
            match (clock.guard(sending, Some(&attempt)).await?, spare) {
                (Ok(response), _) => break response,
                (Err(error), Some(spare))
                    if !replaced && !attempt.is_fresh() && fault::is_stale(&error) =>
                {
                    replaced = true;
                    prepared = spare;
                }
                (Err(error), _) => {
                    return Err(fault::sending(
                        &error,
                        client.config().base.is_https(),
                        client.via(),
                    ));
                }
            }
        };
        let content_type = header(response.headers(), &CONTENT_TYPE)
            .unwrap_or_default()
            .to_owned();
        Ok(Self {
            response,
            clock,
            content_type,
            trace: None,
        })
    }

    /// Checks the head of the reply.
    async fn accept(&mut self, url: &str) -> Result<(), Error> {
        let status = self.response.status();
        if status.is_client_error() || status.is_server_error() {
            return Err(self.refusal().await);
        }
        self.check(url)
            .map_err(|error| error.after(status.as_u16()))
    }

    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(super) fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The type alone: lower case, without parameters.
    pub(super) fn media_type(&self) -> String {
        self.content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    }

    /// The next piece of the body; `None` at its end. At most one network read lies behind it.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let read = self.clock.guard(self.response.chunk(), None).await;
        self.clock.tick();
        if let (Some(trace), Ok(Ok(Some(_)))) = (&self.trace, &read) {
            trace.begin();
        }
        match read {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => Err(fault::reading(&error).after(self.status())),
            Err(error) => Err(error.after(self.status())),
        }
    }

    /// The next piece if it is there already. The connection hands its pieces over one at a time, so its task gets one
    /// turn to cut the next one out of what it has read; without that turn a burst costs five times the CPU.
    pub(super) async fn ready(&mut self) -> Result<Ready, Error> {
        let status = self.status();
        let mut reading = pin!(self.response.chunk());
        let mut turn_given = false;
        let read = std::future::poll_fn(|cx| match reading.as_mut().poll(cx) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending if turn_given => Poll::Ready(None),
            Poll::Pending => {
                turn_given = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
        match read {
            Some(Ok(Some(piece))) => Ok(Ready::Piece(piece)),
            Some(Ok(None)) => Ok(Ready::End),
            Some(Err(error)) => Err(fault::reading(&error).after(status)),
            None => Ok(Ready::Nothing),
        }
    }

    /// The time until now was the reader's, not the server's.
    pub(super) fn tick(&mut self) {
        self.clock.tick();
    }

    /// The whole body, at most `limit` bytes of it.
    pub(super) async fn whole(&mut self, limit: usize) -> Result<Vec<u8>, Error> {
        let expected = self.response.content_length().unwrap_or(0).min(MAX_RESERVE);
        let mut body = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
        while let Some(piece) = self.next().await? {
            if body.len() + piece.len() > limit {
                return Err(fault::protocol(format!(
                    "The reply's body is longer than the limit of {limit} bytes."
                ))
                .after(self.status()));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// What hyper lets pass and no Ollama sends.
    fn check(&self, url: &str) -> Result<(), Error> {
        let status = self.response.status();
        let headers = self.response.headers();
        if status.is_redirection() {
            return Err(redirect(url, status, headers));
        }
        if !status.is_success() {
            return Err(fault::protocol(format!(
                "The server answered with the status {status}, which fits no request of Ollama's API."
            )));
        }
        if let Some(coding) = coding(headers) {
            return Err(fault::protocol(format!(
                "The reply is compressed ({coding:?}), which was not asked for: something between here and Ollama does it.",
            )));
        }
        if let Some(coding) = header(headers, &TRANSFER_ENCODING) {
            if headers.contains_key(CONTENT_LENGTH) {
                return Err(fault::protocol(
                    "The reply has both Content-Length and Transfer-Encoding, so nobody can say where it ends.",
                ));
            }
            if !coding.trim().eq_ignore_ascii_case("chunked") {
                return Err(fault::protocol(format!(
                    "The reply's Transfer-Encoding is {coding:?}, not chunked."
                )));
            }
        }
        let media = self.media_type();
        if matches!(media.as_str(), "text/html" | "application/xhtml+xml") {
            return Err(fault::protocol(format!(
                "{url} answered with a web page ({media}): no Ollama server is there."
            )));
        }
        Ok(())
    }

    /// The error of a status of 400 or more, with as much of its body as arrives.
    async fn refusal(&mut self) -> Error {
        let mut body = Vec::new();
        if coding(self.response.headers()).is_none() {
            let reading = async {
                while let Ok(Some(piece)) = self.next().await {
                    body.extend_from_slice(&piece);
                    if body.len() >= MAX_REFUSAL {
                        break;
                    }
                }
            };
            // What has arrived when the time is up is what there is.
            let _ = tokio::time::timeout(REFUSAL_PATIENCE, reading).await;
        }
        body.truncate(MAX_REFUSAL);
        let headers = self.response.headers();
        let retry_after = header(headers, &RETRY_AFTER).and_then(fault::retry_after);
        fault::refusal(
            self.response.status(),
            &self.media_type(),
            body,
            retry_after,
        )
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &reqwest::header::HeaderName) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// The content coding, if it is one that changes the bytes.
fn coding(headers: &HeaderMap) -> Option<&str> {
    header(headers, &CONTENT_ENCODING).filter(|coding| !matches!(coding.trim(), "" | "identity"))
}

/// Following would turn a POST into a GET, so the user is told what to write instead.
fn redirect(url: &str, status: StatusCode, headers: &HeaderMap) -> Error {
    let target = header(headers, &LOCATION)
        .and_then(|location| reqwest::Url::parse(url).ok()?.join(location).ok())
        .and_then(|mut target| {
            target.set_username("").ok()?;
            target.set_password(None).ok()?;
            Some(target)
        });
    let advice = target.as_ref().and_then(|target| {
        let base = Base::parse(target.as_str().split(['?', '#']).next()?, Origin::BaseUrl).ok()?;
        Some(format!(
            " Write {base} as the base URL if that is the server you mean."
        ))
    });
    let place = target.map_or_else(|| "no usable place".to_owned(), |target| target.to_string());
    fault::protocol(format!(
        "{url} redirects to {place} (status {status}), and redirects are not followed.{}",
        advice.unwrap_or_default()
    ))
}
