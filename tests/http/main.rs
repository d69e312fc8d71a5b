//! The HTTP layer against scripted servers on a raw socket: the bytes it sends, the bytes it gets, what becomes of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines
)]

mod bases;
mod bodies;
mod connections;
#[cfg(target_os = "linux")]
mod framing;
mod limits;
#[cfg(target_os = "linux")]
mod oracle;
mod proxies;
mod redirects;
mod refusals;
mod replay;
mod replies;
mod requests;
mod retries;
mod server;
