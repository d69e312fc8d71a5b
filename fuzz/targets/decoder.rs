//! The decoder: cuts change nothing, the fast path says what the strict one says, and a single line is read as serde_json
//! reads it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metagpt_ollama_fuzz::{Choices, body, is_json};
use metagpt_ollama_rs::wire::{
    Batch, Decoder, Delta, ItemRef, MAX_LINE, Shape, SharedFields, StreamFormat, Timestamp,
    WireError,
};
use serde_json::Value;

#[derive(Debug, PartialEq)]
enum Line {
    Text(String, Timestamp),
    Full(Delta),
}

/// What a decoder makes of a body.
#[derive(Debug, PartialEq)]
struct Reading {
    lines: Vec<Line>,
    shared: Option<SharedFields>,
    error: Option<WireError>,
}

fn read(mut decoder: Decoder, pieces: &[&[u8]]) -> Reading {
    let mut batch = Batch::default();
    let result = pieces
        .iter()
        .try_for_each(|piece| decoder.feed(piece, &mut batch))
        .and_then(|()| decoder.finish(&mut batch));
    Reading {
        lines: batch
            .iter()
            .map(|entry| match entry {
                ItemRef::Content { text, created_at } => Line::Text(text.to_owned(), *created_at),
                ItemRef::Delta(delta) => Line::Full(delta.clone()),
            })
            .collect(),
        shared: batch.shared.as_deref().cloned(),
        error: result.err(),
    }
}

/// The line alone, as JSON lines, against serde_json.
fn check_line(line: &[u8]) {
    let reading = read(Decoder::new(StreamFormat::Ndjson, MAX_LINE), &[line]);
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let text = line.trim_ascii();
    if is_json(line) && text.starts_with(b"{") {
        assert_eq!((reading.lines.len(), reading.error), (1, None));
    } else if is_json(line) {
        assert!(matches!(reading.error, Some(WireError::NotObject { .. })));
    } else if std::str::from_utf8(line).is_err() {
        let found = matches!(
            reading.error,
            Some(WireError::NotUtf8 { .. } | WireError::NotJson { .. })
        );
        assert!(found, "{:?}", reading.error);
    } else if !text.is_empty() {
        assert!(matches!(reading.error, Some(WireError::NotJson { .. })));
    }
    // It refuses half surrogates and very deep nesting.
    let Ok(value) = serde_json::from_slice::<Value>(line) else {
        return;
    };
    match reading.lines.first() {
        Some(Line::Text(text, _)) => {
            let content = value.pointer("/message/content").or(value.get("response"));
            assert_eq!(content.and_then(Value::as_str), Some(&text[..]));
            assert_eq!(value["done"], false);
            let shared = reading.shared.expect("a shared");
            assert_eq!(value["model"], shared.model);
        }
        Some(Line::Full(delta)) => {
            assert_eq!(delta.line.trim_ascii(), text);
            assert_eq!(delta.model.as_deref(), value["model"].as_str());
            let message = match delta.shape {
                Shape::Chat => &value["message"],
                Shape::Generate => &value,
                Shape::OpenAi | Shape::Other => return,
            };
            let key = if delta.shape == Shape::Chat {
                "content"
            } else {
                "response"
            };
            assert_eq!(delta.content, message[key].as_str().unwrap_or_default());
            assert_eq!(delta.done, value["done"] == true);
            assert_eq!(delta.done_reason.as_deref(), value["done_reason"].as_str());
        }
        None => {}
    }
}

fuzz_target!(|input: &[u8]| {
    let body = body(input);
    let mut choices = Choices::new(&body);
    let limit = [MAX_LINE, MAX_LINE, 64][choices.below(3)];
    for format in [StreamFormat::Auto, StreamFormat::Ndjson, StreamFormat::Sse] {
        let whole = read(Decoder::new(format, limit), &[&body]);
        let cut = read(Decoder::new(format, limit), &choices.pieces(&body));
        assert_eq!(cut, whole, "cut (left) and whole, {format:?}");
        let strict = read(Decoder::strict(format, limit), &[&body]);
        assert_eq!(strict, whole, "strict (left) and fast, {format:?}");
    }
    for line in body.split(|byte| *byte == b'\n').take(16) {
        check_line(line);
    }
});
