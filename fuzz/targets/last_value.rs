//! `decode`'s choice of the last value, found from the end, against a plain reading from the start.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metagpt_ollama_fuzz::{body, is_json};
use metagpt_ollama_rs::wire::last_value;

/// Python's `str.strip()`.
fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

/// The last line that is JSON.
fn last_line(body: &str) -> Option<&[u8]> {
    let mut found = None;
    for line in body.split('\n') {
        let line = strip(line);
        let text = line.strip_prefix("data: ").unwrap_or(line).as_bytes();
        if is_json(text) {
            found = Some(text);
        }
    }
    found
}

/// The last event that is JSON, alone or all its lines together.
fn last_event(body: &str) -> Option<Vec<u8>> {
    let mut found = None;
    let mut event: Vec<&str> = Vec::new();
    let body = body.replace("\r\n", "\n").replace('\r', "\n");
    for line in body.split('\n').chain([""]) {
        let line = strip(line);
        if let Some(data) = line.strip_prefix("data:")
            && strip(data) != "[DONE]"
        {
            event.push(data.strip_prefix(' ').unwrap_or(data));
        }
        if line.is_empty() {
            let texts = event.iter().map(|line| (*line).to_owned());
            for text in texts.chain([event.join("\n")]) {
                if is_json(text.as_bytes()) {
                    found = Some(text.into_bytes());
                }
            }
            event.clear();
        }
    }
    found
}

fuzz_target!(|input: &[u8]| {
    let body = body(input);
    let stripped = last_value::strip_like_python(&body);
    let from_end = last_value::lines_from_end(&body).find(|text| is_json(text));
    let event = last_value::events_from_end(&body)
        .into_iter()
        .find(|text| is_json(text));
    let Ok(text) = std::str::from_utf8(&body) else {
        return;
    };
    assert_eq!(stripped, strip(text).as_bytes());
    assert_eq!(from_end, last_line(text));
    assert_eq!(event, last_event(text));
    assert!(last_value::may_be_json(stripped) || !is_json(stripped));
});
