//! Where lines begin and end: white space, marks, caps, and event streams.

use metagpt_ollama_rs::wire::{Batch, Decoder, MAX_LINE, Outcome, StreamFormat, WireError};

use crate::support::{Reading, read, read_cut, read_with};

fn line(content: &str) -> String {
    format!(
        r#"{{"model":"m","created_at":"2026","message":{{"role":"assistant","content":"{content}"}},"done":false}}"#
    )
}

fn last() -> String {
    line("!").replace("false", "true")
}

/// Reads `body` whole and at every cut, and checks that the reading is always the same.
fn at_every_cut(body: &[u8]) -> Reading {
    let expected = read(body);
    for cut in 0..=body.len() {
        assert_eq!(
            read_cut(body, cut),
            expected,
            "{} cut at {cut}",
            String::from_utf8_lossy(body)
        );
    }
    expected
}

fn content(body: &[u8]) -> String {
    let reading = at_every_cut(body);
    assert_eq!(reading.error, None, "{}", String::from_utf8_lossy(body));
    assert_eq!(
        reading.answer.outcome,
        Outcome::Complete,
        "{}",
        String::from_utf8_lossy(body)
    );
    reading.answer.content
}

#[test]
fn line_ends_and_white_space() {
    let (one, two, end) = (line("a"), line("b"), last());
    for body in [
        format!("{one}\n{two}\n{end}\n"),
        format!("{one}\n{two}\n{end}"),
        format!("{one}\r\n{two}\r\n{end}\r\n"),
        format!("\n\n  \n{one}\n \t\r\n\n{two}\n\n{end}\n\n\n"),
        format!("  {one}  \n\t{two}\t\r\n {end}\r"),
        format!("\u{feff}{one}\n{two}\n{end}\n"),
        format!("\u{feff}\r\n{one}\n{two}\n{end}\n"),
    ] {
        assert_eq!(content(body.as_bytes()), "ab!", "{body:?}");
    }
}

#[test]
fn unicode_line_separators_are_text() {
    let text = "a\u{85}b\u{2028}c\u{2029}d\u{7f}e";
    assert_eq!(
        content(format!("{}\n{}", line(text), last()).as_bytes()),
        format!("{text}!")
    );
}

#[test]
fn only_one_mark_and_only_at_the_start() {
    for body in [
        format!("{}\n\u{feff}{}", line("a"), last()),
        format!("\u{feff}\u{feff}{}", last()),
        format!(" \u{feff}{}", last()),
    ] {
        assert!(
            matches!(
                at_every_cut(body.as_bytes()).error,
                Some(WireError::NotJson { .. })
            ),
            "{body:?}"
        );
    }
}

#[test]
fn a_carriage_return_does_not_end_a_json_line() {
    let body = format!("{}\r{}\n", line("a"), last());
    assert!(matches!(
        at_every_cut(body.as_bytes()).error,
        Some(WireError::NotJson { line_number: 1, .. })
    ));
}

#[test]
fn a_body_without_lines() {
    for body in ["", "\n", "\r\n \n", "\u{feff}", "\u{feff}\n"] {
        let reading = at_every_cut(body.as_bytes());
        assert_eq!(reading.error, None, "{body:?}");
        assert_eq!(reading.answer.outcome, Outcome::Truncated);
    }
}

#[test]
fn the_cap_is_on_each_line_and_exact() {
    let end = last();
    for format in [StreamFormat::Auto, StreamFormat::Ndjson] {
        let body = format!("{}\n{end}\n", line("a"));
        let bytes = body.as_bytes();
        for cut in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            let fits = read_with(Decoder::new(format, line("a").len()), [head, tail]);
            assert_eq!(fits.error, None);
            let long = read_with(Decoder::new(format, line("a").len() - 1), [head, tail]);
            assert!(
                matches!(long.error, Some(WireError::LineTooLong { limit, .. }) if limit == line("a").len() - 1)
            );
        }
    }
}

#[test]
fn the_cap_holds_on_the_fast_path_and_keeps_what_came_before() {
    let body = format!("{}\n{}\n{}\n", line("a"), line("bcd"), line("e"));
    for cut in 0..=body.len() {
        let (head, tail) = body.as_bytes().split_at(cut);
        let reading = read_with(
            Decoder::new(StreamFormat::Auto, line("bc").len()),
            [head, tail],
        );
        assert_eq!(
            reading.error,
            Some(WireError::LineTooLong {
                line_number: 2,
                limit: line("bc").len()
            })
        );
        assert_eq!(reading.answer.content, "a");
    }
}

#[test]
fn a_line_that_never_ends_is_refused_before_it_is_stored() {
    let mut decoder = Decoder::new(StreamFormat::Ndjson, 1 << 20);
    let mut batch = Batch::default();
    let chunk = vec![b'x'; 64 << 10];
    let mut fed = 0;
    let error = loop {
        if let Err(error) = decoder.feed(&chunk, &mut batch) {
            break error;
        }
        fed += chunk.len();
    };
    assert_eq!(fed, 1 << 20);
    assert_eq!(
        error,
        WireError::LineTooLong {
            line_number: 1,
            limit: 1 << 20
        }
    );
    assert_eq!(
        decoder.feed(b"\n", &mut batch),
        Err(error.clone()),
        "a spent decoder repeats its error"
    );
    assert_eq!(decoder.finish(&mut batch), Err(error));
}

#[test]
fn a_large_line_in_small_pieces_is_read_once() {
    // Quadratic searching would take minutes here.
    let text = "x".repeat(32 << 20);
    let body = format!("{}\n{}\n", line(&text), last());
    let reading = read_with(
        Decoder::new(StreamFormat::Auto, MAX_LINE),
        body.as_bytes().chunks(1_000),
    );
    assert_eq!(reading.answer.content.len(), text.len() + 1);
    assert_eq!(reading.answer.outcome, Outcome::Complete);
}

fn event(content: &str) -> String {
    format!(
        r#"{{"model":"m","choices":[{{"index":0,"delta":{{"content":"{content}"}},"finish_reason":null}}]}}"#
    )
}

#[test]
fn event_streams_in_every_legal_form() {
    let (one, two) = (event("a"), event("b"));
    for body in [
        format!("data: {one}\n\ndata: {two}\n\ndata: [DONE]\n\n"),
        format!("data:{one}\n\ndata:{two}\n\ndata:[DONE]"),
        format!("data: {one}\r\n\r\ndata: {two}\r\n\r\ndata: [DONE]\r\n\r\n"),
        format!("data: {one}\r\rdata: {two}\r\rdata: [DONE]\r\r"),
        format!(
            ": hello\n\nevent: chunk\nid: 7\nretry: 9\ndata: {one}\n\n:\ndata: {two}\nnonsense\n\ndata: [DONE]\n\n"
        ),
        format!("\u{feff}\n data: no field\ndata: {one}\n\ndata: {two}\n\ndata: [DONE]\n\n")
            .replace(" data: no field\n", ""),
        format!("data: {one}\ndata: {two}\ndata: [DONE]\n"),
        format!(
            "data: {}\n\ndata: {two}\n\ndata: [DONE]\n\n",
            one.replace(",\"choices\"", ",\ndata: \"choices\"")
        ),
        format!(
            "data: {}\r\rdata: {two}\r\rdata: [DONE]\r\r",
            one.replace(",\"choices\"", ",\rdata:\"choices\"")
        ),
        format!("data\ndata:\ndata: \n\ndata: {one}\n\ndata: {two}\n\ndata: [DONE]\n\n"),
    ] {
        // Undecided bodies are not at issue here; what begins otherwise is declared by its content type.
        let expected = read_with(Decoder::new(StreamFormat::Sse, MAX_LINE), [body.as_bytes()]);
        assert_eq!(expected.error, None, "{body:?}");
        assert_eq!(
            (expected.answer.content.as_str(), &expected.answer.outcome),
            ("ab", &Outcome::Complete),
            "{body:?}"
        );
        for cut in 0..=body.len() {
            let (head, tail) = body.as_bytes().split_at(cut);
            assert_eq!(
                read_with(Decoder::new(StreamFormat::Sse, MAX_LINE), [head, tail]),
                expected,
                "{body:?} cut at {cut}"
            );
            if !body.starts_with("data\n") {
                assert_eq!(
                    read_cut(body.as_bytes(), cut),
                    expected,
                    "{body:?} cut at {cut}"
                );
            }
        }
    }
}

#[test]
fn an_event_that_is_no_json_is_an_error() {
    for body in [
        "data: {\"a\":\n\n",
        "data: {\"a\":\ndata: 1,\n\n",
        "data: {\"a\":",
        "data: oops\n\ndata: [DONE]\n\n",
    ] {
        let reading = at_every_cut(body.as_bytes());
        assert!(
            matches!(
                reading.error,
                Some(WireError::NotJson { line_number: 1, .. })
            ),
            "{body:?}: {reading:?}"
        );
    }
    assert!(matches!(
        at_every_cut(b"data: 5\n\n").error,
        Some(WireError::NotObject { .. })
    ));
}

#[test]
fn the_cap_is_on_joined_events_too() {
    let body = "data: {\"a\":[0\n".to_owned() + &"data: ,0\n".repeat(100) + "data: ]}\n\n";
    assert_eq!(at_every_cut(body.as_bytes()).error, None);
    let reading = read_with(Decoder::new(StreamFormat::Sse, 64), [body.as_bytes()]);
    assert!(matches!(
        reading.error,
        Some(WireError::LineTooLong { limit: 64, .. })
    ));
}

#[test]
fn a_bare_error_in_an_event_stream_is_seen() {
    let body = format!("data: {}\n\n{{\"error\":\"boom\"}}", event("a"));
    let reading = at_every_cut(body.as_bytes());
    assert_eq!(reading.answer.outcome, Outcome::Failed("boom".to_owned()));
    assert_eq!(reading.answer.content, "a");
}

#[test]
fn the_format_is_told_by_the_first_bytes() {
    assert_eq!(content(format!(" \r\n{}", last()).as_bytes()), "!");
    assert_eq!(
        content(format!("\n: ping\n\ndata: {}\n\ndata: [DONE]\n\n", event("x")).as_bytes()),
        "x"
    );
    for body in ["data not found\n", "d", "event", "<html>", "internal error"] {
        assert!(
            matches!(
                at_every_cut(body.as_bytes()).error,
                Some(WireError::NotJson { .. })
            ),
            "{body:?}"
        );
    }
}
