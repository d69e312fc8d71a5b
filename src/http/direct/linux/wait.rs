//! Waiting for a descriptor, for a reactor that has a thread of its own.
#![allow(unsafe_code, reason = "libc's functions are unsafe to call")]

use std::os::fd::RawFd;

/// Waits until `descriptor`, which is open, is readable, or a signal comes.
pub(super) fn wait_readable(descriptor: RawFd) {
    let mut watched = libc::pollfd {
        fd: descriptor,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: the pointer has to point to as many pollfds as the second argument says. `watched` is one, and it lives
    // until the call returns.
    unsafe { libc::poll(&raw mut watched, 1, -1) };
}
