//! A socket that an [`IoDriver`](super::io_driver::IoDriver) watches, with reads and writes that wait.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use mio::Token;

use super::io_driver::IoHandle;
use super::scheduled_io::{READ_CLOSED, READABLE, ScheduledIo, WRITABLE};
use super::socket::Socket;

/// A connection that is watched until it is dropped.
pub(super) struct PollEvented {
    pub(super) stream: Socket,
    pub(super) scheduled: Arc<ScheduledIo>,
    driver: IoHandle,
    token: Token,
}

impl Drop for PollEvented {
    fn drop(&mut self) {
        // To close the socket would not be enough: a forked child may hold it open, and then the server sees no end.
        self.stream.shutdown();
        self.driver.deregister(&mut self.stream, self.token);
    }
}

impl PollEvented {
    /// Watches `stream` from now on.
    pub(super) fn new(driver: IoHandle, mut stream: Socket) -> io::Result<Self> {
        let scheduled = Arc::new(ScheduledIo::default());
        let token = driver.register(&mut stream, &scheduled)?;
        Ok(Self {
            stream,
            scheduled,
            driver,
            token,
        })
    }

    /// Waits until `flag` is set.
    pub(super) fn poll_ready(&self, context: &Context<'_>, flag: usize) -> Poll<()> {
        if self.scheduled.is(flag) || !self.scheduled.register(context, flag) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Calls `operation` with the socket once `flag` says that it may succeed, and waits if it would block.
    /// `is_drained` tells from the result that the next operation would block; it saves the system call that would find
    /// that out.
    pub(super) fn poll_io<T>(
        &self,
        context: &Context<'_>,
        flag: usize,
        mut operation: impl FnMut(&Socket) -> io::Result<T>,
        is_drained: impl Fn(&T) -> bool,
    ) -> Poll<io::Result<T>> {
        loop {
            let seen = self.scheduled.readiness();
            if seen & flag == 0 {
                if self.scheduled.register(context, flag) {
                    return Poll::Pending;
                }
                continue;
            }
            match operation(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.scheduled.clear_readiness(seen, flag);
                }
                Ok(done) => {
                    if is_drained(&done) && seen & READ_CLOSED == 0 {
                        self.scheduled.clear_readiness(seen, flag);
                    }
                    return Poll::Ready(Ok(done));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Reads once into `buffer`. 0 bytes are the end.
    pub(super) fn poll_read(
        &self,
        context: &Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let length = buffer.len();
        let read = |stream: &Socket| stream.read(buffer);
        self.poll_io(context, READABLE, read, |count| *count < length)
    }

    /// Reads once into the buffer that the sockets of a reactor share, and calls `use_up` with the bytes, and with
    /// whether they fill the buffer, so that more may have come. No bytes are the end.
    pub(super) fn poll_read_shared<T>(
        &self,
        context: &Context<'_>,
        use_up: impl FnOnce(&[u8], bool) -> T,
    ) -> Poll<io::Result<T>> {
        let read = self.driver.with_read_buffer(|buffer| {
            self.poll_read(context, buffer).map_ok(|count| {
                let bytes = buffer.get(..count).unwrap_or_default();
                use_up(bytes, count == buffer.len())
            })
        });
        read.unwrap_or_else(|error| Poll::Ready(Err(error)))
    }

    /// Writes once from `bytes`.
    pub(super) fn poll_write(
        &self,
        context: &Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let write = |stream: &Socket| stream.write(bytes);
        self.poll_io(context, WRITABLE, write, |count| *count < bytes.len())
    }
}
