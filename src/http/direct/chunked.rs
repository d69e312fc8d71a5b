//! The chunked transfer coding (RFC 9112, 7.1), decoded without I/O.
//!
//! Each chunk is its size in hexadecimal digits, perhaps with extensions, and so many bytes of data; a chunk of size 0
//! and perhaps trailers end the body:
//!
//! ```text
//! 5\r\nHello\r\n            a chunk
//! 1;name=value\r\n!\r\n     a chunk with an extension
//! 0\r\n                     the last chunk
//! Expires: never\r\n        a trailer
//! \r\n
//! ```
//!
//! The states have the names that hyper, the general lane's parser, gives them, and what is accepted and what is
//! refused is what hyper accepts and refuses; `tests/http/chunked.rs` compares the two. In one point only is this
//! decoder stricter: the zeros and the white space of a size end somewhere, because the decoder runs in the event loop
//! of the caller. hyper, which reads in a task of its own, takes them until a time limit runs out.
//!
//! ```
//! use metagpt_ollama_rs::http::direct::chunked::ChunkedDecoder;
//!
//! let (mut decoder, mut data) = (ChunkedDecoder::default(), Vec::new());
//! // Cut anywhere, the pieces give the same data.
//! for bytes in [&b"5\r\nHel"[..], b"lo\r\n1;name=value\r", b"\n!\r\n0\r\n\r\n"] {
//!     let used = decoder.feed(bytes, |piece| {
//!         data.extend_from_slice(piece);
//!         true
//!     })?;
//!     assert_eq!(used, bytes.len());
//! }
//! assert_eq!(data, b"Hello!");
//! assert!(decoder.is_complete());
//! # Ok::<(), metagpt_ollama_rs::http::direct::chunked::ChunkedError>(())
//! ```

use super::field_lines::{MAX_FIELD_LINES, parse_field};

/// How many bytes the extensions of all chunks may have together, the trailers together, and the size of one chunk with
/// the white space behind it; each has to be shorter than this.
const MAX_EXTRAS: usize = 16 << 10;

/// How many hexadecimal digits a size may have to be read by [`short_size`].
const SHORT_SIZE_DIGITS: usize = 5;

/// What is wrong with a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ChunkedError(&'static str);

/// The element of a chunked body to which the next byte belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ChunkedState {
    /// The first digit of a chunk's size.
    #[default]
    Start,
    /// Another digit of the size, or what ends it.
    Size,
    /// White space between the size and what follows it.
    SizeLws,
    Extension,
    /// The line feed that ends the line of the size.
    SizeLf,
    /// The data of a chunk.
    Body,
    /// The carriage return behind the data.
    BodyCr,
    /// The line feed behind the data.
    BodyLf,
    /// A trailer, after its first byte.
    Trailer,
    /// The line feed that ends a trailer.
    TrailerLf,
    /// The first byte of a line behind the last chunk: of a trailer, or of the empty line that ends the body.
    EndCr,
    /// The line feed of the empty line that ends the body.
    EndLf,
    End,
}

/// Takes the data out of the bytes of a chunked body.
#[derive(Debug, Default)]
pub struct ChunkedDecoder {
    state: ChunkedState,
    /// How many bytes of the chunk's data are still to come. In the state `Size` it is the number read so far.
    chunk_left: u64,
    /// How many bytes came after the first digit of a size, white space included.
    size_length: usize,
    /// How many bytes the extensions had so far.
    extensions_length: usize,
    /// The trailers so far, with their line ends.
    trailers: Vec<u8>,
    trailer_count: usize,
}

impl ChunkedDecoder {
    /// Whether all of the body has come.
    pub fn is_complete(&self) -> bool {
        self.state == ChunkedState::End
    }

    /// Shows each piece of data in `bytes` to `take`, until that returns false or the body ends. Returns how many of
    /// `bytes` were used. The data of one chunk may come in several pieces.
    #[inline]
    pub fn feed(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<usize, ChunkedError> {
        use ChunkedState::{
            Body, BodyCr, BodyLf, End, EndCr, EndLf, Extension, Size, SizeLf, SizeLws, Start,
            Trailer, TrailerLf,
        };
        let mut rest = bytes;
        let used = |rest: &[u8]| bytes.len() - rest.len();
        while let Some((&byte, after)) = rest.split_first() {
            self.state = match self.state {
                Start => {
                    if let Some((size, after)) = short_size(rest) {
                        // A whole chunk, as a server that streams tokens sends them.
                        if let Some((data, after)) = after.split_at_checked(size)
                            && let Some(after) = after.strip_prefix(b"\r\n")
                        {
                            rest = after;
                            if !take(data) {
                                return Ok(used(rest));
                            }
                            continue;
                        }
                        self.chunk_left = size as u64;
                        self.state = Body;
                        rest = after;
                        continue;
                    }
                    self.size_length = 0;
                    self.chunk_left = 0;
                    self.read_digit(byte)?
                }
                Size | SizeLws => self.read_size(byte)?,
                Extension => self.read_extension(byte)?,
                SizeLf if byte != b'\n' => {
                    return Err(ChunkedError("the size of a chunk ends without \\n"));
                }
                SizeLf if self.chunk_left == 0 => EndCr,
                SizeLf => Body,
                Body => {
                    let length = usize::try_from(self.chunk_left)
                        .map_or(rest.len(), |left| left.min(rest.len()));
                    let (data, after) = rest.split_at(length);
                    rest = after;
                    self.chunk_left -= length as u64;
                    if self.chunk_left == 0 {
                        self.state = BodyCr;
                    }
                    if !take(data) {
                        return Ok(used(rest));
                    }
                    continue;
                }
                BodyCr if byte == b'\r' => BodyLf,
                BodyLf if byte == b'\n' => Start,
                BodyCr | BodyLf => {
                    return Err(ChunkedError("a chunk does not end where its size says"));
                }
                EndCr if byte == b'\r' => self.add_to_trailers(byte, EndLf)?,
                Trailer if byte == b'\r' => self.add_to_trailers(byte, TrailerLf)?,
                EndCr | Trailer => self.add_to_trailers(byte, Trailer)?,
                TrailerLf if byte == b'\n' => self.add_to_trailers(byte, EndCr)?,
                EndLf if byte == b'\n' => self.add_to_trailers(byte, End)?,
                TrailerLf | EndLf => {
                    return Err(ChunkedError("a line after the last chunk ends without \\n"));
                }
                End => break,
            };
            rest = after;
        }
        Ok(used(rest))
    }

    /// Reads one digit of a size; the next state.
    fn read_digit(&mut self, byte: u8) -> Result<ChunkedState, ChunkedError> {
        let digit = char::from(byte)
            .to_digit(16)
            .ok_or(ChunkedError("the size of a chunk is no hexadecimal number"))?;
        self.chunk_left = self
            .chunk_left
            .checked_mul(16)
            .and_then(|size| size.checked_add(u64::from(digit)))
            .ok_or(ChunkedError("the size of a chunk is out of range"))?;
        Ok(ChunkedState::Size)
    }

    /// Reads what follows the first digit of a size; the next state.
    fn read_size(&mut self, byte: u8) -> Result<ChunkedState, ChunkedError> {
        self.size_length += 1;
        if self.size_length >= MAX_EXTRAS {
            return Err(ChunkedError("the size of a chunk is too long"));
        }
        match byte {
            b' ' | b'\t' => Ok(ChunkedState::SizeLws),
            b';' => Ok(ChunkedState::Extension),
            b'\r' => Ok(ChunkedState::SizeLf),
            _ if self.state == ChunkedState::Size => self.read_digit(byte),
            _ => Err(ChunkedError("the size of a chunk is no hexadecimal number")),
        }
    }

    /// Reads one byte of an extension or its end; the next state.
    fn read_extension(&mut self, byte: u8) -> Result<ChunkedState, ChunkedError> {
        match byte {
            b'\r' => return Ok(ChunkedState::SizeLf),
            b'\n' => return Err(ChunkedError("the extension of a chunk ends without \\r")),
            _ => self.extensions_length += 1,
        }
        if self.extensions_length >= MAX_EXTRAS {
            return Err(ChunkedError("the extensions of the chunks are too long"));
        }
        Ok(ChunkedState::Extension)
    }

    /// Keeps a byte that stands behind the last chunk and leads to the state `next`, which is returned. Trailers are of
    /// no use here, but have to be well-formed. Without a trailer, nothing is kept of the empty line that ends the
    /// body.
    fn add_to_trailers(
        &mut self,
        byte: u8,
        next: ChunkedState,
    ) -> Result<ChunkedState, ChunkedError> {
        if self.trailers.is_empty() && next != ChunkedState::Trailer {
            return Ok(next);
        }
        self.trailers.push(byte);
        self.trailer_count += usize::from(next == ChunkedState::EndCr);
        if self.trailers.len() >= MAX_EXTRAS || self.trailer_count > MAX_FIELD_LINES {
            return Err(ChunkedError("the trailers are too long"));
        }
        if next == ChunkedState::End {
            let mut lines = [httparse::EMPTY_HEADER; MAX_FIELD_LINES];
            let room = lines.get_mut(..self.trailer_count).unwrap_or_default();
            match httparse::parse_headers(&self.trailers, room) {
                Ok(httparse::Status::Complete((_, lines)))
                    if lines.iter().all(|line| parse_field(line).is_ok()) => {}
                _ => return Err(ChunkedError("the trailers are no header lines")),
            }
        }
        Ok(next)
    }
}

/// Reads the line of a size at the start of `bytes` at once: of `5\r\nHello` it gives 5 and `Hello`. `None` if the line
/// is incomplete, if it is more than a size of at most [`SHORT_SIZE_DIGITS`] digits, or if that is 0.
#[inline]
fn short_size(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut size = 0;
    for (at, byte) in bytes.iter().enumerate().take(SHORT_SIZE_DIGITS + 1) {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if size > 0 && bytes.get(at + 1) == Some(&b'\n') => {
                return bytes.get(at + 2..).map(|rest| (size, rest));
            }
            _ => return None,
        };
        size = size * 16 + usize::from(digit);
    }
    None
}
