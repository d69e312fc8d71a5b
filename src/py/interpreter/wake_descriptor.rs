//! A file descriptor that one thread makes readable for another one: an eventfd, on other systems than Linux a pipe. By
//! it, the I/O thread wakes the loop that watches the descriptor: an event loop, or that of a library of green threads.

use std::io;

use pyo3::prelude::*;

pub use self::system::WakeDescriptor;
use super::errors;
use crate::error::{Error, Kind};

/// The exception where the system refuses a descriptor that an event loop would watch.
pub fn cannot_watch(py: Python<'_>, error: &io::Error) -> PyErr {
    let message = format!("Nothing can be received in this event loop: {error}.");
    errors::to_python(py, Error::new(Kind::Connect, message))
}

#[cfg(unix)]
mod system {
    use std::fs::File;
    use std::io::{self, Read, Write};
    use std::os::fd::{AsRawFd, RawFd};

    /// Both ends of the descriptor. It can be read and written from any thread.
    pub struct WakeDescriptor {
        read: File,
        write: File,
    }

    impl WakeDescriptor {
        /// Fails where the process may open no more files.
        pub fn new() -> io::Result<Self> {
            let (read, write) = open()?;
            Ok(Self { read, write })
        }

        /// What is to be watched.
        pub fn as_raw_fd(&self) -> RawFd {
            self.read.as_raw_fd()
        }

        /// Makes the descriptor readable. Whoever calls this once for each `reset` at most cannot fill it.
        pub fn notify(&self) {
            let _ = (&self.write).write(&1_u64.to_ne_bytes());
        }

        /// Makes the descriptor unreadable again, until the next `notify`.
        pub fn reset(&self) {
            let _ = (&self.read).read(&mut [0_u8; 8]);
        }
    }

    #[cfg(target_os = "linux")]
    #[allow(unsafe_code, reason = "the standard library has no eventfd")]
    fn open() -> io::Result<(File, File)> {
        use std::os::fd::FromRawFd;
        // SAFETY: eventfd has no precondition; its negative result, which is no descriptor, is returned as an error
        // below.
        let raw = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `from_raw_fd` requires an open descriptor that has no other owner: eventfd has opened `raw` right
        // above.
        let write = unsafe { File::from_raw_fd(raw) };
        Ok((write.try_clone()?, write))
    }

    #[cfg(not(target_os = "linux"))]
    fn open() -> io::Result<(File, File)> {
        use std::os::fd::OwnedFd;
        let (read, write) = io::pipe()?;
        Ok((
            File::from(OwnedFd::from(read)),
            File::from(OwnedFd::from(write)),
        ))
    }
}

/// Elsewhere event loops watch nothing but sockets.
#[cfg(not(unix))]
mod system {
    use std::io;

    pub enum WakeDescriptor {}

    impl WakeDescriptor {
        /// Fails with [`io::ErrorKind::Unsupported`].
        pub fn new() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub fn as_raw_fd(&self) -> i32 {
            match *self {}
        }

        pub fn notify(&self) {
            match *self {}
        }

        pub fn reset(&self) {
            match *self {}
        }
    }
}
