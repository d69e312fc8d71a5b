//! Sending a request: on an idle connection or on a new one, and reading the head of the response.
//!
//! A file as a body is read where it is written, which only a reactor with a thread of its own does.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
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
use crate::http::upload::{UnreadableFile, UploadFile};

/// How many bytes of a file are written before it is looked whether a response or the end of the request has come.
const MAX_FILE_WRITES: u64 = 1 << 20;

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
    let mut writer = RequestWriter::new(bytes, request.upload.as_ref());
    let mut parser = HeadParser::default();
    let (head, unread) = poll_fn(|context| {
        if let Err(error) = writer.poll_write(&connection, context) {
            return Poll::Ready(Err(DirectError::File(error)));
        }
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
    /// What is written after that: a file, of which `piece` was read and is written from `piece_at` on.
    upload: Option<&'a UploadFile>,
    piece: Bytes,
    piece_at: usize,
    /// How many bytes of the file were written.
    sent: u64,
    /// Whether any byte was written.
    written: bool,
    /// The error that has ended the writing. The server may have responded all the same.
    error: Option<io::Error>,
}

impl<'a> RequestWriter<'a> {
    fn new(bytes: &'a RequestBytes<'_>, upload: Option<&'a UploadFile>) -> Self {
        if let Some(file) = upload {
            file.note(0);
        }
        Self {
            unsent: &bytes.head,
            long_body: bytes.long_body,
            upload,
            piece: Bytes::new(),
            piece_at: 0,
            sent: 0,
            written: false,
            error: None,
        }
    }

    /// Whether the whole request was written.
    fn is_done(&self) -> bool {
        self.unsent.is_empty() && self.upload.is_none_or(|file| file.length() == self.sent)
    }

    /// Writes as much as the socket takes, of a file no more than its share.
    fn poll_write(
        &mut self,
        connection: &PollEvented,
        context: &Context<'_>,
    ) -> Result<(), UnreadableFile> {
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
                Poll::Pending => return Ok(()),
            }
        }
        match self.upload {
            Some(file) if self.error.is_none() => self.poll_write_file(file, connection, context),
            _ => Ok(()),
        }
    }

    fn poll_write_file(
        &mut self,
        file: &UploadFile,
        connection: &PollEvented,
        context: &Context<'_>,
    ) -> Result<(), UnreadableFile> {
        let until = self.sent + MAX_FILE_WRITES;
        while self.sent < file.length() {
            if self.sent >= until {
                // What has come is looked at before the next share.
                context.waker().wake_by_ref();
                break;
            }
            if self.piece_at == self.piece.len() {
                self.piece = file.read(self.sent)?;
                self.piece_at = 0;
            }
            let unsent = self.piece.get(self.piece_at..).unwrap_or_default();
            match connection.poll_write(context, unsent) {
                Poll::Ready(Ok(count)) => {
                    self.written |= count > 0;
                    self.piece_at += count;
                    self.sent += count as u64;
                    file.note(self.sent);
                }
                Poll::Ready(Err(error)) => {
                    self.error = Some(error);
                    break;
                }
                Poll::Pending => break,
            }
        }
        Ok(())
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
