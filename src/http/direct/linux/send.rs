//! Sending a request: on an idle connection or on a new one, and reading the head of the response.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::connect::{connect, connect_to_socket};
use super::error::DirectError;
use super::poll_evented::PollEvented;
use super::reactor::ReactorHandle;
use super::request_bytes::RequestBytes;
use super::response::Response;
use crate::http::attempt::{Attempt, ConnectTimeout};
use crate::http::direct::body_decoder::BodyDecoder;
use crate::http::direct::head_parser::{HeadError, HeadParser, ResponseHead};
use crate::http::policy::later;
use crate::http::request::Prepared;

/// Sends `request` for `client`, on an idle connection if the client has one. If that turns out to be dead, the request
/// is sent on a new connection at once; a request that changes something only if no byte of it was written.
pub(in crate::http) async fn send(
    reactor: &ReactorHandle,
    client: u64,
    request: &Prepared,
    attempt: &Arc<Attempt>,
) -> Result<Response, DirectError> {
    let bytes = RequestBytes::new(request);
    if let Some(connection) = reactor.checkout(client) {
        let sent = send_on(connection, reactor, client, request, &bytes).await;
        let was_dead = match sent {
            Err(DirectError::Closed { began, written, .. }) => {
                attempt.may_be_stale() && !(began || written && request.changing)
            }
            _ => false,
        };
        if !was_dead {
            return sent;
        }
    }
    // Boxed, because its future is large and seldom needed: otherwise each request would move one of that size about.
    let connection = Box::pin(connect_in_time(reactor, request, attempt)).await?;
    attempt.connected(None);
    send_on(connection, reactor, client, request, &bytes).await
}

/// A new connection to the server of `request`.
async fn connect_in_time(
    reactor: &ReactorHandle,
    request: &Prepared,
    attempt: &Arc<Attempt>,
) -> Result<PollEvented, DirectError> {
    let url = &request.head.url;
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(80);
    let limit = attempt.limit();
    let _connecting = attempt.connecting();
    let connecting = async {
        match &request.head.socket {
            Some(socket) => connect_to_socket(reactor, socket).await,
            None => connect(reactor, host, port).await,
        }
    };
    tokio::select! {
        biased;
        connected = connecting => connected,
        () = reactor.timer(later(Instant::now(), limit)) => Err(DirectError::Timeout(ConnectTimeout(limit))),
    }
}

/// Sends a request on `connection` and reads the head of the response. A server may respond before it has read the
/// whole request.
async fn send_on(
    connection: PollEvented,
    reactor: &ReactorHandle,
    client: u64,
    request: &Prepared,
    bytes: &RequestBytes<'_>,
) -> Result<Response, DirectError> {
    let mut writer = RequestWriter::new(bytes);
    let mut parser = HeadParser::default();
    let (head, unread) = poll_fn(|context| {
        writer.poll_write(&connection, context);
        poll_head(&connection, &mut parser, &mut writer, context)
    })
    .await?;
    let body = BodyDecoder::new(&head, &request.head.method).map_err(DirectError::Head)?;
    Ok(Response {
        reactor: reactor.clone(),
        client,
        connection: Some(connection),
        reusable: writer.is_done() && head.keeps_alive(),
        head,
        body,
        unread,
        yield_first: false,
    })
}

/// Writes the bytes of a request.
struct RequestWriter<'a> {
    unsent: &'a [u8],
    /// What is written after that.
    long_body: &'a [u8],
    /// Whether any byte was written.
    written: bool,
    /// The error that has ended the writing. The server may have responded all the same.
    error: Option<io::Error>,
}

impl<'a> RequestWriter<'a> {
    fn new(bytes: &'a RequestBytes<'_>) -> Self {
        Self {
            unsent: &bytes.head,
            long_body: bytes.long_body,
            written: false,
            error: None,
        }
    }

    /// Whether the whole request was written.
    fn is_done(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Writes as much as the socket takes.
    fn poll_write(&mut self, connection: &PollEvented, context: &Context<'_>) {
        while self.error.is_none() && !self.unsent.is_empty() {
            match connection.poll_write(context, self.unsent) {
                Poll::Ready(Ok(count)) => {
                    self.written |= count > 0;
                    self.unsent = self.unsent.get(count..).unwrap_or_default();
                    if self.unsent.is_empty() {
                        self.unsent = std::mem::take(&mut self.long_body);
                    }
                }
                Poll::Ready(Err(error)) => self.error = Some(error),
                Poll::Pending => break,
            }
        }
    }
}

/// Reads until the head of the response is complete. Returns it with the bytes of the body that came with it.
fn poll_head(
    connection: &PollEvented,
    parser: &mut HeadParser,
    writer: &mut RequestWriter<'_>,
    context: &Context<'_>,
) -> Poll<Result<(ResponseHead, Vec<u8>), DirectError>> {
    loop {
        let read = connection.poll_read_shared(context, |bytes, _| {
            (!bytes.is_empty()).then(|| parser.feed(bytes))
        });
        let ended_by = match read {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(Some(Ok(None)))) => continue,
            Poll::Ready(Ok(Some(Ok(Some(head))))) => return Poll::Ready(Ok(head)),
            Poll::Ready(Ok(Some(Err(error)))) => {
                return Poll::Ready(Err(DirectError::Head(error)));
            }
            Poll::Ready(Ok(None)) => io::ErrorKind::UnexpectedEof.into(),
            Poll::Ready(Err(error)) => error,
        };
        let began = parser.has_begun();
        return Poll::Ready(Err(match std::mem::take(parser).end() {
            HeadError::Incomplete => DirectError::Closed {
                cause: writer.error.take().unwrap_or(ended_by),
                began,
                written: writer.written,
            },
            error => DirectError::Head(error),
        }));
    }
}
