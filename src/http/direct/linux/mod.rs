//! The sockets, connections and requests of the direct lane. Each of these files uses those above it only:
//!
//! * `socket`: a socket of either kind; `scheduled_io`: what is known of one; `io_driver`: the epoll instance that finds it
//!   out; `poll_evented`: a socket with reads and writes that wait;
//! * `timerfd`: a descriptor for a time; `timer`: times to wait for; `scheduler`: the tasks that wait;
//! * `pool`: connections between two requests;
//! * `wait`: waiting for a descriptor; [`reactor`]: all of these behind one;
//! * `error`: what can go wrong with a connection; `connect`: new connections; `request_bytes`: a request as it is
//!   written; `response`: the response, whose body is read piece by piece; `send`: from the one to the other.

mod connect;
mod error;
mod io_driver;
mod poll_evented;
mod pool;
mod reactor;
mod request_bytes;
mod response;
mod scheduled_io;
mod scheduler;
mod send;
mod socket;
#[cfg(test)]
mod tests;
mod timer;
mod timerfd;
mod wait;

pub use self::reactor::Reactor;
pub(in crate::http) use self::reactor::ReactorHandle;
pub(in crate::http) use self::response::Response;
pub use self::scheduler::TaskHandle;
pub(in crate::http) use self::send::send;
pub(in crate::http) use self::timer::Timer;
