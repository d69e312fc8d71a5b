//! The direct lane: plain `http://` without a proxy, on sockets that live in the event loop of the caller.
//!
//! No second thread, no queue between threads, no wake-up across them: the [`Reactor`] stands in the caller's event
//! loop as one file descriptor, and what has arrived is decoded where it is read. Only the lookup of a name takes a
//! thread.
//!
//! * [`head_parser`], [`chunked`] and [`body_decoder`] read responses without I/O, and are as strict as the general
//!   lane's hyper. They are public for the tests in `tests/http`, which compare them with
//!   hyper, and for `fuzz`.
//! * `linux` has the sockets, the connections and the requests. On other systems `unsupported` stands in its place: the
//!   same names, so that nobody who uses them has to know the system, and no [`Reactor`] that could be made.

pub mod body_decoder;
pub mod chunked;
mod field_lines;
pub mod head_parser;

#[cfg(all(target_os = "linux", not(direct_lane_unsupported)))]
mod linux;
#[cfg(all(target_os = "linux", not(direct_lane_unsupported)))]
use self::linux as system;
#[cfg(any(not(target_os = "linux"), direct_lane_unsupported))]
mod unsupported;
#[cfg(any(not(target_os = "linux"), direct_lane_unsupported))]
use self::unsupported as system;

pub use self::system::{Reactor, TaskHandle};
pub(super) use self::system::{ReactorHandle, Response, Timer, send};
