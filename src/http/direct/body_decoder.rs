//! Where the body of an HTTP/1.1 response ends (RFC 9112, 6.3), told from its head, and the data in its bytes.
//!
//! The three ways, as hyper calls them: `Length` (a `Content-Length` says so), `Chunked` (a
//! [`ChunkedDecoder`] finds the end) and `Eof` (the end of the connection is the end of the body).
//!
//! ```
//! use metagpt_ollama_rs::http::direct::body_decoder::BodyDecoder;
//! use metagpt_ollama_rs::http::direct::head_parser::HeadParser;
//!
//! let response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
//! let (head, rest) = HeadParser::default().feed(response).unwrap().unwrap();
//! let mut body = BodyDecoder::new(&head, &reqwest::Method::POST).unwrap();
//! let mut data = Vec::new();
//! body.feed(&rest, |piece| {
//!     data.extend_from_slice(piece);
//!     true
//! })
//! .unwrap();
//! assert_eq!(data, b"hi");
//! assert!(body.is_complete());
//! ```

use reqwest::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use reqwest::{Method, StatusCode};

use super::chunked::{ChunkedDecoder, ChunkedError};
use super::field_lines::list_members;
use super::head_parser::{HeadError, ResponseHead};

/// The largest Content-Length: hyper needs the two values above it for itself.
const MAX_CONTENT_LENGTH: u64 = u64::MAX - 2;

/// Takes the data out of the bytes of a body.
#[derive(Debug)]
pub enum BodyDecoder {
    /// So many bytes are still to come.
    Length(u64),
    Chunked(ChunkedDecoder),
    /// The body ends with the connection; whether that has ended.
    Eof(bool),
}

impl BodyDecoder {
    /// The decoder for the body behind `head`, which answers a request of `method`.
    pub fn new(head: &ResponseHead, method: &Method) -> Result<Self, HeadError> {
        let empty = matches!(
            head.status,
            StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
        if method == Method::HEAD || empty {
            return Ok(Self::Length(0));
        }
        let codings = head.headers.get_all(TRANSFER_ENCODING);
        if let Some(last) = codings.iter().next_back() {
            if !head.is_http_11 {
                return Err(HeadError::TransferEncoding);
            }
            let chunked = list_members(last)
                .next_back()
                .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
            return Ok(if chunked {
                Self::Chunked(ChunkedDecoder::default())
            } else {
                Self::Eof(false)
            });
        }
        let length = content_length(&head.headers)?;
        Ok(length.map_or(Self::Eof(false), Self::Length))
    }

    /// Shows each piece of data in `bytes` to `take`, until that returns false or the body ends. Returns how many of
    /// `bytes` were used.
    #[inline]
    pub fn feed(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<usize, ChunkedError> {
        match self {
            Self::Length(left) => {
                let length =
                    usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= length as u64;
                if let Some(piece) = bytes.get(..length).filter(|piece| !piece.is_empty()) {
                    take(piece);
                }
                Ok(length)
            }
            Self::Chunked(decoder) => decoder.feed(bytes, take),
            Self::Eof(_) => {
                if !bytes.is_empty() {
                    take(bytes);
                }
                Ok(bytes.len())
            }
        }
    }

    /// Tells the decoder that the connection has ended. If the body is not complete after that, it was cut off.
    pub fn end(&mut self) {
        if let Self::Eof(ended) = self {
            *ended = true;
        }
    }

    /// Whether all of the body has come.
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(decoder) => decoder.is_complete(),
            Self::Eof(ended) => *ended,
        }
    }

    /// How many bytes are still to come, if the head has told the length of the body.
    pub fn remaining(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::Eof(_) => None,
        }
    }
}

/// The length that `Content-Length` tells. It may be given several times, such as `2, 2`, if the value is the same.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, HeadError> {
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for member in value.as_bytes().split(|byte| *byte == b',') {
            let number = decimal(member.trim_ascii())
                .filter(|number| *number <= MAX_CONTENT_LENGTH)
                .ok_or(HeadError::ContentLength)?;
            if length.is_some_and(|length| length != number) {
                return Err(HeadError::ContentLength);
            }
            length = Some(number);
        }
    }
    Ok(length)
}

/// The number that `digits` spell; no sign, unlike `str::parse`.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}
