//! The ways to wait for a reply without an event loop.

pub mod green_thread;
pub mod stream;
