//! Why the direct lane has no response, or not all of it, and the crate's error for that.

use std::io;

use super::framing::Fault;
use crate::error::{Error, Phase};
use crate::http::attempt::{ConnectTimeout, UnresolvedName};
use crate::http::fault;

/// Why there is no response, or not all of it.
#[derive(Debug)]
pub(in crate::http) enum Failure {
    Timeout(ConnectTimeout),
    Name(UnresolvedName),
    Unreachable(io::Error),
    /// The connection ended before the head of a response was there; whether a part of it was, and whether a part of
    /// the request was written.
    Closed {
        cause: io::Error,
        began: bool,
        written: bool,
    },
    /// The head is none.
    Head(Fault),
    /// The body is broken.
    Framing(Fault),
    /// The body broke off.
    BrokeOff(Option<io::Error>),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Timeout(ConnectTimeout(limit)) => {
                Error::timeout(Phase::Connect, limit, "a connection")
            }
            Failure::Name(unresolved) => fault::unknown_name(&unresolved, None),
            Failure::Unreachable(error) => fault::unreachable(
                Some(error.kind()),
                &error.to_string(),
                "The server cannot be reached",
            ),
            Failure::Closed { cause, .. } => fault::closed(&cause.to_string(), "The server"),
            Failure::Head(fault) => fault::no_http(&fault.to_string(), ""),
            Failure::Framing(fault) => fault::broken_framing(&fault.to_string()),
            Failure::BrokeOff(Some(error)) if !fault::broke_off(error.kind()) => {
                fault::interrupted(&error.to_string())
            }
            Failure::BrokeOff(_) => fault::cut(),
        }
    }
}
