//! The ways to wait for a reply without an event loop, in a thread or a green thread.

pub mod delivery;
mod green_thread;
pub mod stream;
pub mod wait;
