//! Decimal text to the nearest f32 or f64, ties to even, in one rounding.
//!
//! `-0.012345678,…` is the f32 nearest to -0.012345678, and 12 bytes long; `26}` is the integer 26.
//!
//! For f32: a number of up to 19 significant digits is an integer `w` and a power of ten. `w` as f64, times or over the
//! power as f64, is off by at most three roundings of f64, so by less than 4 units in its last place. Rounding that to
//! f32 gives the wrong neighbour only where such an error crosses the midpoint of two f32s. Midpoints are recognized by
//! their lower 29 bits; near one, below the normal range of f32, and for everything longer, Rust's own parser decides,
//! which rounds every text correctly and takes its time.
//!
//! For f64: where `w` and the power of ten are both exact as f64, one multiplication or division rounds once (Clinger);
//! where both fit 64 bits, a division of integers tells where to round. Rust's own parser decides all else.

const ONES: u64 = 0x0101_0101_0101_0101;

/// How far from a midpoint the estimate must be, in units of the last place of f64: twice the largest error.
const MARGIN: u64 = 8;
/// The lower bits that f32 has no room for, and their value in the middle between two f32s.
const LOST: u64 = (1 << 29) - 1;
const MIDDLE: u64 = 1 << 28;

/// 10^0 to 10^45, each the nearest f64 (exact up to 10^22).
const POWERS: [f64; 46] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 1e23, 1e24, 1e25, 1e26, 1e27, 1e28, 1e29, 1e30, 1e31, 1e32,
    1e33, 1e34, 1e35, 1e36, 1e37, 1e38, 1e39, 1e40, 1e41, 1e42, 1e43, 1e44, 1e45,
];

/// 10^0 to 10^7.
const TENS: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// Every integer up to 2^53 is an f64, and every power of ten up to 10^22.
const EXACT_INTEGER: u64 = 1 << 53;
const EXACT_POWER: u64 = 22;

/// A number, as Python's `json.loads` tells integers and floats apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Integer(i64),
    Float(f64),
}

/// A JSON number, taken apart.
struct DecimalParts<'a> {
    source: &'a [u8],
    negative: bool,
    /// The integer that all digits make, without the decimal point, if `exact`.
    number: u64,
    exact: bool,
    power: i64,
    /// Whether there is neither a fraction nor an exponent.
    integer: bool,
}

/// Reads the JSON number at the start of `text`: the nearest f32 (infinite where it is too large) and the length of
/// the number. `None`: no JSON number starts here. What follows the number is not looked at.
#[inline]
pub(crate) fn read_f32(text: &[u8]) -> Option<(f32, usize)> {
    let parts = DecimalParts::of(text)?;
    let size = if parts.exact {
        estimate(parts.number, parts.power)
    } else {
        None
    };
    let value = match size {
        // Set without a branch: the signs in a vector are random, so that the processor would guess every second one
        // wrong.
        Some(size) => f32::from_bits(size.to_bits() | u32::from(parts.negative) << 31),
        None => std::str::from_utf8(parts.source).ok()?.parse().ok()?,
    };
    Some((value, parts.source.len()))
}

/// As `read_f32`, but the nearest f64, or the integer. `None` also for an integer that is no i64.
#[inline]
pub(crate) fn read_number(text: &[u8]) -> Option<(Number, usize)> {
    let parts = DecimalParts::of(text)?;
    let number = if parts.integer {
        let size = i64::try_from(parts.number).ok().filter(|_| parts.exact)?;
        Number::Integer(if parts.negative { -size } else { size })
    } else {
        let size = exact_product(&parts).or_else(|| rounded_quotient(&parts));
        Number::Float(match size {
            Some(size) => f64::from_bits(size.to_bits() | u64::from(parts.negative) << 63),
            None => std::str::from_utf8(parts.source).ok()?.parse().ok()?,
        })
    };
    Some((number, parts.source.len()))
}

impl<'a> DecimalParts<'a> {
    #[inline]
    fn of(text: &'a [u8]) -> Option<Self> {
        let (negative, unsigned) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            _ => (false, text),
        };
        let mut rest = unsigned;
        let mut number = 0;
        match rest.split_first()? {
            (b'0', tail) => rest = tail,
            (b'1'..=b'9', _) => rest = digits(rest, &mut number),
            _ => return None,
        }
        let mut count = unsigned.len() - rest.len();
        let mut power = 0_i64;
        let mut integer = true;
        if let Some((b'.', fraction)) = rest.split_first() {
            rest = digits(fraction, &mut number);
            let places = fraction.len() - rest.len();
            if places == 0 {
                return None;
            }
            count += places;
            power = -i64::try_from(places).ok()?;
            integer = false;
        }
        if let Some((b'e' | b'E', after)) = rest.split_first() {
            let (exponent, tail) = exponent(after)?;
            power = power.saturating_add(exponent);
            rest = tail;
            integer = false;
        }
        Some(Self {
            source: text.get(..text.len() - rest.len())?,
            negative,
            number,
            exact: count <= 19 || significant(unsigned) <= 19,
            power,
            integer,
        })
    }
}

/// The f64 of a number whose digits and power are exact as f64: one operation, so one rounding.
#[inline]
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn exact_product(parts: &DecimalParts<'_>) -> Option<f64> {
    let size = parts.power.unsigned_abs();
    if !parts.exact || parts.number > EXACT_INTEGER || size > EXACT_POWER {
        return None;
    }
    let scale = *POWERS.get(usize::try_from(size).ok()?)?;
    let number = parts.number as f64;
    Some(if parts.power < 0 {
        number / scale
    } else {
        number * scale
    })
}

/// The f64 nearest to digits over a power of ten that fits 64 bits: one division of integers, whose quotient has 63 or
/// 64 bits. A remainder sets the lowest, which is far below what f64 has room for, so the conversion rounds rightly.
/// This is how the 17 digits of an f32 that was widened to a double are read.
#[expect(clippy::cast_precision_loss, reason = "the one rounding to f64")]
fn rounded_quotient(parts: &DecimalParts<'_>) -> Option<f64> {
    let places = u32::try_from(parts.power.checked_neg()?).ok()?;
    let divisor = 10_u64.checked_pow(places)?;
    if !parts.exact || parts.number == 0 {
        return None;
    }
    let (up, down) = (parts.number.leading_zeros(), divisor.leading_zeros());
    let dividend = u128::from(parts.number << up) << 63;
    let divisor = u128::from(divisor << down);
    let quotient = u64::try_from(dividend / divisor).ok()?;
    let rest = u64::from(dividend % divisor != 0);
    let scale = f64::from_bits(u64::from(1023 + down - 63 - up) << 52);
    Some((quotient | rest) as f64 * scale)
}

/// The nearest f32 of `number` times ten to the `power`, where f64 is exact enough to tell.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the one rounding to f32")]
#[expect(
    clippy::cast_precision_loss,
    reason = "counted as one of the three roundings"
)]
fn estimate(number: u64, power: i64) -> Option<f32> {
    if number == 0 {
        return Some(0.0);
    }
    let scale = *POWERS.get(usize::try_from(power.unsigned_abs()).ok()?)?;
    let number = number as f64;
    let value = if power < 0 {
        number / scale
    } else {
        number * scale
    };
    let near = (value.to_bits() & LOST).abs_diff(MIDDLE) <= MARGIN;
    (!near && value >= f64::from(f32::MIN_POSITIVE) * 1.001).then_some(value as f32)
}

/// Takes the digits at the start of `text` into `number`, which is right as long as all digits together fit.
#[inline]
fn digits<'a>(text: &'a [u8], number: &mut u64) -> &'a [u8] {
    let mut rest = text;
    while let Some((word, tail)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        // Only digits are below ten after this. A carry makes wrong bits above the first other byte only.
        let size = word ^ (ONES * 0x30);
        let others = (size.wrapping_add(ONES * 0x76) | size) & (ONES * 0x80);
        if others == 0 {
            *number = number.wrapping_mul(100_000_000).wrapping_add(eight(word));
            rest = tail;
            continue;
        }
        // Fewer than eight digits are moved to the upper bytes, so that zeros stand before them.
        let count = others.trailing_zeros() / 8;
        if let (1.., Some(scale)) = (count, TENS.get(count as usize)) {
            let moved = word << (64 - 8 * count);
            *number = number.wrapping_mul(*scale).wrapping_add(eight(moved));
        }
        return rest.get(count as usize..).unwrap_or_default();
    }
    while let Some((digit @ b'0'..=b'9', tail)) = rest.split_first() {
        *number = number
            .wrapping_mul(10)
            .wrapping_add(u64::from(digit - b'0'));
        rest = tail;
    }
    rest
}

/// The number that eight digits make, the first of them in the lowest byte: pairs, then fours, then all.
#[inline]
fn eight(word: u64) -> u64 {
    let digits = word & (ONES * 0x0f);
    let pairs = (digits.wrapping_mul(10 * 256 + 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100 * 65_536 + 1) >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000 * 4_294_967_296 + 1) >> 32
}

/// The exponent at the start of `text`, after the `e`. An exponent of more than 18 digits becomes one that is as far
/// out of the range of floats.
fn exponent(text: &[u8]) -> Option<(i64, &[u8])> {
    let (negative, unsigned) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    let mut rest = unsigned;
    let mut size = 0_i64;
    while let Some((digit @ b'0'..=b'9', tail)) = rest.split_first() {
        size = (size * 10 + i64::from(digit - b'0')).min(i64::MAX / 20);
        rest = tail;
    }
    (rest.len() < unsigned.len()).then_some((if negative { -size } else { size }, rest))
}

/// How many digits a number without sign has, the zeros before the first other digit not counted.
#[cold]
fn significant(unsigned: &[u8]) -> usize {
    unsigned
        .iter()
        .take_while(|byte| byte.is_ascii_digit() || **byte == b'.')
        .filter(|byte| **byte != b'.')
        .skip_while(|byte| **byte == b'0')
        .count()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::{Number, read_f32, read_number};

    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
        }

        fn below(&mut self, limit: usize) -> usize {
            usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
        }
    }

    fn check(text: &str) {
        let expected: f32 = text.parse().unwrap();
        let (value, length) =
            read_f32(text.as_bytes()).unwrap_or_else(|| panic!("{text} is refused"));
        assert_eq!(
            value.to_bits(),
            expected.to_bits(),
            "{text}: {value:e} for {expected:e}"
        );
        assert_eq!(length, text.len(), "{text}");
        check_number(text);
        // With other bytes behind them, digits are read eight at a time.
        let longer = format!("{text},\"/:0123456789");
        assert_eq!(read_f32(longer.as_bytes()), Some((value, length)), "{text}");
        let both = [text, &longer].map(|text| read_number(text.as_bytes()));
        assert_eq!(both[0], both[1], "{text}");
    }

    fn check_number(text: &str) {
        let found = read_number(text.as_bytes());
        if text.contains(['.', 'e', 'E']) {
            let (Some((Number::Float(value), length)), Ok(expected)) = (found, text.parse::<f64>())
            else {
                panic!("{text} is refused");
            };
            assert_eq!(value.to_bits(), expected.to_bits(), "{text}");
            assert_eq!(length, text.len(), "{text}");
        } else {
            let expected = text.parse().ok();
            let value = found.map(|(value, _)| value);
            assert_eq!(value, expected.map(Number::Integer), "{text}");
        }
    }

    #[test]
    fn every_form() {
        for text in [
            "0",
            "-0",
            "0.0",
            "-0.0",
            "0e0",
            "0E+5",
            "-0e-999999999999999999999",
            "1",
            "-1",
            "10",
            "1E5",
            "-3.2e-7",
            "1e-45",
            "7e-46",
            "7.1e-46",
            "1.4e-45",
            "1.17549435e-38",
            "1.1754942e-38",
            "3.4028235e38",
            "3.4028235677973366e38",
            "3.4028235677973367e38",
            "3.4028236e38",
            "1e39",
            "-1e999999999999999999999",
            "1e-999999999999999999999",
            "16777217",
            "16777217.0000000000000000000000001",
            "16777216.9999999999999999999999",
            "0.00000000000000000000000000000000000000000000000000001e53",
            "9007199254740993",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999",
            "0.1234567890123456789",
            "0.12345678901234567890",
            "0.00000000000000000000123456789",
            "123456789012345678901234567890e-20",
        ] {
            check(text);
        }
        check(&format!("0.{}1", "0".repeat(2000)));
        check(&format!("1{}e-2000", "0".repeat(2000)));
    }

    #[test]
    fn what_is_no_number() {
        for text in [
            "",
            "-",
            "+1",
            ".5",
            "-.5",
            "1.",
            "1.e5",
            "1e",
            "1e+",
            "1E-",
            "e5",
            "NaN",
            "Infinity",
            "-Infinity",
            "null",
            "\"1\"",
            "--1",
            "/0",
            ":",
        ] {
            assert_eq!(read_f32(text.as_bytes()), None, "{text}");
            assert_eq!(read_number(text.as_bytes()), None, "{text}");
        }
        for (text, length) in [("01", 1), ("-00", 2), ("1.5.5", 3), ("1,2", 1), ("0x1", 1)] {
            assert_eq!(read_f32(text.as_bytes()).unwrap().1, length, "{text}");
        }
    }

    /// What the server writes: the shortest text of an f32, and of an f32 widened to f64.
    #[test]
    fn random_floats() {
        let mut random = Random(1);
        for _ in 0..1_000_000 {
            let float = f32::from_bits((random.next() >> 32) as u32);
            if !float.is_finite() {
                continue;
            }
            check(&format!("{float:e}"));
            check(&format!("{:e}", f64::from(float)));
            if float.abs() > 1e-12 && float.abs() < 1e12 {
                check(&float.to_string());
                check(&f64::from(float).to_string());
            }
        }
    }

    #[test]
    fn random_digits() {
        let mut random = Random(2);
        for _ in 0..1_000_000 {
            let digits = random.next() >> (random.next() % 64);
            let power = i64::try_from(random.next() % 140).unwrap() - 80;
            check(&format!("{digits}e{power}"));
            let text = digits.to_string();
            let (front, back) = text.split_at(1 + random.below(text.len()));
            let more = if back.is_empty() { "0" } else { back };
            check(&format!("{front}.{more}"));
            check(&format!("-0.{}{text}", "0".repeat(random.below(12))));
            // Around the middle between two f64s.
            let middle = (1 << 53 | digits >> 11) * 2 + 1;
            for near in middle - 1..=middle + 1 {
                let text = near.to_string();
                check_number(&format!("{text}.0"));
                let (front, back) = text.split_at(1 + random.below(text.len()));
                check_number(&format!("{front}.{back}0"));
            }
        }
    }

    /// Around the middle between two f32s one more digit decides; exactly on it the even one wins.
    #[test]
    fn midpoints() {
        let mut random = Random(3);
        for _ in 0..300_000 {
            let low = f32::from_bits((random.next() >> 33) as u32);
            let high = f32::from_bits(low.to_bits() + 1);
            if !high.is_finite() {
                continue;
            }
            let middle = f64::midpoint(f64::from(low), f64::from(high));
            for bits in middle.to_bits() - 6..=middle.to_bits() + 6 {
                check(&format!("{:e}", f64::from_bits(bits)));
            }
            if (1e-5..1e20).contains(&low) {
                let exact = format!("{middle:.60}");
                check(&exact);
                check(&format!("{exact}1"));
                check(&format!("{middle:.17}"));
                check(&format!("{middle:.19e}"));
            }
        }
    }
}
