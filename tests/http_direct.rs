//! What `http` tests, in the direct lane: the same files once more.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines
)]

#[path = "http/bodies.rs"]
mod bodies;
#[path = "http/connections.rs"]
mod connections;
#[path = "http/limits.rs"]
mod limits;
#[path = "http/proxies.rs"]
mod proxies;
#[path = "http/redirects.rs"]
mod redirects;
#[path = "http/refusals.rs"]
mod refusals;
#[path = "http/replay.rs"]
mod replay;
#[path = "http/replies.rs"]
mod replies;
#[path = "http/requests.rs"]
mod requests;
#[path = "http/retries.rs"]
mod retries;
#[path = "http/server.rs"]
mod server;
