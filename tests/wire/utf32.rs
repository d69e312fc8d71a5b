//! Long texts of three-byte characters, against Rust's own decoder.

use metagpt_ollama_rs::wire::json::utf32;
use proptest::prelude::*;

fn widened(bytes: &[u8]) -> Option<Vec<u32>> {
    let mut out = vec![7];
    utf32::from_utf8(bytes, &mut out).map(|()| out)
}

fn characters(bytes: &[u8]) -> Option<Vec<u32>> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(text.chars().map(u32::from).collect())
}

#[test]
fn every_character_is_widened() {
    for character in '\0'..=char::MAX {
        for text in [
            format!("{character}"),
            format!("你{character}好{character}{character}你好你好"),
        ] {
            assert_eq!(widened(text.as_bytes()), characters(text.as_bytes()));
        }
    }
}

proptest! {
    #[test]
    fn what_is_no_utf8_is_not_widened(
        text in "[你好\u{800}\u{d7ff}\u{e000}\u{ffff}]{0,12}[a你😀é]{0,4}[你好]{0,12}",
        at: prop::sample::Index,
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x80..=0xff_u8], 0..4),
        gone in 0..4_usize,
    ) {
        let mut all = text.into_bytes();
        let at = at.index(all.len() + 1);
        all.splice(at..(at + gone).min(all.len()), bytes);
        prop_assert_eq!(widened(&all), characters(&all));
    }
}

#[test]
fn three_bytes_that_are_no_character() {
    for bytes in [
        b"\xe0\x80\x80",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
    ] {
        for text in [
            [&bytes[..], "你好你好你".as_bytes()].concat(),
            ["你".as_bytes(), bytes, b"ab"].concat(),
            ["你好".as_bytes(), bytes, "你好你好".as_bytes()].concat(),
        ] {
            assert_eq!(widened(&text), None);
        }
    }
}
