//! `direct::chunked` accepts and refuses what hyper accepts and refuses.

use hyper::Method;

use crate::framing::{compare_at_every_cut, compare_large};
use crate::oracle::{Arrival, End, Outcome, direct};

/// Chunked bodies, legal and illegal.
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

/// A response with `body` behind its head.
fn response(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
}

pub fn responses() -> Vec<String> {
    CHUNKED.iter().map(|body| response(body)).collect()
}

#[test]
fn both_lanes_read_the_same_chunks_at_every_cut() {
    compare_at_every_cut(&responses());
}

#[test]
fn both_lanes_have_the_same_limits() {
    for (lines, expected) in [(100, End::Complete), (101, End::BadFraming)] {
        compare_large(
            response(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(lines))).as_bytes(),
            expected,
        );
    }
    let limit = 16 << 10;
    for (length, expected) in [(limit - 1, End::Complete), (limit, End::BadFraming)] {
        // All extensions count together.
        let half = length / 2;
        let (one, other) = ("x".repeat(half), "x".repeat(length - half));
        compare_large(
            response(&format!("1;{one}\r\na\r\n0;{other}\r\n\r\n")).as_bytes(),
            expected,
        );
        // "X: ", two line ends.
        let trailer = "y".repeat(length - 7);
        compare_large(
            response(&format!("0\r\nX: {trailer}\r\n\r\n")).as_bytes(),
            expected,
        );
    }
}

/// hyper reads zeros and white space of a size for as long as they come; the direct lane, in an event loop, does not.
#[test]
fn the_line_of_a_size_has_an_end() {
    let limit = 16 << 10;
    for filler in ["0", " ", "\t"] {
        for (length, expected) in [(limit - 2, End::Complete), (limit - 1, End::BadFraming)] {
            let bytes = response(&format!("0{}\r\n\r\n", filler.repeat(length))).into_bytes();
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
        response(&format!("{}0\r\n\r\n", padded.repeat(3))).as_bytes(),
        End::Complete,
    );
}
