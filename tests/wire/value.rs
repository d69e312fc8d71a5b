//! The reader of any JSON text, with `serde_json` as the oracle.

use std::vec::Drain;

use metagpt_ollama_rs::wire::JsonString;
use metagpt_ollama_rs::wire::json::value::{MAX_DEPTH, ValueBuilder, read};
use proptest::prelude::*;
use serde_json::{Map, Value};

struct Tree;

fn text(text: JsonString<'_>) -> Option<String> {
    let string = std::str::from_utf8(text.bytes).ok()?;
    assert_eq!(text.ascii, string.is_ascii());
    Some(string.to_owned())
}

impl ValueBuilder for Tree {
    type Value = Value;
    type Object = Map<String, Value>;
    type Key = String;

    fn null(&mut self) -> Option<Value> {
        Some(Value::Null)
    }
    fn boolean(&mut self, truth: bool) -> Option<Value> {
        Some(truth.into())
    }
    fn integer(&mut self, number: i64) -> Option<Value> {
        Some(number.into())
    }
    fn float(&mut self, number: f64) -> Option<Value> {
        Some(number.into())
    }
    fn string(&mut self, content: JsonString<'_>) -> Option<Value> {
        text(content).map(Value::from)
    }
    fn array(&mut self, items: Drain<'_, Value>) -> Option<Value> {
        Some(items.collect::<Vec<_>>().into())
    }
    fn object(&mut self) -> Option<Self::Object> {
        Some(Map::new())
    }
    fn key(&mut self, content: JsonString<'_>) -> Option<String> {
        text(content)
    }
    fn member(&mut self, object: &mut Self::Object, key: String, value: Value) -> Option<()> {
        object.insert(key, value);
        Some(())
    }
    fn close(&mut self, object: Self::Object) -> Option<Value> {
        Some(object.into())
    }
}

fn tree(text: &[u8]) -> Option<Value> {
    read(text, &mut Tree, &mut Vec::new())
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\"\\\\/\u{0}-\u{1f}a-é😀]*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|pairs| Value::from(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// `-0` is the integer 0 to Python and to this reader, and a float to `serde_json`.
fn without_minus_zero(value: Value) -> Value {
    match value {
        Value::Number(number) if number.as_f64() == Some(0.0) => Value::from(0),
        Value::Array(items) => items.into_iter().map(without_minus_zero).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, member)| (name, without_minus_zero(member)))
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in values(), pretty: bool) {
        let write = if pretty { serde_json::to_vec_pretty } else { serde_json::to_vec };
        let text = write(&value).unwrap_or_default();
        prop_assert_eq!(tree(&text), Some(value));
    }

    #[test]
    fn what_is_accepted_is_json(
        value in values(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..4),
    ) {
        let mut text = serde_json::to_vec(&value).unwrap_or_default();
        for (at, byte, change) in changes {
            let at = at.index(text.len() + 1);
            match change {
                0 => text.insert(at, byte),
                1 => text.insert(at, *b"\"\\{}[],:-.e0 \n".get(usize::from(byte) % 14).unwrap_or(&b'0')),
                2 if at < text.len() => drop(text.remove(at)),
                _ => text.truncate(at.max(1)),
            }
        }
        if let Some(found) = tree(&text) {
            // serde_json refuses numbers beyond f64, where Python and this reader have infinity.
            let text = String::from_utf8_lossy(&text).into_owned();
            match serde_json::from_str::<Value>(&text) {
                Ok(expected) => prop_assert_eq!(without_minus_zero(found), without_minus_zero(expected)),
                Err(error) => prop_assert!(error.to_string().contains("out of range"), "{}: {}", text, error),
            }
        }
    }
}

#[test]
fn what_is_left_to_others() {
    for text in [
        "",
        " ",
        "NaN",
        "-Infinity",
        "9223372036854775808",
        "\"\\ud800\"",
        "\"\t\"",
        "01",
        "1.",
        "[1,]",
        "{\"a\":1,}",
        "{1:2}",
        "1 2",
        "nul",
        "\"open",
        "[1",
        "{\"a\"",
        "'a'",
        "\u{feff}1",
    ] {
        assert_eq!(tree(text.as_bytes()), None, "{text}");
    }
    assert_eq!(tree(b"\"\xff\""), None);
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert!(tree(&nested(MAX_DEPTH)).is_some());
    assert_eq!(tree(&nested(MAX_DEPTH + 1)), None);
}

#[test]
fn a_repeated_key_takes_the_last_value() {
    assert_eq!(
        tree(b"{\"a\":1,\"b\":2,\"a\":3}"),
        tree(b"{\"a\":3,\"b\":2}")
    );
}
