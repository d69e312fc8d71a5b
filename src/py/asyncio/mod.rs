//! The ways to wait for a reply on an event loop.

pub mod awaitable;
pub mod call;
#[cfg(target_os = "linux")]
pub mod direct_lane;
pub mod loop_waker;
pub mod placement;
pub mod runtime_future;
pub mod stream;
