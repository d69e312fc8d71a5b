//! Talking to a server: from a base URL to the deltas of a reply in an inbox. Tokio and reqwest live here, Python does not.
//!
//! From the bottom up; each file or folder uses those above it only:
//!
//! * What a client is made from. `percent` decodes parts of URLs, `unix_socket` is the address of a server without a
//!   port, [`base`] reads whatever a user wrote as base URL and turns it into one canonical form, [`proxy`] says when a
//!   proxy is used, `pem_file` reads files of certificates, `client_certificate` is the client's own, [`trust`] says whose
//!   certificates are believed; `policy` has the values of time limits and retries; [`config`] holds all of these. `redact`
//!   keeps the secrets among them out of errors.
//! * What is asked. `endpoint` is what differs between endpoints, `upload` is a file that is sent as a body, `request`
//!   is a request and what of it goes over the wire.
//! * How one request is sent. `attempt` tells how far its connection is, `names` looks up names, `refusal` and `fault` turn what
//!   went wrong into the crate's error. `general` (reqwest on a tokio runtime: everything) and [`direct`] (plain HTTP on sockets
//!   in the caller's event loop: less, and much faster) are the two lanes, each of which can be used alone; `lane` is the
//!   choice between them.
//! * What an exchange is. `clock` keeps its time limits, `retry_plan` says when a request is sent again, `redirect` which
//!   redirects are followed; `transport` carries the requests of one client to its server. `exchange` is one request and its
//!   checked reply, read piece by piece.
//! * What becomes of a reply. `resumption` says when a transfer that broke off goes on. `reply` reads it whole. `explain`
//!   asks the server about a failure. `repetition` is the error of an answer that repeats itself, `sink` makes items or
//!   lines of the pieces of a body, `pump` moves these into an inbox.
//! * [`client`] is the pooled client with its two verbs: `call` (the whole reply) and `pump` (a stream into an inbox).
//!
//! Everything here hands out [`crate::error::Error`] only; a malformed reply is an error and never an answer.

mod attempt;
pub mod base;
pub mod client;
mod client_certificate;
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
mod pem_file;
mod percent;
mod policy;
pub mod proxy;
mod pump;
mod redact;
mod redirect;
mod refusal;
mod repetition;
mod reply;
mod request;
mod resumption;
mod retry_plan;
mod sink;
mod transport;
pub mod trust;
mod unix_socket;
mod upload;

pub use base::{AddressSetting, BaseUrl};
pub use client::Client;
pub use client_certificate::ClientCertificate;
pub use config::Config;
pub use endpoint::{Endpoint, Method, ReplyLines};
pub use lane::GetRuntime;
pub use policy::{Retry, Timeouts};
pub use proxy::ProxyRule;
pub use redact::Secrets;
pub use repetition::refuse_repetition;
pub use reply::Reply;
pub use request::Request;
pub use sink::PumpMode;
pub use trust::Trust;
pub use upload::UploadFile;
