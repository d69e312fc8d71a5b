//! A long text that is mostly Chinese, Japanese or Korean, from UTF-8 to UTF-32, which is one number a character.
//!
//! The six bytes of `\u{4e2d}\u{6587}`, e4 b8 ad e6 96 87, become the numbers 0x4e2d and 0x6587. Characters of three
//! bytes are decoded four at a time; everything else one by one.

#![allow(unsafe_code, reason = "vector instructions of the processor")]

/// Whether [`from_utf8`] is faster on this processor than a decoder that reads byte by byte.
///
/// ```
/// use metagpt_ollama_rs::wire::json::utf32;
///
/// println!("long Chinese texts are decoded here: {}", utf32::is_fast());
/// ```
pub fn is_fast() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("ssse3");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Replaces what is in `out` by the characters of `bytes`. `None` if these are not UTF-8.
///
/// ```
/// use metagpt_ollama_rs::wire::json::utf32;
///
/// let mut characters = Vec::new();
/// assert!(utf32::from_utf8("\u{4e2d}\u{6587}!".as_bytes(), &mut characters).is_some());
/// assert_eq!(characters, [0x4e2d, 0x6587, 0x21]);
/// assert!(utf32::from_utf8(b"\xff", &mut characters).is_none());
/// ```
pub fn from_utf8(bytes: &[u8], out: &mut Vec<u32>) -> Option<()> {
    /// As many bytes are decoded in one go at most, so that where runs of such characters are short, little room is
    /// made for characters that do not come.
    const STEP: usize = 400;
    out.clear();
    out.reserve(bytes.len() / 3);
    let mut rest = bytes;
    while let Some(&first) = rest.first() {
        #[cfg(target_arch = "x86_64")]
        if first & 0xf0 == 0xe0 && is_fast() {
            // SAFETY: the function requires SSSE3, which `is_fast` has just found.
            let read = unsafe { decode_three_byte_blocks(rest.get(..STEP).unwrap_or(rest), out) };
            if read > 0 {
                rest = rest.get(read..)?;
                continue;
            }
        }
        let length = match first {
            0..0x80 => 1,
            0xc0..0xe0 => 2,
            0xe0..0xf0 => 3,
            _ => 4,
        };
        let (character, tail) = rest.split_at_checked(length)?;
        out.push(std::str::from_utf8(character).ok()?.chars().next()?.into());
        rest = tail;
    }
    Some(())
}

/// Decodes the characters of three bytes at the start of `bytes`, four in one step, and returns how many bytes these
/// were.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "ssse3")]
fn decode_three_byte_blocks(bytes: &[u8], out: &mut Vec<u32>) -> usize {
    use std::arch::x86_64::{
        __m128i, _mm_and_si128, _mm_cmpeq_epi32, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi32, _mm_setr_epi8, _mm_setzero_si128, _mm_shuffle_epi8, _mm_srli_epi32,
        _mm_storeu_si128,
    };
    let spread = _mm_setr_epi8(2, 1, 0, -1, 5, 4, 3, -1, 8, 7, 6, -1, 11, 10, 9, -1);
    let equal = |lanes: __m128i, mask: i32, wanted: i32| {
        _mm_cmpeq_epi32(
            _mm_and_si128(lanes, _mm_set1_epi32(mask)),
            _mm_set1_epi32(wanted),
        )
    };
    let start = out.len();
    out.resize(start + bytes.len() / 3, 0);
    let places = out.get_mut(start..).unwrap_or_default();
    let mut count = 0;
    let mut rest = bytes;
    for place in places.as_chunks_mut::<4>().0 {
        let (Some(block), Some(tail)) = (rest.first_chunk::<16>(), rest.get(12..)) else {
            break;
        };
        // SAFETY: `_mm_loadu_si128` requires 16 readable bytes at any address, which `block` is.
        let block = unsafe { _mm_loadu_si128(block.as_ptr().cast()) };
        let lanes = _mm_shuffle_epi8(block, spread);
        let low = _mm_and_si128(lanes, _mm_set1_epi32(0x3f));
        let middle = _mm_and_si128(_mm_srli_epi32::<2>(lanes), _mm_set1_epi32(0xfc0));
        let high = _mm_and_si128(_mm_srli_epi32::<4>(lanes), _mm_set1_epi32(0xf000));
        let characters = _mm_or_si128(_mm_or_si128(low, middle), high);
        let marked = equal(lanes, 0x00f0_c0c0, 0x00e0_8080);
        // Not UTF-8: a character that needs fewer than three bytes, and half of a surrogate pair.
        let long = _mm_cmpeq_epi32(
            _mm_and_si128(characters, _mm_set1_epi32(0xf800)),
            _mm_setzero_si128(),
        );
        let half = equal(characters, 0xf800, 0xd800);
        let wrong = _mm_movemask_epi8(_mm_or_si128(long, half));
        if _mm_movemask_epi8(marked) != 0xffff || wrong != 0 {
            break;
        }
        // SAFETY: `_mm_storeu_si128` requires 16 writable bytes at any address, which the four numbers of `place` are.
        unsafe { _mm_storeu_si128(place.as_mut_ptr().cast(), characters) };
        rest = tail;
        count += 4;
    }
    out.truncate(start + count);
    bytes.len() - rest.len()
}
