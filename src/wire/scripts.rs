//! How many bytes of a text belong to which script, for estimates of its tokens: a token has four Latin letters and
//! more, but one or two Chinese characters, and often a single digit.
//!
//! ```
//! use metagpt_ollama_rs::wire::scripts::{SCRIPTS, count_bytes};
//!
//! let counts = count_bytes("two 42 是\n".as_bytes());
//! assert_eq!(SCRIPTS[..4], ["latin", "digits", "punctuation", "space"]);
//! assert_eq!(SCRIPTS[4..], ["lines", "cjk", "two_bytes", "other"]);
//! assert_eq!(counts, [3, 2, 0, 2, 1, 3, 0, 0]);
//! ```

/// The scripts, in the order of the counts: letters of ASCII with the single space before a word; digits; other visible
/// ASCII; other white space and control characters; the ends of lines; Chinese, Japanese and Korean; characters of two bytes, such as
/// Cyrillic, Greek, Arabic and accented Latin letters; the rest, such as Hindi, Thai, symbols and emoji.
pub const SCRIPTS: [&str; 8] = [
    "latin",
    "digits",
    "punctuation",
    "space",
    "lines",
    "cjk",
    "two_bytes",
    "other",
];

const LATIN: u8 = 0;
const DIGITS: u8 = 1;
const PUNCTUATION: u8 = 2;
const SPACE: u8 = 3;
const LINES: u8 = 4;
const CJK: u8 = 5;
const TWO_BYTES: u8 = 6;
const OTHER: u8 = 7;

/// For each byte its script and how many bytes its character has, which is 0 for those after the first one.
#[allow(clippy::indexing_slicing)] // The index is below 256.
const BYTES: [(u8, u8); 256] = {
    let mut table = [(OTHER, 0); 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation)]
        let value = byte as u8;
        table[byte] = match value {
            b'A'..=b'Z' | b'a'..=b'z' => (LATIN, 1),
            b'0'..=b'9' => (DIGITS, 1),
            b'\n' => (LINES, 1),
            0..=b' ' | 0x7F => (SPACE, 1),
            0x21..=0x7E => (PUNCTUATION, 1),
            0x80..=0xBF => (OTHER, 0),
            0xC0..=0xDF => (TWO_BYTES, 2),
            // U+3000 to U+D7FF, and U+F000 to U+FFFF with the wide forms of ASCII.
            0xE3..=0xED | 0xEF => (CJK, 3),
            0xE0..=0xEE => (OTHER, 3),
            0xF0..=0xFF => (OTHER, 4),
        };
        byte += 1;
    }
    table
};

/// The bytes of `text`, which is UTF-8, by script. Other bytes are counted somehow.
#[must_use]
#[allow(clippy::indexing_slicing)] // A byte indexes a table of 256, a script, below 8, one of 8.
pub fn count_bytes(text: &[u8]) -> [usize; SCRIPTS.len()] {
    let mut counts = [0_usize; SCRIPTS.len()];
    let mut before = b' ';
    for (place, &byte) in text.iter().enumerate() {
        let (script, length) = BYTES[usize::from(byte)];
        let begins_word = byte == b' '
            && before > b' '
            && text.get(place + 1).is_some_and(u8::is_ascii_alphabetic);
        let script = if begins_word { LATIN } else { script };
        counts[usize::from(script & 7)] += usize::from(length);
        before = byte;
    }
    counts
}
