//! Vectors: what `wire::vectors` reads out of a reply is what serde_json and Rust's own parser of numbers read.

#![no_main]

use std::fmt;

use libfuzzer_sys::fuzz_target;
use metagpt_ollama_fuzz::{body, is_json};
use metagpt_ollama_rs::wire::vectors::{VectorsError, read};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// The members of an object in their order, a key that comes twice included.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// A row of numbers, each the f32 nearest to its text; `None` if it is no row of finite numbers.
fn row(value: &Value) -> Option<Vec<f32>> {
    let numbers = value.as_array()?.iter().map(|value| {
        let number = value.as_number()?;
        let nearest: f32 = number.as_str().parse().ok()?;
        // Rounded twice, once to f64, a number may be the neighbour.
        let twice = number.as_f64()? as f32;
        let distance = i64::from(nearest.abs().to_bits()) - i64::from(twice.abs().to_bits());
        assert!(distance.abs() <= 1, "{nearest} and {twice}");
        nearest.is_finite().then_some(nearest)
    });
    numbers.collect()
}

/// The rows of the last member that holds some; `None` if they are not plain numbers, all rows of one length.
fn rows(members: &[(String, Value)]) -> Option<Vec<Vec<f32>>> {
    let (key, value) = members
        .iter()
        .rfind(|(key, _)| matches!(&key[..], "embeddings" | "embedding" | "data"))?;
    let rows: Option<Vec<Vec<f32>>> = match &key[..] {
        "embeddings" => value.as_array()?.iter().map(row).collect(),
        "embedding" => Some(row(value)?).map(|row| if row.is_empty() { vec![] } else { vec![row] }),
        _ => {
            let mut entries: Vec<(Option<usize>, Vec<f32>)> = Vec::new();
            for entry in value.as_array()? {
                let index = entry.get("index").and_then(Value::as_u64);
                entries.push((
                    index.map(|index| index as usize),
                    row(entry.get("embedding")?)?,
                ));
            }
            if entries.iter().all(|(index, _)| index.is_some()) {
                entries.sort_by_key(|(index, _)| *index);
            }
            Some(entries.into_iter().map(|(_, row)| row).collect())
        }
    };
    rows.filter(|rows| rows.windows(2).all(|pair| pair[0].len() == pair[1].len()))
}

fuzz_target!(|input: &[u8]| {
    let body = body(input);
    let read = read(&body);
    let legal = is_json(&body);
    match &read {
        Ok(_) => assert!(legal, "read, but no JSON"),
        Err(VectorsError::NotUtf8 { .. }) => assert!(std::str::from_utf8(&body).is_err()),
        Err(VectorsError::Truncated { .. } | VectorsError::NotJson { .. }) => {
            assert!(!legal, "refused, but JSON: {read:?}");
        }
        Err(_) => {}
    }
    // The key with which serde_json marks a number of any size.
    if memchr::memmem::find(&body, b"$serde_json").is_some() {
        return;
    }
    let Ok(Members(members)) = serde_json::from_slice(&body) else {
        return;
    };
    let expected = rows(&members);
    if let (Ok(floats), Some(rows)) = (&read, &expected) {
        let bits = |values: &[f32]| {
            values
                .iter()
                .map(|value| value.to_bits())
                .collect::<Vec<_>>()
        };
        assert_eq!(bits(&floats.values), bits(&rows.concat()));
        assert_eq!(floats.rows, rows.len());
        assert_eq!(floats.width, rows.first().map_or(0, Vec::len));
        let model = members.iter().rfind(|(key, _)| key == "model");
        assert_eq!(
            floats.model.as_deref(),
            model.and_then(|(_, value)| value.as_str())
        );
    }
    let vectors = members
        .iter()
        .filter(|(key, _)| matches!(&key[..], "embeddings" | "embedding" | "data"))
        .collect::<Vec<_>>();
    if let ([(key, _)], Some(_)) = (&vectors[..], &expected)
        && key != "data"
    {
        assert!(read.is_ok(), "{read:?}");
    }
});
