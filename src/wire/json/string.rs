//! The inside of a JSON string: where it must be looked at, and what its escapes say.

/// What a backslash sequence stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escape {
    Char(char),
    /// Half of a surrogate pair: legal JSON, but no character.
    LoneSurrogate,
}

/// How many bytes come before the first quote, backslash or control character, and whether they are all ASCII.
#[inline]
pub(crate) fn plain_run(bytes: &[u8]) -> (usize, bool) {
    let mut ascii = true;
    let (blocks, tail) = bytes.as_chunks::<BLOCK>();
    let mut at = 0;
    for block in blocks {
        let (stop, high) = masks(block);
        if stop != 0 {
            let before = (stop & stop.wrapping_neg()) - 1;
            ascii &= high & before == 0;
            return (at + (stop.trailing_zeros() / BITS) as usize, ascii);
        }
        ascii &= high == 0;
        at += BLOCK;
    }
    for &byte in tail {
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            break;
        }
        ascii &= byte < 0x80;
        at += 1;
    }
    (at, ascii)
}

/// How many bytes are looked at in one step, and how many bits of a mask stand for a byte.
#[cfg(target_arch = "x86_64")]
const BLOCK: usize = 16;
#[cfg(target_arch = "x86_64")]
const BITS: u32 = 1;
#[cfg(not(target_arch = "x86_64"))]
const BLOCK: usize = 8;
#[cfg(not(target_arch = "x86_64"))]
const BITS: u32 = 8;

/// Where `block` has a byte that stops a run, and where one that is not ASCII. The first byte has the lowest bits, and
/// of the first mask only the lowest bit set is sure.
#[cfg(target_arch = "x86_64")]
#[inline]
fn masks(block: &[u8; BLOCK]) -> (u32, u32) {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8,
    };
    // SAFETY: every x86-64 has SSE2, and the load reads the 16 bytes of the block, wherever they are.
    unsafe {
        let bytes = _mm_loadu_si128(block.as_ptr().cast());
        let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x22));
        let slash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x5c));
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        let stop = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, slash), control));
        (
            stop.cast_unsigned(),
            _mm_movemask_epi8(bytes).cast_unsigned(),
        )
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn masks(block: &[u8; BLOCK]) -> (u64, u64) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(*block);
    // A borrow makes wrong bits only above the lowest one.
    let quote = word ^ (ONES * 0x22);
    let slash = word ^ (ONES * 0x5c);
    let stop = (quote.wrapping_sub(ONES) & !quote)
        | (slash.wrapping_sub(ONES) & !slash)
        | (word.wrapping_sub(ONES * 0x20) & !word);
    (stop & HIGH, word & HIGH)
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

/// Appends the string whose opening quote stands just before `bytes`, and says where its closing quote is.
/// `None` for whatever needs a closer look: the string does not end here, a control character, an unknown escape,
/// half of a surrogate pair, invalid UTF-8. What was appended until then stays.
#[inline]
pub(crate) fn push_string(bytes: &[u8], out: &mut String) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..)?;
        let (length, ascii) = plain_run(rest);
        let (run, rest) = rest.split_at_checked(length)?;
        if ascii {
            // SAFETY: `plain_run` saw that every byte of the run is below 0x80.
            out.push_str(unsafe { std::str::from_utf8_unchecked(run) });
        } else {
            out.push_str(std::str::from_utf8(run).ok()?);
        }
        at += length;
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

/// The text of a JSON string, its escapes resolved. Not checked to be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonString<'a> {
    pub bytes: &'a [u8],
    pub ascii: bool,
}

/// Reads the string whose opening quote stands just before `bytes`: its text and where its closing quote is. Where
/// there are escapes, the text is put together in `scratch`. `None` for what `push_string` refuses, except that UTF-8
/// is left to whoever makes a text of the bytes.
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

/// `content`, from the first escape at the start of `rest` on.
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

/// The text between the quotes of a JSON string that is known to be well formed; lone surrogates become U+FFFD.
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

#[cfg(test)]
mod tests {
    use super::plain_run;

    #[test]
    fn a_run_ends_where_the_first_special_byte_is() {
        for byte in 0..=u8::MAX {
            for length in 0..40 {
                for at in 0..length {
                    let mut bytes = vec![b'x'; length];
                    bytes
                        .iter_mut()
                        .skip(at)
                        .step_by(3)
                        .for_each(|place| *place = byte);
                    let special = byte < 0x20 || byte == b'"' || byte == b'\\';
                    let expected = if special {
                        (at, true)
                    } else {
                        (length, byte < 0x80)
                    };
                    assert_eq!(plain_run(&bytes), expected, "{byte:#x} at {at} of {length}");
                    // What stands behind the end of a run does not count.
                    let mut longer = [
                        &bytes,
                        &b"\"\xff\"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..],
                    ]
                    .concat();
                    assert_eq!(plain_run(&longer), expected);
                    longer.insert(0, 0xe9);
                    assert_eq!(plain_run(&longer), (expected.0 + 1, false));
                }
            }
        }
    }
}
