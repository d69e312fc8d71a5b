//! The run of plain characters at the start of the inside of a JSON string, found 16 bytes at a time.
//!
//! In `Hel"},"done":false}` the run is `Hel`: three bytes, all of them ASCII. A quote, a backslash and a control
//! character end a run, because each of them means something else than itself.

#![allow(
    unsafe_code,
    reason = "vector instructions of the processor, and a str of bytes that have just been seen to be ASCII"
)]

/// How many bytes of `bytes` come before the first quote, backslash or control character (all of them, if there is
/// none), and whether they are all ASCII.
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

/// How many bytes one step looks at, and how many bits of a mask stand for a byte.
#[cfg(target_arch = "x86_64")]
const BLOCK: usize = 16;
#[cfg(target_arch = "x86_64")]
const BITS: u32 = 1;
#[cfg(not(target_arch = "x86_64"))]
const BLOCK: usize = 8;
#[cfg(not(target_arch = "x86_64"))]
const BITS: u32 = 8;

/// Two masks of `block`: the bytes that end a run, and the bytes that are not ASCII. The first byte of the block has
/// the lowest bits. Of the first mask only the lowest bit that is set is reliable.
#[cfg(target_arch = "x86_64")]
#[inline]
fn masks(block: &[u8; BLOCK]) -> (u32, u32) {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8,
    };
    // SAFETY: the functions require SSE2, which every x86-64 processor has, and `_mm_loadu_si128` 16 readable bytes at
    // any address, which `block` is.
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
    // Where a byte of the subtraction borrows from the next one, that next one may be wrong; but it stands higher.
    let quote = word ^ (ONES * 0x22);
    let slash = word ^ (ONES * 0x5c);
    let stop = (quote.wrapping_sub(ONES) & !quote)
        | (slash.wrapping_sub(ONES) & !slash)
        | (word.wrapping_sub(ONES * 0x20) & !word);
    (stop & HIGH, word & HIGH)
}

/// Appends the run of plain characters at the start of `bytes` to `out`, and returns its length. `None`: the run is not
/// UTF-8.
#[inline]
pub(crate) fn push_plain_run(bytes: &[u8], out: &mut String) -> Option<usize> {
    let (length, ascii) = plain_run(bytes);
    let run = bytes.get(..length)?;
    if ascii {
        // SAFETY: `from_utf8_unchecked` requires UTF-8. `plain_run` has seen that every byte of the run is below 0x80.
        out.push_str(unsafe { std::str::from_utf8_unchecked(run) });
    } else {
        out.push_str(std::str::from_utf8(run).ok()?);
    }
    Some(length)
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
