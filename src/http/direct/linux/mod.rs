//! The sockets, connections and requests of the direct lane.
//!
//! * [`reactor`] runs tasks and knows whom an event or a time concerns; `socket` and `timer` are what tasks wait for;
//!   `connect` makes connections, `pool` keeps them.
//! * Here is one request on one connection, and its response.

mod connect;
mod error;
mod pool;
mod reactor;
mod socket;
#[cfg(test)]
mod tests;
mod timer;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use reqwest::Method;
use tokio::time::Instant;

pub(in crate::http) use self::reactor::ReactorHandle;
pub use self::reactor::{Reactor, TaskHandle};
pub(in crate::http) use self::timer::Timer;

use self::connect::{Unreachable, connect};
use self::error::DirectError;
use self::socket::Watched;
use super::body::BodyDecoder;
use super::head_parser::{HeadError, HeadParser, ResponseHead};
use crate::http::attempt::{Attempt, ConnectTimeout};
use crate::http::policy::YEAR;
use crate::http::request::Prepared;

/// Sends `request` for `client`, on a connection that it has used before if there is one. One that turns out to be dead
/// is replaced once and at once; for a request that changes something, only if nothing of it was written.
pub(in crate::http) async fn send(
    handle: &ReactorHandle,
    client: u64,
    request: &Prepared,
    attempt: &Arc<Attempt>,
) -> Result<Response, DirectError> {
    let (message, rest) = message(request);
    let message = (message.as_slice(), rest);
    if let Some(connection) = handle.pools(|pools| pools.take(client)).flatten() {
        let sent = ask(connection, client, &request.head.method, message).await;
        let stale = match sent {
            Err(DirectError::Closed { began, written, .. }) => {
                attempt.may_be_stale() && !(began || written && request.changing)
            }
            _ => false,
        };
        if !stale {
            return sent;
        }
    }
    let url = &request.head.url;
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(80);
    let limit = attempt.limit().min(YEAR);
    let connection = {
        let _making = attempt.connecting();
        tokio::select! {
            biased;
            connected = connect(handle, host, port) => connected,
            () = handle.timer(Instant::now() + limit) => return Err(DirectError::Timeout(ConnectTimeout(limit))),
        }
    };
    let connection = connection.map_err(|error| match error {
        Unreachable::Name(error) => DirectError::UnknownName(error),
        Unreachable::Address(error) => DirectError::Unreachable(error),
    })?;
    attempt.connected();
    ask(connection, client, &request.head.method, message).await
}

/// From this length on a body is sent from where it is, not from a copy behind its head.
const LONG: usize = 64 << 10;

/// The bytes of `request`, in two parts.
fn message(request: &Prepared) -> (Vec<u8>, &[u8]) {
    let Prepared { head, body, .. } = request;
    let length = body.as_ref().map_or(0, Bytes::len);
    let body_bytes = body.as_deref().unwrap_or_default();
    let (short, long): (&[u8], &[u8]) = if length < LONG {
        (body_bytes, &[])
    } else {
        (&[], body_bytes)
    };
    let mut message = Vec::with_capacity(512 + short.len());
    let mut put = |parts: &[&[u8]]| {
        for part in parts {
            message.extend_from_slice(part);
        }
    };
    put(&[
        head.method.as_str().as_bytes(),
        b" ",
        head.url.path().as_bytes(),
    ]);
    if let Some(query) = head.url.query() {
        put(&[b"?", query.as_bytes()]);
    }
    put(&[b" HTTP/1.1\r\n"]);
    for (name, value) in &head.headers {
        put(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
    if body.is_some() || head.method == Method::POST {
        put(&[b"content-length: ", length.to_string().as_bytes(), b"\r\n"]);
    }
    put(&[b"\r\n", short]);
    (message, long)
}

/// Sends `message` on `connection` and reads the head of the response. A server may reply before it has read all.
async fn ask(
    connection: Watched,
    client: u64,
    method: &Method,
    (message, mut rest): (&[u8], &[u8]),
) -> Result<Response, DirectError> {
    let handle = connection.handle().clone();
    let mut unsent = message;
    let mut written = false;
    let mut refused = None;
    let mut beginning = HeadParser::default();
    let (head, carry) = poll_fn(|context| {
        while refused.is_none() && !unsent.is_empty() {
            match connection.poll_write(context, unsent) {
                Poll::Ready(Ok(count)) => {
                    written |= count > 0;
                    unsent = unsent.get(count..).unwrap_or_default();
                    if unsent.is_empty() {
                        unsent = std::mem::take(&mut rest);
                    }
                }
                Poll::Ready(Err(error)) => refused = Some(error),
                Poll::Pending => break,
            }
        }
        loop {
            let read = handle.with_buffer(|buffer| {
                connection.poll_read(context, buffer).map_ok(|count| {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    (count > 0).then(|| beginning.feed(bytes))
                })
            });
            let failed = match read {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(Ok(Some(Ok(None))))) => continue,
                Ok(Poll::Ready(Ok(Some(Ok(Some(begun)))))) => return Poll::Ready(Ok(begun)),
                Ok(Poll::Ready(Ok(Some(Err(fault))))) => {
                    return Poll::Ready(Err(DirectError::Head(fault)));
                }
                Ok(Poll::Ready(Ok(None))) => io::ErrorKind::UnexpectedEof.into(),
                Ok(Poll::Ready(Err(error))) | Err(error) => error,
            };
            let began = beginning.has_begun();
            return Poll::Ready(Err(match std::mem::take(&mut beginning).end() {
                HeadError::Incomplete => DirectError::Closed {
                    cause: refused.take().unwrap_or(failed),
                    began,
                    written,
                },
                fault => DirectError::Head(fault),
            }));
        }
    })
    .await?;
    let body = BodyDecoder::new(&head, method).map_err(DirectError::Head)?;
    Ok(Response {
        reusable: unsent.is_empty() && head.keeps_alive(),
        connection: Some(connection),
        client,
        head,
        body,
        carry,
        tired: false,
    })
}

/// A response whose body is read piece by piece. Dropped before its end, it closes the connection.
pub(in crate::http) struct Response {
    /// Until the body has ended.
    connection: Option<Watched>,
    client: u64,
    head: ResponseHead,
    body: BodyDecoder,
    /// What was read and not used yet.
    carry: Vec<u8>,
    reusable: bool,
    /// The last read was as large as a read can be, so others are served before the next.
    tired: bool,
}

impl Response {
    pub(in crate::http) fn head(&self) -> &ResponseHead {
        &self.head
    }

    /// Nothing else is asked on this connection.
    pub(in crate::http) fn forbid_reuse(&mut self) {
        self.reusable = false;
    }

    /// How many bytes of the body are to come, if that is known.
    pub(in crate::http) fn expected(&self) -> Option<u64> {
        self.body.remaining()
    }

    /// Reads once, and shows the pieces of the body to `take` until that says no; what is left is for the next call.
    /// True: the body has ended.
    pub(in crate::http) async fn pull(
        &mut self,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<bool, DirectError> {
        if !self.carry.is_empty() {
            let carry = std::mem::take(&mut self.carry);
            self.digest(&carry, &mut take)?;
        } else if !self.body.is_complete() {
            poll_fn(|context| self.poll_read(context, &mut take)).await?;
        }
        let ended = self.body.is_complete();
        if ended
            && let Some(connection) = self.connection.take()
            && self.reusable
        {
            let handle = connection.handle().clone();
            handle.pools(|pools| pools.keep(self.client, connection));
        }
        Ok(ended)
    }

    fn poll_read(
        &mut self,
        context: &Context<'_>,
        take: &mut impl FnMut(&[u8]) -> bool,
    ) -> Poll<Result<(), DirectError>> {
        if std::mem::take(&mut self.tired) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(connection) = self.connection.take() else {
            return Poll::Ready(Err(DirectError::Interrupted(None)));
        };
        let read = connection.handle().with_buffer(|buffer| {
            connection.poll_read(context, buffer).map_ok(|count| {
                let bytes = buffer.get(..count).unwrap_or_default();
                self.tired = count == buffer.len();
                if bytes.is_empty() {
                    self.reusable = false;
                    self.body.end();
                    return if self.body.is_complete() {
                        Ok(())
                    } else {
                        Err(DirectError::Interrupted(None))
                    };
                }
                self.digest(bytes, take)
            })
        });
        self.connection = Some(connection);
        match read {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Ok(result))) => Poll::Ready(result),
            Ok(Poll::Ready(Err(error))) | Err(error) => {
                Poll::Ready(Err(DirectError::Interrupted(Some(error))))
            }
        }
    }

    fn digest(
        &mut self,
        bytes: &[u8],
        take: &mut impl FnMut(&[u8]) -> bool,
    ) -> Result<(), DirectError> {
        let used = self.body.feed(bytes, take).map_err(DirectError::Body)?;
        if let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            if self.body.is_complete() {
                // Nobody asked for more: whatever it is, it must not become the beginning of another answer.
                self.reusable = false;
            } else {
                self.carry = rest.to_vec();
            }
        }
        Ok(())
    }
}
