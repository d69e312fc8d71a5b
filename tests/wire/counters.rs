//! Every counter of the table is read from lines and from replies with vectors, and kept by a fold.

use std::fmt::Write;

use metagpt_ollama_rs::wire::{Counters, fold_body, vectors};

/// Members that give each counter a number of its own, and the counters that this makes.
fn numbered() -> (String, Counters) {
    let mut counters = Counters::default();
    let mut members = String::new();
    for (number, name) in (101_u64..).zip(Counters::NAMES) {
        *counters.get_mut(name).unwrap() = Some(number);
        write!(members, r#","{name}":{number}"#).unwrap();
    }
    (members, counters)
}

#[test]
fn each_counter_is_read() {
    let (members, expected) = numbered();
    assert!(expected.iter().all(|(_, value)| value.is_some()));
    let line = format!(r#"{{"model":"m","response":"","done":true{members}}}"#);
    let (answer, result) = fold_body(line.as_bytes());
    assert_eq!((answer.counters, result), (expected, Ok(())));
    let body = format!(r#"{{"model":"m","embeddings":[[1]]{members}}}"#);
    assert_eq!(vectors::read(body.as_bytes()).unwrap().counters, expected);
}

#[test]
fn each_name_of_openai_is_read() {
    for (name, openai) in Counters::OPENAI_USAGE {
        let mut expected = Counters::default();
        *expected.get_mut(name).unwrap() = Some(7);
        let line = format!(r#"{{"choices":[],"usage":{{"{openai}":7}}}}"#);
        assert_eq!(fold_body(line.as_bytes()).0.counters, expected);
        let body = format!(r#"{{"data":[{{"embedding":[1]}}],"usage":{{"{openai}":7}}}}"#);
        assert_eq!(vectors::read(body.as_bytes()).unwrap().counters, expected);
    }
}
