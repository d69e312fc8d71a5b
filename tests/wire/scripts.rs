//! Bytes by script, against characters looked at one by one.

use metagpt_ollama_rs::wire::scripts::{SCRIPTS, count_bytes};
use proptest::prelude::*;

fn script_of(character: char) -> &'static str {
    match character {
        'A'..='Z' | 'a'..='z' => "latin",
        '0'..='9' => "digits",
        '\n' => "lines",
        '\0'..=' ' | '\u{7f}' => "space",
        '!'..='~' => "punctuation",
        '\u{80}'..='\u{7ff}' => "two_bytes",
        '\u{3000}'..='\u{d7ff}' | '\u{f000}'..='\u{ffff}' => "cjk",
        _ => "other",
    }
}

fn slowly(text: &str) -> Vec<usize> {
    let characters: Vec<char> = text.chars().collect();
    let mut counts = vec![0; SCRIPTS.len()];
    for (place, &character) in characters.iter().enumerate() {
        let mut script = script_of(character);
        let after = characters.get(place + 1);
        let before = place.checked_sub(1).map(|place| characters[place]);
        if character == ' '
            && before.is_some_and(|before| before > ' ')
            && after.is_some_and(char::is_ascii_alphabetic)
        {
            script = "latin";
        }
        let place = SCRIPTS.iter().position(|name| *name == script).unwrap();
        counts[place] += character.len_utf8();
    }
    counts
}

#[test]
fn texts_of_many_scripts() {
    for text in [
        "",
        " ",
        "  two  words 42",
        "if x == 1:\n    return\t[y]\n",
        "是的，Привет नमस्ते 안녕 😀\u{1f469}\u{200d}\u{1f4bb} é",
    ] {
        assert_eq!(
            count_bytes(text.as_bytes()).to_vec(),
            slowly(text),
            "{text:?}"
        );
    }
}

#[test]
fn bytes_that_are_no_text_are_no_error() {
    let every: Vec<u8> = (0..=255).collect();
    assert!(count_bytes(&every).iter().sum::<usize>() > 0);
}

proptest! {
    #[test]
    fn every_byte_is_counted_once(text in "\\PC*[a-z ]{0,9}[是é😀 ]{0,9}") {
        let counts = count_bytes(text.as_bytes());
        prop_assert_eq!(counts.iter().sum::<usize>(), text.len());
        prop_assert_eq!(counts.to_vec(), slowly(&text));
    }
}
