//! The ways to wait for a reply on an event loop.
//!
//! * `event_loop`: the calls of an event loop; `resumable`: the queue of what a loop has to resume.
//! * `eventfd_waker`, `direct_lane`: how a loop is woken by the I/O thread, and by the sockets that live in it;
//!   `loop_waker` is either, and `placement` the choice between both.
//! * `awaitable` is what a task awaits, `parked_task` the task meanwhile.
//! * `stream`, `delivery` and `whole_reply` are awaited; `streaming_request` is what the first two share.
//! * `runtime_future`: futures of pyo3-async-runtimes.

pub mod awaitable;
pub mod delivery;
pub mod direct_lane;
pub mod event_loop;
pub mod eventfd_waker;
pub mod fairness;
pub mod loop_waker;
pub mod parked_task;
pub mod placement;
pub mod resumable;
pub mod runtime_future;
pub mod stream;
pub mod streaming_request;
pub mod whole_reply;
