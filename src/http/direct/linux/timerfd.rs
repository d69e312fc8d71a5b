//! A descriptor that becomes readable after a time: Linux's timerfd, for which neither the standard library nor mio has
//! a type.
#![allow(unsafe_code, reason = "libc's functions are unsafe to call")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

pub(super) struct TimerFd(OwnedFd);

impl TimerFd {
    /// A timerfd that is switched off.
    pub(super) fn new() -> io::Result<Self> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: timerfd_create takes two integers and no pointer, so that any values are sound; the result is checked
        // below.
        let raw = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor has to be open and to have no other owner. The kernel has just opened `raw`, and this
        // function has passed it to nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(raw) }))
    }

    /// Becomes readable once `after` has passed, instead of at the time that was set before.
    pub(super) fn set(&self, after: Duration) {
        let value = libc::itimerspec {
            it_interval: libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: libc::timespec {
                tv_sec: libc::time_t::try_from(after.as_secs()).unwrap_or(libc::time_t::MAX),
                // Zero would switch the timerfd off.
                tv_nsec: libc::c_long::from(after.subsec_nanos()).max(1),
            },
        };
        // SAFETY: the third argument has to point to an itimerspec, and the fourth has to be null or to point to room
        // for one. `value` lives until the call returns, and the fourth is null. The descriptor is open, because `self`
        // owns it.
        unsafe {
            libc::timerfd_settime(self.as_raw_fd(), 0, &raw const value, std::ptr::null_mut());
        }
    }
}

impl AsRawFd for TimerFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
