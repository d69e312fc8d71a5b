//! Any text comes out as it went in, however it was escaped; `serde_json` is the oracle.

use metagpt_ollama_rs::wire::{Batch, Decoder, Fold, ItemRef, MAX_LINE, StreamFormat};
use proptest::prelude::*;

const FIRST: &str =
    r#"{"model":"m","created_at":"2026","message":{"role":"assistant","content":""},"done":false}"#;

/// Writes `text` as the inside of a JSON string, with each character plain or escaped as `ways` says.
fn escaped(text: &str, ways: &[u8]) -> String {
    let mut out = String::new();
    for (at, one) in text.chars().enumerate() {
        let way = ways.get(at % ways.len().max(1)).copied().unwrap_or(0);
        let must = one < ' ' || one == '"' || one == '\\';
        let short = match one {
            '"' | '\\' | '/' => Some(one),
            '\n' => Some('n'),
            '\t' => Some('t'),
            '\r' => Some('r'),
            '\u{8}' => Some('b'),
            '\u{c}' => Some('f'),
            _ => None,
        };
        match (way % 4, short) {
            (0, _) | (1, None) if !must => out.push(one),
            (0 | 1, Some(letter)) => out.extend(['\\', letter]),
            (upper, _) => {
                for unit in one.encode_utf16(&mut [0; 2]) {
                    let digits = format!("\\u{unit:04x}");
                    out += &if upper == 3 {
                        digits.to_uppercase().replace('U', "u")
                    } else {
                        digits
                    };
                }
            }
        }
    }
    out
}

fn text_of(decoder: &mut Decoder, content: &str) -> Result<(bool, String), TestCaseError> {
    let line = FIRST.replace(r#""content":"""#, &format!(r#""content":"{content}""#));
    let oracle: serde_json::Value = serde_json::from_str(&line).unwrap();
    let mut batch = Batch::default();
    decoder
        .feed(format!("{FIRST}\n").as_bytes(), &mut batch)
        .unwrap();
    batch.clear();
    let hits = decoder.hits().0;
    decoder
        .feed(format!("{line}\n").as_bytes(), &mut batch)
        .unwrap();
    let fast = decoder.hits().0 > hits;
    let Some(ItemRef::Content { text, .. }) = batch.iter().next() else {
        return Err(TestCaseError::fail("no text item"));
    };
    prop_assert_eq!(Some(text), oracle["message"]["content"].as_str());
    Ok((fast, text.to_owned()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn content_as_serde_json_writes_it(text in any::<String>()) {
        let quoted = serde_json::to_string(&text).unwrap();
        let content = &quoted[1..quoted.len() - 1];
        let (fast, read) = text_of(&mut Decoder::new(StreamFormat::Ndjson, MAX_LINE), content)?;
        prop_assert!(fast, "{content:?} missed the fast path");
        prop_assert_eq!(&read, &text);
        prop_assert_eq!(text_of(&mut Decoder::strict(StreamFormat::Ndjson, MAX_LINE), content)?, (false, text));
    }

    #[test]
    fn content_in_any_escaping(text in any::<String>(), ways in prop::collection::vec(any::<u8>(), 1..40)) {
        let content = escaped(&text, &ways);
        let (fast, read) = text_of(&mut Decoder::new(StreamFormat::Ndjson, MAX_LINE), &content)?;
        prop_assert!(fast, "{content:?} missed the fast path");
        prop_assert_eq!(&read, &text);
        prop_assert_eq!(text_of(&mut Decoder::strict(StreamFormat::Ndjson, MAX_LINE), &content)?, (false, text));
    }

    #[test]
    fn every_alignment_of_what_stops_a_scan(before in "[a-z]{0,40}", stop in "[\"\\\\\u{1}\u{1f}é漢😀]", after in "[a-z]{0,40}") {
        let text = format!("{before}{stop}{after}");
        let (fast, read) = text_of(&mut Decoder::new(StreamFormat::Ndjson, MAX_LINE), &escaped(&text, &[0]))?;
        prop_assert!(fast);
        prop_assert_eq!(read, text);
    }

    #[test]
    fn unknown_members_of_any_shape_change_nothing(
        numbers in prop::collection::vec(any::<f64>(), 0..5),
        integers in prop::collection::vec(any::<i64>(), 0..5),
        key in "[a-z_ \"\\\\é]{1,12}x9",
        text in any::<String>(),
    ) {
        let line = serde_json::json!({
            "model": "m", "created_at": "2026", key: {"numbers": numbers, "integers": integers, "text": [&text, {"": text}]},
            "message": {"role": "assistant", "content": &text, "more": &text}, "done": true, "eval_count": 7,
        });
        let mut decoder = Decoder::new(StreamFormat::Ndjson, MAX_LINE);
        let mut batch = Batch::default();
        decoder.feed(line.to_string().as_bytes(), &mut batch).unwrap();
        decoder.finish(&mut batch).unwrap();
        let mut fold = Fold::new();
        fold.add_batch(&batch);
        let answer = fold.finish();
        prop_assert_eq!(answer.content, text);
        prop_assert_eq!(answer.counters.eval_count, Some(7));
        prop_assert_eq!(answer.last_line, line.to_string().into_bytes());
    }
}
