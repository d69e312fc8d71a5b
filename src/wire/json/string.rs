//! The inside of a JSON string: its end, and the text that it stands for.
//!
//! The bytes `a\n\u00e9"}` after an opening quote are the text `a`, line feed, `é`, and their closing quote is byte 9.

use super::plain_run::{plain_run, push_plain_run};

/// What a backslash sequence stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escape {
    Char(char),
    /// Half of a surrogate pair: legal JSON, but no character.
    LoneSurrogate,
}

/// Reads the escape at the start of `bytes` (its first byte is the backslash): its meaning and its length.
pub(crate) fn read_escape(bytes: &[u8]) -> Option<(Escape, usize)> {
    let simple = match *bytes.get(1)? {
        b'u' => return unicode_escape(bytes),
        byte @ (b'"' | b'\\' | b'/') => char::from(byte),
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        _ => return None,
    };
    Some((Escape::Char(simple), 2))
}

fn unicode_escape(bytes: &[u8]) -> Option<(Escape, usize)> {
    let first = hex4(bytes.get(2..6)?)?;
    if let Some(one) = char::from_u32(first) {
        return Some((Escape::Char(one), 6));
    }
    // A high half followed by a low half is one character; any other half stands alone.
    if first < 0xdc00 && bytes.get(6..8) == Some(b"\\u") {
        let second = bytes.get(8..12).and_then(hex4);
        if let Some(low) = second.filter(|low| (0xdc00..0xe000).contains(low)) {
            let pair = char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00))?;
            return Some((Escape::Char(pair), 12));
        }
    }
    Some((Escape::LoneSurrogate, 6))
}

fn hex4(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, &digit| {
        Some(value << 4 | char::from(digit).to_digit(16)?)
    })
}

/// Appends the string whose opening quote stands just before `bytes`, and returns where its closing quote is.
///
/// `None` where the strict path has to decide: the string does not end in `bytes`, or has a control character, an
/// unknown escape, half of a surrogate pair or invalid UTF-8. Then a part of it may have been appended.
#[inline]
pub(crate) fn push_string(bytes: &[u8], out: &mut String) -> Option<usize> {
    let mut at = 0;
    loop {
        at += push_plain_run(bytes.get(at..)?, out)?;
        let rest = bytes.get(at..)?;
        match rest.first()? {
            b'"' => return Some(at),
            b'\\' => {
                let (Escape::Char(one), length) = read_escape(rest)? else {
                    return None;
                };
                out.push(one);
                at += length;
            }
            _ => return None,
        }
    }
}

/// The text of a JSON string, its escapes resolved. Nobody has checked that it is UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonString<'a> {
    pub bytes: &'a [u8],
    /// Whether all bytes are ASCII.
    pub ascii: bool,
}

/// Reads the string whose opening quote stands just before `bytes`: its text, and where its closing quote is. A text
/// with escapes is put together in `scratch`. `None` for what `push_string` refuses, except that invalid UTF-8 is left
/// to whoever makes a str of the bytes.
#[inline]
pub(crate) fn read_string<'a>(
    bytes: &'a [u8],
    scratch: &'a mut Vec<u8>,
) -> Option<(JsonString<'a>, usize)> {
    let (length, ascii) = plain_run(bytes);
    let (run, rest) = bytes.split_at_checked(length)?;
    if rest.first() == Some(&b'"') {
        return Some((JsonString { bytes: run, ascii }, length));
    }
    read_escaped_string(run, ascii, rest, scratch)
}

/// Reads a string with escapes: `run` is what comes before the first one, which stands at the start of `rest`.
fn read_escaped_string<'a>(
    run: &[u8],
    mut ascii: bool,
    mut rest: &[u8],
    scratch: &'a mut Vec<u8>,
) -> Option<(JsonString<'a>, usize)> {
    let all = run.len() + rest.len();
    scratch.clear();
    scratch.extend_from_slice(run);
    while let Some(b'\\') = rest.first() {
        let (Escape::Char(one), length) = read_escape(rest)? else {
            return None;
        };
        if one.is_ascii() {
            scratch.push(u8::try_from(one).ok()?);
        } else {
            ascii = false;
            scratch.extend_from_slice(one.encode_utf8(&mut [0; 4]).as_bytes());
        }
        rest = rest.get(length..)?;
        let (length, plain) = plain_run(rest);
        let (run, tail) = rest.split_at_checked(length)?;
        scratch.extend_from_slice(run);
        ascii &= plain;
        rest = tail;
    }
    (rest.first() == Some(&b'"')).then(|| {
        let bytes = scratch.as_slice();
        (JsonString { bytes, ascii }, all - rest.len())
    })
}

/// The text of the JSON string between whose quotes `inner` stands. It is known to be legal; halves of surrogate pairs
/// become U+FFFD.
pub(crate) fn unescape(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((run, tail)) = rest.find('\\').and_then(|at| rest.split_at_checked(at)) {
        out.push_str(run);
        let Some((meaning, length)) = read_escape(tail.as_bytes()) else {
            break;
        };
        out.push(match meaning {
            Escape::Char(one) => one,
            Escape::LoneSurrogate => char::REPLACEMENT_CHARACTER,
        });
        rest = tail.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}
