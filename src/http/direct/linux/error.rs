//! Why the direct lane has no response, or not all of it, and the crate's error for that.

use std::io;

use crate::error::{Error, Phase};
use crate::http::attempt::ConnectTimeout;
use crate::http::direct::chunked::ChunkedError;
use crate::http::direct::head_parser::HeadError;
use crate::http::fault;
use crate::http::unix_socket::UnixSocket;
use crate::http::upload::UnreadableFile;

/// Why there is no response, or not all of it.
#[derive(Debug)]
pub(in crate::http) enum DirectError {
    Timeout(ConnectTimeout),
    /// The name of the server cannot be resolved.
    UnknownName(io::Error),
    /// None of the server's addresses can be connected to.
    Unreachable(io::Error),
    /// The server's Unix socket cannot be connected to.
    Socket(UnixSocket, io::Error),
    /// The connection ended before the head of the response was complete.
    Closed {
        cause: io::Error,
        /// Whether a part of the response had come.
        began: bool,
        /// Whether a part of the request had been written.
        written: bool,
    },
    /// The file that is sent cannot be read.
    File(UnreadableFile),
    /// The head is no valid HTTP.
    Head(HeadError),
    /// The body is no valid HTTP.
    Body(ChunkedError),
    /// The connection ended before the body was complete: with an error of the socket, or without one.
    Interrupted(Option<io::Error>),
}

impl From<DirectError> for Error {
    fn from(error: DirectError) -> Self {
        match error {
            DirectError::Timeout(ConnectTimeout(limit)) => {
                Self::timeout(Phase::Connect, limit, "a connection")
            }
            DirectError::UnknownName(cause) => {
                fault::unknown_server_name(&cause.to_string()).with_source(cause)
            }
            DirectError::Unreachable(cause) => fault::unreachable(
                Some(cause.kind()),
                &cause.to_string(),
                "The server cannot be reached",
            )
            .with_source(cause),
            DirectError::Socket(socket, cause) => socket.unreachable(&cause).with_source(cause),
            DirectError::Closed { cause, .. } => {
                fault::closed(&cause.to_string(), "The server").with_source(cause)
            }
            DirectError::File(cause) => fault::unreadable_file(&cause),
            DirectError::Head(cause) => fault::no_http(&cause.to_string(), "").with_source(cause),
            DirectError::Body(cause) => {
                fault::broken_framing(&cause.to_string()).with_source(cause)
            }
            DirectError::Interrupted(Some(cause)) if !fault::broke_off(cause.kind()) => {
                fault::interrupted(&cause.to_string()).with_source(cause)
            }
            DirectError::Interrupted(Some(cause)) => fault::cut_short().with_source(cause),
            DirectError::Interrupted(None) => fault::cut_short(),
        }
    }
}
