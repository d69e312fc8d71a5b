//! One response, read by the direct lane's parser and by hyper's client, which is the general lane's: what each makes
//! of the same bytes. Shared by the tests and by the fuzz target `framing`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Method, Request};
use metagpt_ollama_rs::http::direct::body_decoder::BodyDecoder;
use metagpt_ollama_rs::http::direct::head_parser::{HeadError, HeadParser};

/// What became of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Complete,
    /// The connection ended before the response did.
    Cut,
    BadHead,
    BadFraming,
    /// The connection is still open, and more has to come.
    NeedsMore,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub end: End,
    /// 0 without a head.
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// Whether the connection may be used for another request.
    pub reusable: bool,
}

impl Outcome {
    fn new(end: End) -> Self {
        Self {
            end,
            status: 0,
            headers: Vec::new(),
            body: Vec::new(),
            reusable: false,
        }
    }

    fn begin(&mut self, status: hyper::StatusCode, headers: &HeaderMap) {
        self.status = status.as_u16();
        self.headers = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect();
    }
}

/// How a response arrives.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub pieces: &'a [&'a [u8]],
    /// The connection stays open after the last piece; otherwise it ends.
    pub open: bool,
}

/// What the direct lane makes of the answer to a request of `method`. `stopping`: whoever takes the pieces of the body
/// says no after each of them.
pub fn direct(method: &Method, arrival: Arrival<'_>, stopping: bool) -> Outcome {
    let mut outcome = Outcome::new(End::NeedsMore);
    let mut pieces = arrival.pieces.iter();
    let mut parser = HeadParser::default();
    let (head, carry) = loop {
        let Some(piece) = pieces.next() else {
            if !arrival.open {
                outcome.end = match parser.end() {
                    HeadError::Incomplete => End::Cut,
                    _ => End::BadHead,
                };
            }
            return outcome;
        };
        match parser.feed(piece) {
            Ok(Some(begun)) => break begun,
            Ok(None) => {}
            Err(_) => return Outcome::new(End::BadHead),
        }
    };
    let Ok(mut body) = BodyDecoder::new(&head, method) else {
        return Outcome::new(End::BadHead);
    };
    outcome.begin(head.status, &head.headers);
    outcome.reusable = head.keeps_alive();
    for piece in std::iter::once(&carry[..]).chain(pieces.copied()) {
        let mut rest = piece;
        while !rest.is_empty() && !body.is_complete() {
            let fed = body.feed(rest, |data| {
                outcome.body.extend_from_slice(data);
                !stopping
            });
            let Ok(used) = fed else {
                outcome.end = End::BadFraming;
                outcome.reusable = false;
                return outcome;
            };
            assert!(used > 0, "no byte of {rest:?} was used");
            rest = &rest[used..];
        }
        outcome.reusable &= rest.is_empty();
    }
    let until_end = matches!(body, BodyDecoder::Eof(_));
    outcome.end = match (body.is_complete(), arrival.open) {
        (true, _) => End::Complete,
        (false, true) => End::NeedsMore,
        (false, false) => {
            body.end();
            if body.is_complete() {
                End::Complete
            } else {
                End::Cut
            }
        }
    };
    outcome.reusable &= outcome.end == End::Complete && arrival.open && !until_end;
    outcome
}

/// What hyper makes of the answer to a request of `method`.
pub fn general(method: &Method, arrival: Arrival<'_>) -> Outcome {
    let moves = Arc::new(AtomicUsize::new(0));
    let script = Script {
        pieces: arrival
            .pieces
            .iter()
            .filter(|piece| !piece.is_empty())
            .map(|piece| Bytes::copy_from_slice(piece))
            .collect(),
        open: arrival.open,
        asked: false,
        moves: Arc::clone(&moves),
    };
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok((mut sender, connection))) =
        pin!(http1::handshake(script)).poll(&mut context)
    else {
        panic!("the handshake does no I/O");
    };
    let mut connection = pin!(connection);
    let mut connected = true;
    let request = Request::builder()
        .method(method)
        .header(HOST, "host")
        .body(Nothing)
        .unwrap();
    let mut response = pin!(sender.send_request(request));

    // Nothing wakes anybody: all are polled until nothing moves any more.
    let mut turn = |context: &mut Context<'_>| {
        if connected {
            connected = connection.as_mut().poll(context).is_pending();
        }
    };
    let mut patience = Patience::new(&moves);
    let received = loop {
        turn(&mut context);
        if let Poll::Ready(received) = response.as_mut().poll(&mut context) {
            break received;
        }
        if patience.is_over() {
            return Outcome::new(End::NeedsMore);
        }
    };
    let received = match received {
        Ok(received) => received,
        Err(error) if error.is_parse() => return Outcome::new(End::BadHead),
        Err(error) if error.is_incomplete_message() => return Outcome::new(End::Cut),
        Err(error) => panic!("{error:?}"),
    };
    let mut outcome = Outcome::new(End::NeedsMore);
    outcome.begin(received.status(), received.headers());
    let mut body = received.into_body();
    let mut patience = Patience::new(&moves);
    loop {
        match Pin::new(&mut body).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    outcome.body.extend_from_slice(data);
                }
                patience = Patience::new(&moves);
            }
            Poll::Ready(Some(Err(error))) => {
                outcome.end = if is_cut(&error) {
                    End::Cut
                } else {
                    End::BadFraming
                };
                return outcome;
            }
            Poll::Ready(None) => break,
            Poll::Pending => {
                if patience.is_over() {
                    return outcome;
                }
            }
        }
        turn(&mut context);
    }
    outcome.end = End::Complete;
    let mut patience = Patience::new(&moves);
    while !patience.is_over() {
        turn(&mut context);
    }
    outcome.reusable = matches!(sender.poll_ready(&mut context), Poll::Ready(Ok(())));
    outcome
}

fn is_cut(error: &hyper::Error) -> bool {
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    error.is_incomplete_message()
        || cause.is_some_and(|cause| cause.kind() == io::ErrorKind::UnexpectedEof)
}

/// Ends when nothing was read for some turns.
struct Patience<'a> {
    moves: &'a AtomicUsize,
    seen: usize,
    left: u8,
}

impl<'a> Patience<'a> {
    const TURNS: u8 = 4;

    fn new(moves: &'a AtomicUsize) -> Self {
        Self {
            moves,
            seen: moves.load(Ordering::Relaxed),
            left: Self::TURNS,
        }
    }

    fn is_over(&mut self) -> bool {
        let moves = self.moves.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.seen, moves) != moves {
            self.left = Self::TURNS;
        }
        self.left -= 1;
        self.left == 0
    }
}

/// A connection on which the pieces arrive one by one. What is sent is lost.
struct Script {
    pieces: VecDeque<Bytes>,
    open: bool,
    /// Nothing arrives before the request has gone out.
    asked: bool,
    moves: Arc<AtomicUsize>,
}

impl Read for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.asked {
            return Poll::Pending;
        }
        let Some(piece) = self.pieces.front_mut() else {
            return if self.open {
                Poll::Pending
            } else {
                Poll::Ready(Ok(()))
            };
        };
        let length = piece.len().min(buffer.remaining());
        buffer.put_slice(&piece.split_to(length));
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        self.moves.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl Write for Script {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.asked = true;
        self.moves.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The body of a request that has none.
struct Nothing;

impl hyper::body::Body for Nothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}

/// Panics unless both lanes make the same of `bytes`, which arrive in one piece, and the direct lane makes the same of
/// them in `pieces`.
pub fn compare(method: &Method, bytes: &[u8], pieces: &[&[u8]]) {
    let whole = [bytes];
    let whole = |open| Arrival {
        pieces: &whole,
        open,
    };
    let cut = |open| Arrival { pieces, open };
    let shown = || {
        let lengths: Vec<usize> = pieces.iter().map(|piece| piece.len()).collect();
        format!(
            "{method} {:?} in pieces of {lengths:?}",
            bytes.escape_ascii().to_string()
        )
    };
    for open in [false, true] {
        let expected = general(method, whole(open));
        let mut found = direct(method, whole(open), false);
        // Permitted: a connection of HTTP/1.0 is never used again, because another request on it would have to be one
        // of HTTP/1.0 as well; hyper sends those.
        if !found.reusable && memchr::memmem::find(bytes, b"HTTP/1.0").is_some() {
            found.reusable = expected.reusable;
        }
        assert_eq!(found, expected, "direct (left) and general: {}", shown());
        let stopping = direct(method, whole(open), true);
        assert_eq!(stopping.body, expected.body, "with pauses: {}", shown());
        assert_eq!(stopping.end, expected.end, "with pauses: {}", shown());

        let mut found = direct(method, cut(open), false);
        // Permitted: on an open connection a mistake in a head is seen with the end of its line.
        if open && expected.end == End::BadHead && found.end == End::NeedsMore {
            found.end = End::BadHead;
        }
        if !found.reusable {
            found.reusable =
                expected.reusable && memchr::memmem::find(bytes, b"HTTP/1.0").is_some();
        }
        assert_eq!(found, expected, "cut (left) and whole: {}", shown());

        let mut found = general(method, cut(open));
        // Hyper looks at the rest of a head only when its end has come.
        if expected.end == End::BadHead && matches!(found.end, End::Cut | End::NeedsMore) {
            found.end = End::BadHead;
        }
        assert_eq!(found, expected, "hyper, cut (left) and whole: {}", shown());
    }
}
