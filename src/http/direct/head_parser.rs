//! The head of an HTTP/1.1 response (RFC 9112, 4 and 5), read without I/O: status line and header fields.
//!
//! What is accepted and what is refused is what hyper, the general lane's parser, accepts and refuses;
//! `tests/http/head_parser.rs` compares the two. A head may come in any pieces, and what stands behind it is handed
//! back:
//!
//! ```
//! use metagpt_ollama_rs::http::direct::head_parser::HeadParser;
//!
//! let mut parser = HeadParser::default();
//! assert!(parser.feed(b"HTTP/1.1 200 OK\r\nContent-Le")?.is_none());
//! let (head, rest) = parser.feed(b"ngth: 2\r\n\r\nhi")?.unwrap();
//! assert_eq!(head.status, 200);
//! assert_eq!(head.headers["content-length"], "2");
//! assert_eq!(rest, b"hi");
//! # Ok::<(), metagpt_ollama_rs::http::direct::head_parser::HeadError>(())
//! ```

use reqwest::StatusCode;
use reqwest::header::{CONNECTION, HeaderMap};

use super::field_lines::{MAX_FIELD_LINES, list_members, parse_field};

/// How many bytes the head of a response may have, together with the interim responses before it. It is hyper's limit
/// for one head; that the interim responses count, too, keeps a server from holding the event loop with them for ever.
const MAX_HEAD: usize = 408 << 10;

/// Why the head of a response cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("{0}")]
    Syntax(httparse::Error),
    #[error("its head is longer than {MAX_HEAD} bytes")]
    TooLong,
    #[error("its status code {0} is below 100")]
    Status(u16),
    #[error("its Content-Length is no number, or is given twice with different values")]
    ContentLength,
    #[error("it has a Transfer-Encoding, which HTTP/1.0 does not know")]
    TransferEncoding,
    #[error("the connection ended before the head of the reply did")]
    Incomplete,
}

/// Collects the bytes of a response until its head is complete. The result does not depend on the pieces in which the
/// bytes come, only the moment at which an error is seen does.
#[derive(Debug, Default)]
pub struct HeadParser {
    /// The bytes after the last interim response.
    buffer: Vec<u8>,
    /// How long `buffer` was when it was last parsed.
    parsed: usize,
    /// How many bytes came before those in `buffer`.
    skipped: usize,
}

impl HeadParser {
    /// Whether any byte of a response has come.
    pub fn has_begun(&self) -> bool {
        self.skipped > 0 || !self.buffer.is_empty()
    }

    /// Adds `bytes`. Returns the head and the bytes that stand behind it, or `None` while the head is incomplete.
    /// Interim responses (status 1xx), which come before the real one, are skipped.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<(ResponseHead, Vec<u8>)>, HeadError> {
        if self.buffer.is_empty() {
            return self.parse(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        // Each attempt parses the head from its start. One attempt at each line end, or when the buffer has doubled,
        // sees an error in time and costs little even if the head comes byte by byte.
        let length = self.buffer.len();
        if !bytes.contains(&b'\n') && length < 2 * self.parsed && self.skipped + length < MAX_HEAD {
            return Ok(None);
        }
        let buffer = std::mem::take(&mut self.buffer);
        self.parse(&buffer)
    }

    /// The connection has ended before the head was complete: the error in what has come of the head, or
    /// [`HeadError::Incomplete`] if there is no other.
    pub fn end(mut self) -> HeadError {
        let buffer = std::mem::take(&mut self.buffer);
        self.parse(&buffer).err().unwrap_or(HeadError::Incomplete)
    }

    fn parse(&mut self, bytes: &[u8]) -> Result<Option<(ResponseHead, Vec<u8>)>, HeadError> {
        let mut rest = bytes;
        loop {
            // Empty lines before a head mean nothing.
            while let [b'\r', b'\n', after @ ..] | [b'\n', after @ ..] = rest {
                rest = after;
            }
            let skipped = self.skipped + bytes.len() - rest.len();
            let room = MAX_HEAD.saturating_sub(skipped);
            let Some((head, length)) = ResponseHead::parse(rest.get(..room).unwrap_or(rest))?
            else {
                if rest.len() >= room {
                    return Err(HeadError::TooLong);
                }
                self.buffer = rest.to_vec();
                self.parsed = rest.len();
                self.skipped = skipped;
                return Ok(None);
            };
            rest = rest.get(length..).unwrap_or_default();
            if let Some(head) = head {
                return Ok(Some((head, rest.to_vec())));
            }
        }
    }
}

/// Status line and header fields of a response.
#[derive(Debug)]
pub struct ResponseHead {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Whether the version is HTTP/1.1. Otherwise it is HTTP/1.0, whose connections end with the response.
    pub(super) is_http_11: bool,
}

impl ResponseHead {
    /// Parses the head at the start of `bytes`. Returns the head (`None` for that of an interim response) and its
    /// length, or nothing while the head is incomplete.
    fn parse(bytes: &[u8]) -> Result<Option<(Option<Self>, usize)>, HeadError> {
        let mut lines = [httparse::EMPTY_HEADER; MAX_FIELD_LINES];
        let mut response = httparse::Response::new(&mut lines);
        let parsed = response.parse(bytes).map_err(HeadError::Syntax)?;
        let httparse::Status::Complete(length) = parsed else {
            return Ok(None);
        };
        let code = response.code.unwrap_or(0);
        let status = StatusCode::from_u16(code).map_err(|_| HeadError::Status(code))?;
        let mut headers = HeaderMap::with_capacity(response.headers.len());
        for line in response.headers.iter() {
            let (name, value) = parse_field(line).map_err(HeadError::Syntax)?;
            headers.append(name, value);
        }
        let interim = status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS;
        let head = (!interim).then(|| Self {
            status,
            headers,
            is_http_11: response.version == Some(1),
        });
        Ok(Some((head, length)))
    }

    /// Whether another request may be sent on the connection once the body of this response has ended.
    pub fn keeps_alive(&self) -> bool {
        self.is_http_11
            && self.status != StatusCode::SWITCHING_PROTOCOLS
            && !self
                .headers
                .get_all(CONNECTION)
                .iter()
                .any(|value| list_members(value).any(|option| option.eq_ignore_ascii_case("close")))
    }
}
