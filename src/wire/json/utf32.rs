//! A long text that is mostly Chinese, Japanese or Korean, from UTF-8 to one number a character.

/// Whether `from_utf8` beats a decoder that reads byte by byte.
pub fn is_fast() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("ssse3");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Puts the characters of a text that is mostly Chinese, Japanese or Korean into `out`; `None` if it is not UTF-8.
pub fn from_utf8(bytes: &[u8], out: &mut Vec<u32>) -> Option<()> {
    /// So little is made room for in vain where runs of such characters are short.
    const STEP: usize = 400;
    out.clear();
    out.reserve(bytes.len() / 3);
    let mut rest = bytes;
    while let Some(&first) = rest.first() {
        #[cfg(target_arch = "x86_64")]
        if first & 0xf0 == 0xe0 && is_fast() {
            // SAFETY: the processor has what the function needs.
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

/// Widens characters of three bytes, four in one step, and says how many bytes these were.
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
        // SAFETY: the load reads the 16 bytes of the block, wherever they are.
        let block = unsafe { _mm_loadu_si128(block.as_ptr().cast()) };
        let lanes = _mm_shuffle_epi8(block, spread);
        let low = _mm_and_si128(lanes, _mm_set1_epi32(0x3f));
        let middle = _mm_and_si128(_mm_srli_epi32::<2>(lanes), _mm_set1_epi32(0xfc0));
        let high = _mm_and_si128(_mm_srli_epi32::<4>(lanes), _mm_set1_epi32(0xf000));
        let characters = _mm_or_si128(_mm_or_si128(low, middle), high);
        let marked = equal(lanes, 0x00f0_c0c0, 0x00e0_8080);
        // What fewer bytes would say, and half a surrogate pair.
        let long = _mm_cmpeq_epi32(
            _mm_and_si128(characters, _mm_set1_epi32(0xf800)),
            _mm_setzero_si128(),
        );
        let half = equal(characters, 0xf800, 0xd800);
        let wrong = _mm_movemask_epi8(_mm_or_si128(long, half));
        if _mm_movemask_epi8(marked) != 0xffff || wrong != 0 {
            break;
        }
        // SAFETY: the store fills the 16 bytes of the array.
        unsafe { _mm_storeu_si128(place.as_mut_ptr().cast(), characters) };
        rest = tail;
        count += 4;
    }
    out.truncate(start + count);
    bytes.len() - rest.len()
}
