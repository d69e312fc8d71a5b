//! The framing of an HTTP/1.1 response, read without I/O: a head, then a body in pieces.
//!
//! Strict where a mistake could be taken for an answer (RFC 9112): a length that is no number, a chunk that does not end
//! where it says, a body that ends early. What is accepted and what is refused is what hyper, the general lane's parser,
//! accepts and refuses; `tests/http/framing.rs` compares the two. Only here is there an end to the zeros and the white
//! space of a chunk's size: hyper, which reads in a task of its own, takes them until a time limit runs out.

use reqwest::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use reqwest::{Method, StatusCode};

/// The longest beginning of a response, in bytes: its head and the interim responses before it. It is hyper's limit for
/// one head; that the interim ones count too keeps a server from holding the event loop with them for ever.
const MAX_HEAD: usize = 408 << 10;

/// The longest extensions of all chunks of a body, the longest trailers, and the longest size of one chunk with the white
/// space after it, in bytes; all have to be shorter.
const MAX_EXTRAS: usize = 16 << 10;

/// How many lines the headers may have, and the trailers.
const MAX_HEADERS: usize = 100;

/// The largest Content-Length: hyper needs the two values above it for itself.
const MAX_LENGTH: u64 = u64::MAX - 2;

/// Why a response cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{0}")]
    Head(httparse::Error),
    #[error("its head is longer than {MAX_HEAD} bytes")]
    HeadTooLong,
    #[error("its Content-Length is no number, or is given twice with different values")]
    Length,
    #[error("its status {0} is none")]
    Status(u16),
    #[error("it has a Transfer-Encoding, which HTTP/1.0 does not know")]
    Old,
    #[error("{0}")]
    Chunk(&'static str),
    /// The connection ended before the body did.
    #[error("the connection ended before the reply did")]
    Cut,
}

/// The beginning of a response, until its head is whole. What comes out does not depend on the cuts, only how soon a
/// mistake is seen.
#[derive(Debug, Default)]
pub struct Beginning {
    /// What has come since the last interim response.
    bytes: Vec<u8>,
    /// How many of them were there when they were last read.
    read: usize,
    /// How many bytes came before them.
    skipped: usize,
}

impl Beginning {
    /// Whether anything of a response has come.
    pub fn has_begun(&self) -> bool {
        self.skipped > 0 || !self.bytes.is_empty()
    }

    /// Adds `bytes`: the head and what stands after it, or `None` while more is needed. Responses of status 1xx come
    /// before the real one and are skipped.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<(Head, Vec<u8>)>, Fault> {
        if self.bytes.is_empty() {
            return self.read(bytes);
        }
        self.bytes.extend_from_slice(bytes);
        // A head is read from its start every time. Once a line, or when it has doubled, is often enough to see a
        // mistake in time, and seldom enough for one that comes byte by byte.
        let length = self.bytes.len();
        if !bytes.contains(&b'\n') && length < 2 * self.read && self.skipped + length < MAX_HEAD {
            return Ok(None);
        }
        let bytes = std::mem::take(&mut self.bytes);
        self.read(&bytes)
    }

    /// The connection has ended: what is wrong with the head, if it is more than that it was cut.
    pub fn end(mut self) -> Fault {
        let bytes = std::mem::take(&mut self.bytes);
        self.read(&bytes).err().unwrap_or(Fault::Cut)
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Option<(Head, Vec<u8>)>, Fault> {
        let mut rest = bytes;
        loop {
            // Empty lines before a head mean nothing.
            while let [b'\r', b'\n', after @ ..] | [b'\n', after @ ..] = rest {
                rest = after;
            }
            let skipped = self.skipped + bytes.len() - rest.len();
            let room = MAX_HEAD.saturating_sub(skipped);
            let Some((head, length)) = Head::read(rest.get(..room).unwrap_or(rest))? else {
                if rest.len() >= room {
                    return Err(Fault::HeadTooLong);
                }
                self.bytes = rest.to_vec();
                self.read = rest.len();
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

/// Status line and headers of a response.
#[derive(Debug)]
pub struct Head {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// HTTP/1.1; otherwise 1.0, whose connections end with the response.
    persistent: bool,
}

impl Head {
    /// Reads the head at the start of `bytes`: the head, or `None` for that of an interim response, and its length; no
    /// result while more bytes are needed.
    fn read(bytes: &[u8]) -> Result<Option<(Option<Self>, usize)>, Fault> {
        let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut lines);
        let httparse::Status::Complete(length) = response.parse(bytes).map_err(Fault::Head)? else {
            return Ok(None);
        };
        let code = response.code.unwrap_or(0);
        let status = StatusCode::from_u16(code).map_err(|_| Fault::Status(code))?;
        let mut headers = HeaderMap::with_capacity(response.headers.len());
        for line in response.headers.iter() {
            let (name, value) = field(line).map_err(Fault::Head)?;
            headers.append(name, value);
        }
        let interim = status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS;
        let head = (!interim).then(|| Self {
            status,
            headers,
            persistent: response.version == Some(1),
        });
        Ok(Some((head, length)))
    }

    /// Whether the connection can be used again once the body has ended.
    pub fn keeps_alive(&self) -> bool {
        self.persistent
            && self.status != StatusCode::SWITCHING_PROTOCOLS
            && !self
                .headers
                .get_all(CONNECTION)
                .iter()
                .any(|value| parts(value).any(|option| option.eq_ignore_ascii_case("close")))
    }

    /// How the body of the answer to a request of `method` is framed.
    pub fn body(&self, method: &Method) -> Result<Body, Fault> {
        let empty = matches!(
            self.status,
            StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
        if method == Method::HEAD || empty {
            return Ok(Body::Length(0));
        }
        if let Some(last) = self.headers.get_all(TRANSFER_ENCODING).iter().next_back() {
            if !self.persistent {
                return Err(Fault::Old);
            }
            let chunked = parts(last)
                .next_back()
                .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
            return Ok(if chunked {
                Body::Chunked(Chunks::default())
            } else {
                Body::UntilEnd { ended: false }
            });
        }
        let mut length = None;
        for value in self.headers.get_all(CONTENT_LENGTH) {
            for part in value.as_bytes().split(|byte| *byte == b',') {
                let number = decimal(part.trim_ascii())
                    .filter(|number| *number <= MAX_LENGTH)
                    .ok_or(Fault::Length)?;
                if length.is_some_and(|length| length != number) {
                    return Err(Fault::Length);
                }
                length = Some(number);
            }
        }
        Ok(length.map_or(Body::UntilEnd { ended: false }, Body::Length))
    }
}

/// The parts of a list; none if it has other characters than those of ASCII.
fn parts(value: &HeaderValue) -> impl DoubleEndedIterator<Item = &str> {
    let value = value.to_str().ok();
    value
        .into_iter()
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

fn field(line: &httparse::Header<'_>) -> Result<(HeaderName, HeaderValue), httparse::Error> {
    let name = HeaderName::from_bytes(line.name.as_bytes());
    let value = HeaderValue::from_bytes(line.value);
    Ok((
        name.map_err(|_| httparse::Error::HeaderName)?,
        value.map_err(|_| httparse::Error::HeaderValue)?,
    ))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What is left of a body.
#[derive(Debug)]
pub enum Body {
    /// So many bytes.
    Length(u64),
    Chunked(Chunks),
    /// Everything until the connection ends.
    UntilEnd {
        ended: bool,
    },
}

impl Body {
    /// Takes the framing out of `bytes` and shows each piece of data to `take`, until that says no (false) or the body
    /// ends. Returns how many bytes were used.
    #[inline]
    pub fn feed(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<usize, Fault> {
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
            Self::Chunked(chunks) => chunks.feed(bytes, take),
            Self::UntilEnd { .. } => {
                if !bytes.is_empty() {
                    take(bytes);
                }
                Ok(bytes.len())
            }
        }
    }

    /// Whether all of it has come.
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunks) => chunks.state == State::Complete,
            Self::UntilEnd { ended } => *ended,
        }
    }

    /// The connection has ended: so has the body, or it was cut.
    pub fn end(&mut self) -> Result<(), Fault> {
        if let Self::UntilEnd { ended } = self {
            *ended = true;
        }
        if self.is_complete() {
            Ok(())
        } else {
            Err(Fault::Cut)
        }
    }

    /// How many bytes are still to come, if that was said.
    pub fn expected(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::UntilEnd { .. } => None,
        }
    }
}

/// Where in a chunked body the next byte stands (RFC 9112, 7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    #[default]
    Start,
    Size,
    /// White space after the size.
    Space,
    Extension,
    SizeNewline,
    Data,
    DataReturn,
    DataNewline,
    /// At the start of a line after the last chunk: a trailer, or the empty line that ends the body.
    Tail,
    Trailer,
    TrailerNewline,
    TailNewline,
    Complete,
}

/// The state of a chunked body.
#[derive(Debug, Default)]
pub struct Chunks {
    state: State,
    /// Bytes of the chunk that are still to come; its size while that is being read.
    left: u64,
    /// How many bytes its line has after the first digit, white space included.
    size: usize,
    /// How many bytes of extensions there were.
    extensions: usize,
    /// The trailers so far, and how many lines.
    trailers: Vec<u8>,
    lines: usize,
}

/// The longest size that is looked for in one step, in hexadecimal digits.
const SHORT: usize = 5;

impl Chunks {
    #[inline]
    fn feed(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8]) -> bool) -> Result<usize, Fault> {
        let mut rest = bytes;
        let used = |rest: &[u8]| bytes.len() - rest.len();
        loop {
            if self.state == State::Start
                && let Some((size, after)) = short_size(rest)
            {
                self.left = size as u64;
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
                rest = after;
                self.state = State::Data;
            }
            if self.state == State::Data {
                if rest.is_empty() {
                    return Ok(used(rest));
                }
                let length =
                    usize::try_from(self.left).map_or(rest.len(), |left| left.min(rest.len()));
                let (data, after) = rest.split_at(length);
                rest = after;
                self.left -= length as u64;
                if self.left == 0 {
                    self.state = State::DataReturn;
                }
                if !take(data) {
                    return Ok(used(rest));
                }
                continue;
            }
            if self.state == State::Complete {
                return Ok(used(rest));
            }
            let Some((byte, after)) = rest.split_first() else {
                return Ok(used(rest));
            };
            rest = after;
            self.state = self.step(*byte)?;
        }
    }

    /// The state after `byte`, which is none of the data.
    fn step(&mut self, byte: u8) -> Result<State, Fault> {
        let wrong = |what| Err(Fault::Chunk(what));
        match self.state {
            State::Start => self.size = 0,
            State::Size | State::Space => self.size += 1,
            _ => {}
        }
        if self.size >= MAX_EXTRAS {
            return wrong("the size of a chunk is too long");
        }
        Ok(match (self.state, byte) {
            (State::Start | State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                if self.state == State::Start {
                    self.left = 0;
                }
                self.left = self
                    .left
                    .checked_mul(16)
                    .and_then(|left| left.checked_add(u64::from(digit)))
                    .ok_or(Fault::Chunk("the size of a chunk is out of range"))?;
                State::Size
            }
            (State::Size | State::Space, b' ' | b'\t') => State::Space,
            (State::Size | State::Space, b';') => State::Extension,
            (State::Size | State::Space | State::Extension, b'\r') => State::SizeNewline,
            (State::Start | State::Size | State::Space, _) => {
                return wrong("the size of a chunk is no hexadecimal number");
            }
            (State::Extension, b'\n') => return wrong("the extension of a chunk ends without \\r"),
            (State::Extension, _) => {
                self.extensions += 1;
                if self.extensions >= MAX_EXTRAS {
                    return wrong("the extensions of the chunks are too long");
                }
                State::Extension
            }
            (State::SizeNewline, b'\n') if self.left == 0 => State::Tail,
            (State::SizeNewline, b'\n') => State::Data,
            (State::SizeNewline, _) => return wrong("the size of a chunk ends without \\n"),
            (State::DataReturn, b'\r') => State::DataNewline,
            (State::DataNewline, b'\n') => State::Start,
            (State::DataReturn | State::DataNewline, _) => {
                return wrong("a chunk does not end where its size says");
            }
            (State::Tail | State::Trailer | State::TrailerNewline | State::TailNewline, _) => {
                return self.tail(byte);
            }
            (State::Data | State::Complete, _) => self.state,
        })
    }

    /// The state after `byte`, which comes after the last chunk. Trailers are of no use here, but have to be well-formed.
    fn tail(&mut self, byte: u8) -> Result<State, Fault> {
        let next = match (self.state, byte) {
            (State::Tail, b'\r') => State::TailNewline,
            (State::Trailer, b'\r') => State::TrailerNewline,
            (State::Tail | State::Trailer, _) => State::Trailer,
            (State::TrailerNewline, b'\n') => State::Tail,
            (State::TailNewline, b'\n') => State::Complete,
            _ => {
                return Err(Fault::Chunk("a line after the last chunk ends without \\n"));
            }
        };
        if self.trailers.is_empty() && next != State::Trailer {
            return Ok(next);
        }
        self.trailers.push(byte);
        self.lines += usize::from(next == State::Tail);
        if self.trailers.len() >= MAX_EXTRAS || self.lines > MAX_HEADERS {
            return Err(Fault::Chunk("the trailers are too long"));
        }
        if next == State::Complete {
            let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let room = fields.get_mut(..self.lines).unwrap_or_default();
            match httparse::parse_headers(&self.trailers, room) {
                Ok(httparse::Status::Complete((_, trailers)))
                    if trailers.iter().all(|trailer| field(trailer).is_ok()) => {}
                _ => return Err(Fault::Chunk("the trailers are no header lines")),
            }
        }
        Ok(next)
    }
}

/// The size at the start of `bytes` and what stands after its line, if the line is nothing but a short size above zero.
#[inline]
fn short_size(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut size = 0;
    for (at, byte) in bytes.iter().enumerate().take(SHORT + 1) {
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
