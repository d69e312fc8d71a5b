//! The direct lane's parser accepts and refuses what hyper, the general lane's, accepts and refuses.

use hyper::Method;
use metagpt_ollama_rs::http::direct::head_parser::{HeadError, HeadParser};
use proptest::prelude::*;

use crate::oracle::{Arrival, End, Outcome, compare, direct, general};

/// Heads and bodies, legal and illegal. Every one is tried whole and at every cut, and so is every beginning of it.
const RESPONSES: &[&str] = &[
    "",
    // Status lines.
    "HTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.1 200  Two  Words \r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 \u{e9}\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 a\tb\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 a\0b\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n",
    "HTTP/1.1\t200 OK\r\n\r\n",
    "HTTP/1.1 2x0 OK\r\n\r\n",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 000 None\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 999 High\r\nContent-Length: 1\r\n\r\nx",
    "HTTP/1.2 200 OK\r\n\r\n",
    "HTTP/2.0 200 OK\r\n\r\n",
    "HTTP/0.9 200 OK\r\n\r\n",
    "http/1.1 200 OK\r\n\r\n",
    "HTTP/1.1200 OK\r\n\r\n",
    " HTTP/1.1 200 OK\r\n\r\n",
    "<html>no HTTP at all</html>",
    "\x15\x03\x01\x00\x02\x02\x0a",
    "\r\n\r\n\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
    "\r\rHTTP/1.1 200 OK\r\n\r\n",
    "\r\n\r",
    "\n",
    // Line ends.
    "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    "HTTP/1.1 200 OK\nContent-Length: 2\r\n\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nhi",
    "HTTP/1.1 200 OK\rContent-Length: 2\r\rhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\rhi",
    "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
    // Header lines.
    "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent Length: 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\n: empty\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX:\r\nY: \r\nZ: \t \r\nContent-Length:2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nX: \u{e9}\u{ff}\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX\u{e9}: a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\x7fb\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\x1fb\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\tb  \r\nX: c\r\nx: d\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\n!#$%&'*+-.^_`|~09azAZ: a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\"X\": a\r\nContent-Length: 0\r\n\r\n",
    // Interim responses.
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.1 100 Continue\r\n\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 199 Odd\r\nbad line\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 102 Processing\r\n\r\n",
    "HTTP/1.0 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw",
    "HTTP/1.1 101 Switching Protocols\r\nContent-Length: 3\r\n\r\nraw",
    // No body.
    "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: x\r\n\r\n",
    "HTTP/1.1 205 Reset\r\nContent-Length: 1\r\n\r\nx",
    "HTTP/1.0 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
    // Until the end.
    "HTTP/1.1 200 OK\r\nX: y\r\n\r\nuntil the end",
    "HTTP/1.0 200 OK\r\n\r\nuntil the end",
    "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhi",
    // Lengths.
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi and more",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 02\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 2 ,\t2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 2,\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: ,2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 2 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 2.0\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: \u{664}\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 00000000000000000000000000000002\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551613\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551614\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nhi",
    // Codings.
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3\r\n\r\n\0\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding:\tCHUNKED\t\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip,\tchunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked,\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked;q=1\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: \"chunked\"\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: \u{e9}, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    // Connections.
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive, CLOSE\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\nConnection: x\r\nConnection:close\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: closed, \"close\", close;x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection:\t close\t,x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: \u{e9}, close\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: close, keep-alive\r\n\r\n",
];

/// Chunked bodies.
const CHUNKED: &[&str] = &[
    "0\r\n\r\n",
    "0\r\n\r\nmore",
    "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
    "0005\r\nhello\r\n00000000000000000000000000005\r\nhello\r\n0000000\r\n\r\n",
    "ffffffffffffffff\r\nx",
    "10000000000000000\r\nx",
    "fffffffffffffffff\r\nx",
    "fffff\r\nx",
    "5\r\nhello0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhello\r0\r\n\r\n",
    "5\r\nhell\r\n0\r\n\r\n",
    "5\r\nhello!\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n",
    "5\rhello\r\n0\r\n\r\n",
    "\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n\r\n0\r\n\r\n",
    "g\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "5 \t\r\nhello\r\n0 \r\n\r\n",
    "5 5\r\nhello\r\n0\r\n\r\n",
    "5 ;x\r\nhello\r\n0\r\n\r\n",
    "5;\r\nhello\r\n0;last\r\n\r\n",
    "5;name=\"value;\\\"\"; y\r\nhello\r\n0\r\n\r\n",
    "5;na\nme\r\nhello\r\n0\r\n\r\n",
    "5;na\rme\r\nhello\r\n0\r\n\r\n",
    "5;\u{e9}\0\r\nhello\r\n0\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
    "0\r\nX: y\r\nX: z\r\nY:\r\n\r\n",
    "0\r\nX: y\n\r\n\r\n",
    "0\r\nX: y\nZ: a\r\n\r\n",
    "0\r\nX: y\n\nZ: a\r\n\r\n",
    "0\r\n\nX: y\r\n\r\n",
    "0\r\n\n\r\n\r\n",
    "0\r\nX : y\r\n\r\n",
    "0\r\n: y\r\n\r\n",
    "0\r\nno colon\r\n\r\n",
    "0\r\nX: y\r\n folded\r\n\r\n",
    "0\r\nX: a\0\r\n\r\n",
    "0\r\nX: \u{e9}\r\n\r\n",
    "0\r\nX\u{e9}: a\r\n\r\n",
    "0\r\nX: y\rz\r\n\r\n",
    "0\r\nX: y\r\n\rz",
    "0\r\n\rz",
    "0\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\n\r\n",
    "2\r\nhi\r\n0\r\n",
    "2\r\nhi\r\n",
    "z",
];

fn responses() -> Vec<Vec<u8>> {
    let chunked = CHUNKED
        .iter()
        .map(|body| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
    RESPONSES
        .iter()
        .map(|response| (*response).to_owned())
        .chain(chunked)
        // Latin-1, so that one character is one byte.
        .map(|text| {
            text.chars()
                .map(|c| u8::try_from(c).unwrap_or(b'?'))
                .collect()
        })
        .collect()
}

#[test]
fn both_lanes_read_the_same_at_every_cut() {
    for response in responses() {
        for method in [Method::GET, Method::HEAD] {
            let single: Vec<&[u8]> = response.chunks(1).collect();
            compare(&method, &response, &single);
            for cut in 0..response.len() {
                let (first, second) = response.split_at(cut);
                compare(&method, &response, &[first, second]);
                compare(&method, first, &[first]);
            }
        }
    }
}

/// What mutations put in.
const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b"0",
    b"1",
    b"f",
    b" ",
    b"\t",
    b",",
    b";",
    b":",
    b"\0",
    b"\xff",
    b"\x7f",
    b"HTTP/1.1 100 C\r\n\r\n",
    b"HTTP/1.0",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"X: y\r\n",
    b"0\r\n\r\n",
    b"5;x\r\nhello\r\n",
];

#[derive(Clone, Debug)]
enum Mutation {
    Set(usize, u8),
    Delete(usize, usize),
    Insert(usize, usize),
    Repeat(usize, usize),
}

impl Mutation {
    fn any() -> impl Strategy<Value = Self> {
        let at = any::<usize>();
        prop_oneof![
            (at, any::<u8>()).prop_map(|(at, byte)| Self::Set(at, byte)),
            (at, 1..4_usize).prop_map(|(at, length)| Self::Delete(at, length)),
            (at, 0..TOKENS.len()).prop_map(|(at, token)| Self::Insert(at, token)),
            (at, 1..9_usize).prop_map(|(at, length)| Self::Repeat(at, length)),
        ]
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: usize| at % (bytes.len() + 1);
        match *self {
            Self::Set(at, new) => {
                let at = place(at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = new;
                }
            }
            Self::Delete(at, length) => {
                let at = place(at);
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Self::Insert(at, token) => {
                let at = place(at);
                bytes.splice(at..at, TOKENS[token].iter().copied());
            }
            Self::Repeat(at, length) => {
                let at = place(at);
                let again = bytes[at..(at + length).min(bytes.len())].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_lanes_read_broken_responses_the_same(
        seed in any::<prop::sample::Index>(),
        mutations in prop::collection::vec(Mutation::any(), 1..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        head in any::<bool>(),
    ) {
        let responses = responses();
        let mut bytes = seed.get(&responses).clone();
        for mutation in mutations {
            mutation.apply(&mut bytes);
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts {
            pieces.push(&bytes[start..cut]);
            start = cut;
        }
        pieces.push(&bytes[start..]);
        compare(if head { &Method::HEAD } else { &Method::GET }, &bytes, &pieces);
    }
}

/// Compares both lanes on a response that is too large for every cut.
fn compare_large(bytes: &[u8], expected: End) {
    let sizes = [bytes.len().max(1), 1 << 16, 4095, 100, 1];
    for open in [false, true] {
        for size in sizes {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let arrival = Arrival {
                pieces: &pieces,
                open,
            };
            let found: Outcome = direct(&Method::GET, arrival, false);
            assert_eq!(found.end, expected, "direct, {} in {size}", bytes.len());
            let found = general(&Method::GET, arrival);
            assert_eq!(found.end, expected, "general, {} in {size}", bytes.len());
        }
    }
}

fn chunked(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}").into_bytes()
}

#[test]
fn both_lanes_have_the_same_limits() {
    for (lines, expected) in [(100, End::Complete), (101, End::BadHead)] {
        let lines = "X: y\r\n".repeat(lines - 1);
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{lines}\r\n");
        compare_large(response.as_bytes(), expected);
    }
    for (lines, expected) in [(100, End::Complete), (101, End::BadFraming)] {
        compare_large(
            &chunked(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(lines))),
            expected,
        );
    }
    let limit = 16 << 10;
    for (length, expected) in [(limit - 1, End::Complete), (limit, End::BadFraming)] {
        // All extensions count together.
        let half = length / 2;
        let (one, other) = ("x".repeat(half), "x".repeat(length - half));
        compare_large(
            &chunked(&format!("1;{one}\r\na\r\n0;{other}\r\n\r\n")),
            expected,
        );
        // "X: ", two line ends.
        let trailer = "y".repeat(length - 7);
        compare_large(&chunked(&format!("0\r\nX: {trailer}\r\n\r\n")), expected);
    }
    for (length, expected) in [((1 << 16) - 1, End::Complete), (1 << 16, End::BadHead)] {
        let name = "n".repeat(length);
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{name}: x\r\n\r\n");
        compare_large(response.as_bytes(), expected);
    }
}

/// hyper reads zeros and white space of a size for as long as they come; the direct lane, in an event loop, does not.
#[test]
fn the_line_of_a_size_has_an_end() {
    let limit = 16 << 10;
    for filler in ["0", " ", "\t"] {
        for (length, expected) in [(limit - 2, End::Complete), (limit - 1, End::BadFraming)] {
            let bytes = chunked(&format!("0{}\r\n\r\n", filler.repeat(length)));
            for size in [bytes.len(), 4095, 1] {
                let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
                let arrival = Arrival {
                    pieces: &pieces,
                    open: true,
                };
                let found: Outcome = direct(&Method::GET, arrival, false);
                assert_eq!(found.end, expected, "{length} of {filler:?} in {size}");
            }
        }
    }
    // Each line counts alone.
    let padded = format!("1{}\r\na\r\n", " ".repeat(limit / 2));
    compare_large(
        &chunked(&format!("{}0\r\n\r\n", padded.repeat(3))),
        End::Complete,
    );
}

/// The longest head: hyper's buffer may grow a little over its limit, so the two are not compared to the byte.
#[test]
fn a_head_may_be_long_but_not_endless() {
    let limit = 408 << 10;
    let of = |length: usize| {
        let rest = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: \r\n\r\n".len();
        let value = "y".repeat(length - rest);
        format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: {value}\r\n\r\n")
    };
    for (length, expected) in [(limit, End::Complete), (limit + 1, End::BadHead)] {
        let response = of(length);
        for size in [length, 1 << 18, 4096, 1] {
            let pieces: Vec<&[u8]> = response.as_bytes().chunks(size).collect();
            for open in [false, true] {
                let arrival = Arrival {
                    pieces: &pieces,
                    open,
                };
                let found = direct(&Method::GET, arrival, false).end;
                assert_eq!(found, expected, "{length} in {size}");
            }
        }
    }
    for length in [limit - 1, 2 * limit] {
        let response = of(length);
        let pieces: Vec<&[u8]> = response.as_bytes().chunks(4096).collect();
        let arrival = Arrival {
            pieces: &pieces,
            open: true,
        };
        let expected = general(&Method::GET, arrival).end;
        assert_eq!(direct(&Method::GET, arrival, false).end, expected);
    }
}

/// Feeds `piece` until that is refused, and says after how many bytes.
fn bytes_until_refused(piece: &[u8]) -> usize {
    let mut parser = HeadParser::default();
    parser.feed(b"HTTP/1.1 ").unwrap();
    for count in 1.. {
        match parser.feed(piece) {
            Ok(None) => {}
            Ok(Some(_)) => panic!("a head out of {:?}", piece.escape_ascii().to_string()),
            Err(fault) => {
                assert_eq!(fault, HeadError::TooLong);
                return count * piece.len();
            }
        }
    }
    unreachable!()
}

/// Whatever never becomes a head is refused, at the same length however small the pieces are. Read again from its start
/// with every byte, it would take minutes.
#[test]
fn what_never_becomes_a_head_is_refused() {
    let limit = 408 << 10;
    let interim = b"100 C\r\n\r\nHTTP/1.1 ";
    let hints = b"103 H\r\nA: b\r\nC: d\r\n\r\n\r\n\n\nHTTP/1.1 ";
    let reason = b"200 OK OK OK OK";
    for piece in [&interim[..], &hints[..]] {
        assert!(bytes_until_refused(piece).abs_diff(limit) < 64);
    }
    assert!(bytes_until_refused(&reason[..]).abs_diff(limit) < 64);

    for endless in [&interim[..], &hints[..]] {
        let mut parser = HeadParser::default();
        let mut fed = 0_usize;
        let refused = b"HTTP/1.1 "
            .iter()
            .chain(endless.iter().cycle())
            .find_map(|byte| {
                fed += 1;
                parser.feed(&[*byte]).err()
            });
        assert_eq!(refused, Some(HeadError::TooLong));
        assert!(fed.abs_diff(limit) < 64, "{fed}");
    }
    let mut parser = HeadParser::default();
    let empty = b"\r\n\n".iter().cycle();
    let refused = empty.clone().find_map(|byte| parser.feed(&[*byte]).err());
    assert_eq!(refused, Some(HeadError::TooLong));
}
