//! A response of the direct lane, whose body is read piece by piece.

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::error::DirectError;
use super::poll_evented::PollEvented;
use super::reactor::ReactorHandle;
use crate::http::direct::body_decoder::BodyDecoder;
use crate::http::direct::head_parser::ResponseHead;

/// A response. If it is dropped before its body has ended, its connection is closed.
pub(in crate::http) struct Response {
    /// Keeps the connection once the body has ended.
    pub(super) reactor: ReactorHandle,
    /// The number of the client for whose next request it is kept.
    pub(super) client: u64,
    /// `None` once the body has ended.
    pub(super) connection: Option<PollEvented>,
    pub(super) head: ResponseHead,
    pub(super) body: BodyDecoder,
    /// Bytes of the body that have been read and not decoded.
    pub(super) unread: Vec<u8>,
    /// Whether another request may be sent on the connection.
    pub(super) reusable: bool,
    /// Whether the last read has filled the buffer. Then the next one waits for the next iteration, so that a response
    /// that comes in a flood does not keep others from being read.
    pub(super) yield_first: bool,
}

impl Response {
    pub(in crate::http) fn head(&self) -> &ResponseHead {
        &self.head
    }

    /// Sees to it that no other request is sent on the connection.
    pub(in crate::http) fn forbid_reuse(&mut self) {
        self.reusable = false;
    }

    /// How many bytes of the body are to come, if the head has told its length.
    pub(in crate::http) fn expected(&self) -> Option<u64> {
        self.body.remaining()
    }

    /// Reads once and shows the pieces of the body to `take` until that returns false; what is left is for the next
    /// call. Returns whether the body has ended.
    pub(in crate::http) async fn pull(
        &mut self,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<bool, DirectError> {
        if !self.unread.is_empty() {
            let unread = std::mem::take(&mut self.unread);
            self.decode(&unread, &mut take)?;
        } else if !self.body.is_complete() {
            poll_fn(|context| self.poll_read(context, &mut take)).await?;
        }
        let ended = self.body.is_complete();
        if ended
            && let Some(connection) = self.connection.take()
            && self.reusable
        {
            self.reactor.put_idle(self.client, connection);
        }
        Ok(ended)
    }

    fn poll_read(
        &mut self,
        context: &Context<'_>,
        take: &mut impl FnMut(&[u8]) -> bool,
    ) -> Poll<Result<(), DirectError>> {
        if std::mem::take(&mut self.yield_first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(connection) = self.connection.take() else {
            return Poll::Ready(Err(DirectError::Interrupted(None)));
        };
        let read = connection.poll_read_shared(context, |bytes, filled| {
            self.yield_first = filled;
            if bytes.is_empty() {
                self.end()
            } else {
                self.decode(bytes, take)
            }
        });
        self.connection = Some(connection);
        read.map(|read| read.unwrap_or_else(|error| Err(DirectError::Interrupted(Some(error)))))
    }

    /// The server has ended the connection.
    fn end(&mut self) -> Result<(), DirectError> {
        self.reusable = false;
        self.body.end();
        if self.body.is_complete() {
            Ok(())
        } else {
            Err(DirectError::Interrupted(None))
        }
    }

    fn decode(
        &mut self,
        bytes: &[u8],
        take: &mut impl FnMut(&[u8]) -> bool,
    ) -> Result<(), DirectError> {
        let used = self.body.feed(bytes, take).map_err(DirectError::Body)?;
        if let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            if self.body.is_complete() {
                // Nobody asked for more. Whatever it is, it must not become the beginning of another response.
                self.reusable = false;
            } else {
                self.unread = rest.to_vec();
            }
        }
        Ok(())
    }
}
