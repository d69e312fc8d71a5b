//! Talking to a server: from a base URL to the deltas of a reply in an inbox. Tokio and reqwest live here, Python does not.
//!
//! * [`base`] reads whatever a user wrote as base URL and turns it into one canonical form.
//! * [`config`] is what a client is made from: base, headers, key, limits; [`proxy`] says when a proxy is used,
//!   [`trust`] whose certificates are believed.
//! * `policy` are the values of time limits and retries, `endpoint` is what differs between endpoints, `request` is what
//!   is asked and what of it goes over the wire.
//! * [`client`] is the pooled client with its two verbs: `call` (the whole reply) and `pump` (a stream into an inbox).
//! * `exchange` is one request and its checked reply, read piece by piece under the four time limits of `clock`.
//! * `lane` is the choice between `general` (reqwest on a tokio runtime: everything) and [`direct`] (plain HTTP on sockets in
//!   the caller's event loop: less, and much faster); `attempt` tells how far a connection of either is.
//! * `pump` reads the pieces of a stream, `sink` makes items or lines of them, and both put them into the inbox.
//! * `redirect` says which redirects are followed, `retry` when a request is sent again, `explain` asks the server about a failure.
//! * `names` looks up names.
//! * `redact` keeps secrets out of errors; `repetition` is the error of an answer that repeats itself.
//! * `fault` turns what went wrong into the crate's error.
//!
//! Everything here hands out [`crate::error::Error`] only; a malformed reply is an error and never an answer.

mod attempt;
pub mod base;
pub mod client;
mod clock;
pub mod config;
pub mod direct;
mod endpoint;
mod exchange;
mod explain;
mod fault;
mod general;
mod lane;
mod names;
mod policy;
pub mod proxy;
mod pump;
mod redact;
mod redirect;
mod repetition;
mod reply;
mod request;
mod sink;
mod transport;
mod tries;
pub mod trust;

pub use base::{AddressSetting, BaseUrl};
pub use client::Client;
pub use config::Config;
pub use endpoint::{Endpoint, Method, ReplyLines};
pub use lane::Runtime;
pub use policy::{Retry, Timeouts};
pub use proxy::ProxyRule;
pub use redact::Secrets;
pub use repetition::refuse_repetition;
pub use reply::Reply;
pub use request::Request;
pub use sink::PumpMode;
pub use trust::Trust;
