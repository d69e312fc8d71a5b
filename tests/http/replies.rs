//! Streams, well-formed and not, and what a pump makes of each.

use std::time::Duration;

use metagpt_ollama_rs::error::{Kind, Repeat};
use metagpt_ollama_rs::http::PumpMode;

use crate::server::{
    DONE, Do, STREAM, Server, chat, chunk, kind, line, made, post, pump, read_all, reply, runtime,
    streamed,
};

/// What a pumped reply comes to.
struct Outcome {
    text: &'static str,
    kind: Option<Kind>,
    status: Option<u16>,
    /// Must occur in the message.
    says: &'static str,
}

fn good(text: &'static str) -> Outcome {
    Outcome {
        text,
        kind: None,
        status: None,
        says: "",
    }
}

fn bad(text: &'static str, kind: Kind, says: &'static str) -> Outcome {
    Outcome {
        text,
        kind: Some(kind),
        status: Some(200),
        says,
    }
}

fn refused(kind: Kind, status: u16, says: &'static str) -> Outcome {
    Outcome {
        text: "",
        kind: Some(kind),
        status: Some(status),
        says,
    }
}

/// A reply whose head cannot be read.
fn headless(says: &'static str) -> Outcome {
    Outcome {
        text: "",
        kind: Some(Kind::Protocol),
        status: None,
        says,
    }
}

/// Checks each row twice: the server closes after its reply, and the server keeps the connection open. In the second
/// case a reply without an end must run into the idle limit instead of hanging.
fn check(name: &str, bytes: &str, closed: &Outcome, open: &Outcome) {
    for (outcome, last) in [(closed, None), (open, Some(Do::SeeEnd))] {
        let mut script = vec![Do::Read, Do::send(bytes)];
        let held = last.is_some();
        script.extend(last);
        let server = Server::start(vec![script]);
        let mut config = server.config();
        config.timeouts.idle = Duration::from_millis(500);
        let (answer, end) = chat(&made(config).unwrap());
        let context = format!(
            "{name}, {}: {end:?}",
            if held { "held open" } else { "closed" }
        );
        assert_eq!(answer.content, outcome.text, "{context}");
        assert_eq!(kind(&end), outcome.kind, "{context}");
        if let Err(error) = end {
            assert_eq!(error.status, outcome.status, "{context}");
            // A reply had begun, and is not asked for again, unless the server refused the request.
            if error.kind != Kind::Status {
                assert_eq!(error.repeat, Repeat::Never, "{context}");
            }
            assert!(error.message.contains(outcome.says), "{context}");
            assert_eq!(
                error.url.as_deref(),
                Some(format!("http://{}/api/chat", server.address).as_str()),
                "{context}"
            );
        }
        assert_eq!(server.seen().len(), 1, "{context}");
    }
}

/// A row whose outcome does not depend on whether the connection stays open.
fn row(name: &str, bytes: &str, outcome: &Outcome) {
    check(name, bytes, outcome, outcome);
}

#[test]
fn complete_streams() {
    let (hi, done) = (line("Hi"), DONE);
    let body = format!("{hi}{done}");
    let sized = |head: &str| {
        format!(
            "HTTP/1.1 200 OK\r\n{head}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    row("chunks", &streamed("Hi"), &good("Hi"));
    row(
        "one chunk",
        &format!("{STREAM}{}0\r\n\r\n", chunk(&body)),
        &good("Hi"),
    );
    row(
        "interim replies",
        &format!(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{}",
            streamed("Hi")
        ),
        &good("Hi"),
    );
    row(
        "a length",
        &sized("Content-Type: application/x-ndjson\r\n"),
        &good("Hi"),
    );
    row(
        "the same length twice",
        &sized(&format!("Content-Length: {}\r\n", body.len())),
        &good("Hi"),
    );
    row("no type", &sized(""), &good("Hi"));
    row(
        "plain text",
        &sized("Content-Type: text/plain; charset=utf-8\r\n"),
        &good("Hi"),
    );
    row(
        "octets",
        &sized("Content-Type: application/octet-stream\r\n"),
        &good("Hi"),
    );
    row(
        "JSON",
        &sized("Content-Type: application/json; charset=utf-8\r\n"),
        &good("Hi"),
    );
    row(
        "identity",
        &sized("Content-Encoding: identity\r\n"),
        &good("Hi"),
    );
    row(
        "identity, again and again",
        &sized(
            "Content-Encoding: Identity\r\nContent-Encoding:\r\nContent-Encoding: identity, , IDENTITY\r\n",
        ),
        &good("Hi"),
    );
    row(
        "one object",
        &reply(
            "200 OK",
            "application/json",
            &line("Hi").replace("false", "true"),
        ),
        &good("Hi"),
    );
    row(
        "no newline at the end",
        &format!("{STREAM}{}0\r\n\r\n", chunk(body.trim_end())),
        &good("Hi"),
    );
    row(
        "blank lines and CRLF",
        &format!(
            "{STREAM}{}0\r\n\r\n",
            chunk(&format!("\r\n\n{}", body.replace('\n', "\r\n")))
        ),
        &good("Hi"),
    );
    row(
        "trailers",
        &format!("{STREAM}{}0\r\nX-Sum: 1\r\n\r\n", chunk(&body)),
        &good("Hi"),
    );
    row(
        "a chunk extension",
        &format!(
            "{STREAM}{};a=b\r\n{body}\r\n0\r\n\r\n",
            format_args!("{:X}", body.len())
        ),
        &good("Hi"),
    );
    row(
        "no newline of its own in a chunk",
        &format!(
            "{STREAM}{}{}0\r\n\r\n",
            chunk(&body[..50]),
            chunk(&body[50..])
        ),
        &good("Hi"),
    );
    row(
        "data after the last line",
        &format!("{STREAM}{}0\r\n\r\n", chunk(&format!("{body}{hi}"))),
        &good("Hi"),
    );
    row(
        "garbage after the last line",
        &format!("{STREAM}{}0\r\n\r\n", chunk(&format!("{body}oops"))),
        &good("Hi"),
    );
    let event = "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"finish_reason\":null}]}\n\ndata: [DONE]\n\n";
    row(
        "events",
        &format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
            chunk(event)
        ),
        &good("Hi"),
    );
}

#[test]
fn complete_streams_with_a_loose_end() {
    let body = format!("{}{DONE}", line("Hi"));
    row(
        "no last chunk",
        &format!("{STREAM}{}", chunk(&body)),
        &good("Hi"),
    );
    row(
        "a broken chunk",
        &format!("{STREAM}{}zz\r\n", chunk(&body)),
        &good("Hi"),
    );
    row(
        "less than promised",
        &format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len() + 9
        ),
        &good("Hi"),
    );
    row(
        "HTTP/1.0",
        &format!("HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n{body}"),
        &good("Hi"),
    );
    row(
        "no length at all",
        &format!("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n{body}"),
        &good("Hi"),
    );
}

#[test]
fn streams_that_end_badly() {
    let hi = line("Hi");
    let idle = bad("Hi", Kind::Timeout, "idle");
    let cut = bad("Hi", Kind::Interrupted, "broke off");
    row(
        "no last line",
        &format!("{STREAM}{}0\r\n\r\n", chunk(&hi)),
        &bad("Hi", Kind::Incomplete, "done: true"),
    );
    row(
        "done: false",
        &reply("200 OK", "application/json", &hi),
        &bad("Hi", Kind::Incomplete, "done: true"),
    );
    row(
        "an error line",
        &format!(
            "{STREAM}{}{}0\r\n\r\n",
            chunk(&hi),
            chunk("{\"error\":\"it broke\"}\n")
        ),
        &bad("Hi", Kind::MidStream, "it broke"),
    );
    row(
        "an error line without newline",
        &format!(
            "{STREAM}{}{}0\r\n\r\n",
            chunk(&hi),
            chunk("{\"error\":\"it broke\"}")
        ),
        &bad("Hi", Kind::MidStream, "it broke"),
    );
    row(
        "an error first",
        &format!("{STREAM}{}0\r\n\r\n", chunk("{\"error\":\"it broke\"}\n")),
        &bad("", Kind::MidStream, "it broke"),
    );
    row(
        "an error and text in one chunk",
        &format!(
            "{STREAM}{}0\r\n\r\n",
            chunk(&format!("{hi}{{\"error\":\"it broke\"}}\n{hi}"))
        ),
        &bad("Hi", Kind::MidStream, "it broke"),
    );
    row(
        "an error after the last line",
        &format!(
            "{STREAM}{}0\r\n\r\n",
            chunk(&format!("{hi}{DONE}{{\"error\":\"it broke\"}}\n"))
        ),
        &bad("Hi", Kind::MidStream, "it broke"),
    );
    row(
        "a line that is no JSON",
        &format!(
            "{STREAM}{}{}0\r\n\r\n",
            chunk(&hi),
            chunk("upstream gone\n")
        ),
        &bad("Hi", Kind::Decode, "upstream gone"),
    );
    row(
        "a line that is no object",
        &format!("{STREAM}{}{}0\r\n\r\n", chunk(&hi), chunk("[1]\n")),
        &bad("Hi", Kind::Decode, "[1]"),
    );
    check(
        "no last chunk",
        &format!("{STREAM}{}", chunk(&hi)),
        &cut,
        &idle,
    );
    check(
        "cut in a chunk",
        &format!("{STREAM}{}40\r\n{{\"mo", chunk(&hi)),
        &cut,
        &idle,
    );
    check(
        "cut in a chunk's size",
        &format!("{STREAM}{}4", chunk(&hi)),
        &cut,
        &idle,
    );
    check(
        "less than promised",
        &format!("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{hi}"),
        &cut,
        &idle,
    );
    check(
        "HTTP/1.0 without a last line",
        &format!("HTTP/1.0 200 OK\r\n\r\n{hi}"),
        &bad("Hi", Kind::Incomplete, "done: true"),
        &idle,
    );
    check(
        "no length and no last line",
        &format!("HTTP/1.1 200 OK\r\n\r\n{hi}"),
        &bad("Hi", Kind::Incomplete, "done: true"),
        &idle,
    );
}

#[test]
fn broken_framing() {
    let hi = line("Hi");
    let broken = |text| bad(text, Kind::Protocol, "framing");
    row(
        "no size",
        &format!("{STREAM}{}zz\r\n", chunk(&hi)),
        &broken("Hi"),
    );
    row(
        "a negative size",
        &format!("{STREAM}-5\r\nhello\r\n"),
        &broken(""),
    );
    row(
        "a huge size",
        &format!("{STREAM}ffffffffffffffffff\r\nhello"),
        &broken(""),
    );
    row(
        "a chunk longer than its size",
        &format!("{STREAM}2\r\nhello\r\n0\r\n\r\n"),
        &broken(""),
    );
    row(
        "two lengths",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        &headless("no valid HTTP"),
    );
    row(
        "a negative length",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        &headless("no valid HTTP"),
    );
    row(
        "a length that is none",
        "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
        &headless("no valid HTTP"),
    );
    row(
        "length and chunks",
        &format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
            chunk(&hi)
        ),
        &bad(
            "",
            Kind::Protocol,
            "both Content-Length and Transfer-Encoding",
        ),
    );
    row(
        "an unknown coding",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: zip\r\n\r\nhello",
        &bad("", Kind::Protocol, "Transfer-Encoding"),
    );
    row(
        "gzip nobody asked for",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x08\x01\x02",
        &bad("", Kind::Protocol, "compressed"),
    );
    for codings in [
        "Content-Encoding: identity\r\nContent-Encoding: gzip",
        "Content-Encoding: gzip\r\nContent-Encoding: identity",
        "Content-Encoding: identity, br",
        "Content-Encoding: ,\tzstd",
        "Content-Encoding:\r\nContent-Encoding: DEFLATE",
        "Content-Encoding: \u{e9}",
    ] {
        row(
            codings,
            &format!(
                "HTTP/1.1 200 OK\r\n{codings}\r\nContent-Length: {}\r\n\r\n{hi}",
                hi.len()
            ),
            &bad("", Kind::Protocol, "compressed"),
        );
    }
    for codings in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: zip",
        "Transfer-Encoding: zip\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
    ] {
        row(
            codings,
            &format!(
                "HTTP/1.1 200 OK\r\n{codings}\r\n\r\n{}0\r\n\r\n",
                chunk(&hi)
            ),
            &bad("", Kind::Protocol, "Transfer-Encoding"),
        );
    }
    row(
        "HTTP/1.0 with chunks",
        &format!(
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
            chunk(&hi)
        ),
        &headless("no valid HTTP"),
    );
}

#[test]
fn no_http_at_all() {
    let garbage = headless("no valid HTTP");
    row("text", "hello, who are you?\r\n\r\n", &garbage);
    row("TLS", "\x15\x03\x01\x00\x02\x02\x16", &garbage);
    row("HTTP/0.9", "<html>hi</html>\r\n", &garbage);
    row("HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", &garbage);
    row("a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", &garbage);
    row("a status of letters", "HTTP/1.1 abc OK\r\n\r\n", &garbage);
    row(
        "a header without a name",
        "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        &garbage,
    );
    row(
        "a NUL in a header",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        &garbage,
    );
    row(
        "a huge header",
        &format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)),
        &garbage,
    );
    row(
        "too many headers",
        &format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(500)),
        &garbage,
    );
}

#[test]
fn replies_that_are_no_stream() {
    row(
        "a web page",
        &reply(
            "200 OK",
            "text/html; charset=utf-8",
            "<html>Welcome to nginx!</html>",
        ),
        &refused(Kind::Protocol, 200, "web page"),
    );
    row(
        "an image",
        &reply("200 OK", "image/png", "PNG"),
        &refused(Kind::Protocol, 200, "image/png"),
    );
    row(
        "Ollama is running",
        &reply("200 OK", "text/plain; charset=utf-8", "Ollama is running"),
        &refused(Kind::Protocol, 200, "Ollama is running"),
    );
    row(
        "nothing",
        &reply("200 OK", "application/json", ""),
        &refused(Kind::Protocol, 200, "empty"),
    );
    row(
        "no chunk",
        &format!("{STREAM}0\r\n\r\n"),
        &refused(Kind::Protocol, 200, "empty"),
    );
    row(
        "204",
        "HTTP/1.1 204 No Content\r\n\r\n",
        &refused(Kind::Protocol, 204, "empty"),
    );
    row(
        "101",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        &refused(Kind::Protocol, 101, "101"),
    );
    row(
        "304",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
        &refused(Kind::Protocol, 304, "304"),
    );
    row(
        "999",
        &reply("999 Odd", "application/json", "{}"),
        &refused(Kind::Protocol, 999, "999"),
    );
}

#[test]
fn lines_longer_than_the_cap() {
    for mode in [PumpMode::Deltas, PumpMode::RawLines] {
        let server = Server::answering(format!(
            "{STREAM}{}0\r\n\r\n",
            chunk(&line(&"x".repeat(5000)))
        ));
        let mut config = server.config();
        config.max_line = 1000;
        let client = made(config).unwrap();
        let runtime = runtime();
        let inbox = pump(&runtime, &client, post("/api/chat", "{}"), mode);
        let (_, end) = read_all(&inbox);
        assert_eq!(kind(&end), Some(Kind::Decode));
        server.seen();
    }
}

#[test]
fn a_reply_cut_anywhere_is_an_answer_only_after_its_last_line() {
    let whole = streamed("Hi");
    let head = STREAM.len();
    let first = head + chunk(&line("Hi")).len() - 2;
    let last = whole.len() - "\r\n0\r\n\r\n".len();
    let (runtime, server) = (
        runtime(),
        Server::start(
            (0..=whole.len())
                .map(|cut| vec![Do::Read, Do::send(&whole[..cut])])
                .collect(),
        ),
    );
    let client = server.client();
    for cut in 0..=whole.len() {
        let inbox = pump(&runtime, &client, post("/api/chat", "{}"), PumpMode::Deltas);
        let (answer, end) = read_all(&inbox);
        let expected = match cut {
            _ if cut < head => Some(Kind::Connect),
            _ if cut < last => Some(Kind::Interrupted),
            _ => None,
        };
        assert_eq!(kind(&end), expected, "cut at {cut}: {end:?}");
        assert_eq!(
            answer.content,
            if cut < first { "" } else { "Hi" },
            "cut at {cut}"
        );
    }
    server.seen();
}

#[test]
fn a_reply_with_any_byte_changed_ends() {
    let whole = streamed("Hi").into_bytes();
    for byte in [0, b' ', b'9', b'\n', 0xff] {
        let changed = (0..whole.len()).map(|at| {
            let mut reply = whole.clone();
            reply[at] = byte;
            vec![Do::Read, Do::send(reply)]
        });
        let (runtime, server) = (runtime(), Server::start(changed.collect()));
        let client = server.client();
        for at in 0..whole.len() {
            let inbox = pump(&runtime, &client, post("/api/chat", "{}"), PumpMode::Deltas);
            let (answer, end) = read_all(&inbox);
            if end.is_ok() {
                assert!(
                    answer.content.chars().count() <= 2,
                    "byte {at} as {byte}: {answer:?}"
                );
            }
        }
        server.seen();
    }
}
