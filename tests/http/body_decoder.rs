//! `direct::body_decoder` finds the end of a body where hyper finds it.

use crate::framing::compare_at_every_cut;

/// Responses without a body, with one until the end of the connection, with lengths and with codings, legal and
/// illegal.
pub const BODIES: &[&str] = &[
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
];

#[test]
fn both_lanes_read_the_same_bodies_at_every_cut() {
    compare_at_every_cut(BODIES);
}
