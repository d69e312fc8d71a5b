//! `direct::head_parser` accepts and refuses what hyper accepts and refuses.

use hyper::Method;
use metagpt_ollama_rs::http::direct::head_parser::{HeadError, HeadParser};

use crate::framing::{compare_at_every_cut, compare_large};
use crate::oracle::{Arrival, End, direct, general};

/// Status lines, line ends, header lines, interim responses and connections, legal and illegal.
pub const HEADS: &[&str] = &[
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

#[test]
fn both_lanes_read_the_same_heads_at_every_cut() {
    compare_at_every_cut(HEADS);
}

#[test]
fn both_lanes_have_the_same_limits() {
    for (lines, expected) in [(100, End::Complete), (101, End::BadHead)] {
        let lines = "X: y\r\n".repeat(lines - 1);
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{lines}\r\n");
        compare_large(response.as_bytes(), expected);
    }
    for (length, expected) in [((1 << 16) - 1, End::Complete), (1 << 16, End::BadHead)] {
        let name = "n".repeat(length);
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{name}: x\r\n\r\n");
        compare_large(response.as_bytes(), expected);
    }
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
