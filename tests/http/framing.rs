//! What the direct lane's parsers accept and refuse is what hyper, the general lane's, accepts and refuses. Here are
//! the ways to compare the two, and responses that were broken at random; `head_parser`, `body_decoder` and `chunked`
//! have the responses that somebody has thought of.

use hyper::Method;
use proptest::prelude::*;

use crate::body_decoder::BODIES;
use crate::chunked;
use crate::head_parser::HEADS;
use crate::oracle::{Arrival, End, Outcome, compare, direct, general};

/// The bytes of `response`, each character of which is one byte (Latin-1).
fn latin_1(response: &str) -> Vec<u8> {
    response
        .chars()
        .map(|character| u8::try_from(character).unwrap_or(b'?'))
        .collect()
}

/// Compares both lanes on each of `responses`: whole, at every cut, byte by byte, and on every beginning of it.
pub fn compare_at_every_cut(responses: &[impl AsRef<str>]) {
    for response in responses {
        let response = latin_1(response.as_ref());
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

/// Compares both lanes on a response that is too large for every cut.
pub fn compare_large(bytes: &[u8], expected: End) {
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

/// All responses that somebody has thought of.
fn responses() -> Vec<Vec<u8>> {
    let chunked = chunked::responses();
    let chunked = chunked.iter().map(|response| latin_1(response));
    HEADS
        .iter()
        .chain(BODIES)
        .map(|response| latin_1(response))
        .chain(chunked)
        .collect()
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
