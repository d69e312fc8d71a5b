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
mod body_decoder;
mod chunked;
mod connections;
mod framing;
mod head_parser;
mod limits;
mod oracle;
mod proxies;
mod redirects;
mod refusals;
mod replay;
mod replies;
mod requests;
mod retries;
mod server;
