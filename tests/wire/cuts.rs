//! The answer does not depend on where a body was cut.

use metagpt_ollama_rs::wire::{Decoder, MAX_LINE, StreamFormat};

use crate::support::{Random, Reading, read, read_cut, read_with, recordings};

/// Above this size a body is cut at chosen and random places instead of everywhere.
const SMALL: usize = 32 << 10;

fn check(name: &str, body: &[u8], cut: usize, expected: &Reading) {
    assert_eq!(&read_cut(body, cut), expected, "{name} cut at {cut}");
}

fn every_cut(folder: &str) {
    for recording in recordings() {
        let body = &recording.body;
        if body.len() > SMALL || !recording.name.starts_with(folder) {
            continue;
        }
        let expected = read(body);
        for cut in 0..=body.len() {
            check(&recording.name, body, cut, &expected);
        }
        let bytes = body.chunks(1);
        assert_eq!(
            read_with(Decoder::new(StreamFormat::Auto, MAX_LINE), bytes),
            expected,
            "{}",
            recording.name
        );
    }
}

#[test]
fn small_scripted_replies_at_every_cut() {
    every_cut("scripted/");
}

#[test]
fn small_replies_of_a_real_model_at_every_cut() {
    every_cut("smollm2/");
}

#[test]
fn short_replies_at_every_pair_of_cuts() {
    for recording in recordings()
        .iter()
        .filter(|recording| recording.body.len() <= 400)
    {
        let expected = read(&recording.body);
        for second in 0..=recording.body.len() {
            let (front, tail) = recording.body.split_at(second);
            for first in 0..=second {
                let (head, middle) = front.split_at(first);
                let reading = read_with(
                    Decoder::new(StreamFormat::Auto, MAX_LINE),
                    [head, middle, tail],
                );
                assert_eq!(
                    reading, expected,
                    "{} cut at {first} and {second}",
                    recording.name
                );
            }
        }
    }
}

#[test]
fn large_replies_at_chosen_and_random_cuts() {
    let mut random = Random(0x5eed);
    let mut seen = 0;
    for recording in recordings()
        .iter()
        .filter(|recording| recording.body.len() > SMALL)
    {
        let (name, body) = (&recording.name, &recording.body);
        let expected = read(body);
        seen += 1;
        let bytes = body.chunks(1);
        assert_eq!(
            read_with(Decoder::new(StreamFormat::Auto, MAX_LINE), bytes),
            expected,
            "{name} byte by byte"
        );

        // Places where a careless reader trips: around newlines, inside escapes, inside characters.
        let tricky: Vec<usize> = (1..body.len())
            .filter(|&at| {
                let before = &body[at.saturating_sub(6)..at];
                body[at] == b'\n'
                    || body[at - 1] == b'\n'
                    || body[at] >= 0x80
                    || before.contains(&b'\\')
            })
            .collect();
        let mut pieces = Vec::new();
        let mut start = 0;
        for &cut in &tricky {
            pieces.push(&body[start..cut]);
            start = cut;
        }
        pieces.push(&body[start..]);
        let together = read_with(Decoder::new(StreamFormat::Auto, MAX_LINE), pieces);
        assert_eq!(together, expected, "{name} at all tricky places together");
        // One cut alone, too; a reply of many such places is sampled, each kind of place coming up often.
        for cut in tricky.iter().step_by(tricky.len() / 5_000 + 1) {
            check(name, body, *cut, &expected);
        }
        for _ in 0..10_000 {
            check(name, body, random.below(body.len() + 1), &expected);
        }
    }
    assert!(seen >= 3, "{seen} large replies");
}
