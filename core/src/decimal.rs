//! Decimal numbers of any size, compared exactly.
//!
//! An `f64` holds about 16 digits, so that two order numbers of 17 digits become equal in it. JSON
//! sets no such limit (RFC 8259, section 6), and a sender may rely on every digit.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Number;

/// The largest number of digits of a divisor in [`Decimal::is_multiple_of`]: ten times the
/// divisor must fit into 128 bits.
const MAX_DIVISOR_DIGITS: usize = 37;
/// 2^127 is more than any divisor, so 10 to this power holds every factor 2 and 5 of one.
const MAX_DIVISOR_TWOS: u64 = 127;
/// Exponents are clamped here. A number of this size is written with an exponent of 18 digits.
const MAX_EXPONENT: i64 = 1 << 60;

/// A decimal number with all its digits. `1`, `1.0`, `10e-1` are equal; so are `0` and `-0`.
///
/// ```
/// use hookward_core::Decimal;
///
/// let number = |text| Decimal::parse(text).unwrap();
/// assert!(number("9007199254740993") > number("9007199254740992.0"));
/// assert_eq!(number("1e2"), number("100.0"));
/// assert_ne!(number("0.1"), number("0.1000000000000000055511151231257827"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Decimal {
    negative: bool,
    /// The digits without leading and trailing zeros; empty for zero. The value is
    /// `0.DIGITS × 10^exponent`.
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Parses a number as JSON and YAML write it; `None` for other text, such as hexadecimal.
    ///
    /// Exponents beyond 2^60 are clamped: only numbers of that size compare inexactly.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(unsigned) => (true, unsigned),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, power) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, parse_exponent(power)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let digits = [whole, fraction].concat();
        let significant = digits.trim_start_matches('0');
        let leading_zeros = digits.len() - significant.len();
        let significant = significant.trim_end_matches('0');
        if significant.is_empty() {
            return Some(Self { negative: false, digits: String::new(), exponent: 0 });
        }
        let point = to_i64(whole.len()).saturating_sub(to_i64(leading_zeros));
        let exponent = power.saturating_add(point).clamp(-MAX_EXPONENT, MAX_EXPONENT);
        Some(Self { negative, digits: significant.to_owned(), exponent })
    }

    /// Whether the number has no fraction: `1.0` and `1e2` have none.
    pub fn is_integer(&self) -> bool {
        to_i64(self.digits.len()) <= self.exponent.max(0)
    }

    /// Whether the number is an integer times `divisor`, exactly. `None` for a divisor of zero or
    /// of more than 37 digits.
    pub fn is_multiple_of(&self, divisor: &Self) -> Option<bool> {
        if divisor.digits.len() > MAX_DIVISOR_DIGITS {
            return None;
        }
        let mut divisor_digits: u128 = divisor.digits.parse().ok()?;
        if self.digits.is_empty() {
            return Some(true);
        }
        // Both are an integer that does not end in zero times a power of ten.
        let power = |n: &Self| n.exponent - to_i64(n.digits.len());
        let Ok(mut tens) = u64::try_from(power(self) - power(divisor)) else {
            return Some(false);
        };
        if tens > MAX_DIVISOR_TWOS {
            for factor in [2, 5] {
                while divisor_digits.is_multiple_of(factor) {
                    divisor_digits /= factor;
                }
            }
            tens = 0;
        }
        let digits = self.digits.bytes().map(|b| u128::from(b.wrapping_sub(b'0')));
        let zeros = std::iter::repeat_n(0, usize::try_from(tens).unwrap_or_default());
        let rest = digits.chain(zeros).fold(0, |rest, digit| (rest * 10 + digit) % divisor_digits);
        Some(rest == 0)
    }

    fn cmp_size(&self, other: &Self) -> Ordering {
        // Without leading zeros the higher power of ten decides, and then the digits as text.
        self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |n: &Self| match (n.digits.is_empty(), n.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        match sign(self) {
            own if own != sign(other) => own.cmp(&sign(other)),
            0 => Ordering::Equal,
            -1 => other.cmp_size(self),
            _ => self.cmp_size(other),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The decimal that the number prints as: an `f64` of `0.1` is 0.1, not the binary fraction near
/// it.
impl From<&Number> for Decimal {
    fn from(number: &Number) -> Self {
        Self::parse(&number.to_string()).unwrap_or(Self {
            negative: false,
            digits: String::new(),
            exponent: 0,
        })
    }
}

/// Scientific notation, which [`Decimal::parse`] reads back.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.digits.is_empty() {
            return f.write_str("0");
        }
        let sign = if self.negative { "-" } else { "" };
        let (first, rest) = self.digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        write!(f, "{sign}{first}{point}{rest}e{}", self.exponent - 1)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decimal({self})")
    }
}

/// Parses the part behind the `e`. One that does not fit is as large as can be.
fn parse_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let power = digits.parse::<i64>().unwrap_or(MAX_EXPONENT).min(MAX_EXPONENT);
    Some(if negative { -power } else { power })
}

fn to_i64(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(MAX_EXPONENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigInt;
    use proptest::prelude::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn numbers_that_are_equal_in_any_notation_are_equal() {
        for (a, b) in [
            ("0.1", "0.10"),
            ("1e2", "100"),
            ("1E+2", "100.000"),
            ("-0", "0"),
            ("0e99", "0.000"),
            ("123.45e-2", "1.2345"),
            ("+5", "5."),
            (".5", "0.5"),
            ("1e-400", "0.1e-399"),
        ] {
            assert_eq!(number(a), number(b), "{a} {b}");
        }
    }

    #[test]
    fn numbers_past_f64_and_u64_are_told_apart() {
        for (less, more) in [
            ("9007199254740992", "9007199254740993"),
            ("18446744073709551615", "18446744073709551616"),
            ("-9223372036854775809", "-9223372036854775808"),
            ("0.1", "0.10000000000000000001"),
            ("99999999999999999999999999999998", "99999999999999999999999999999999"),
            ("1e308", "1e309"),
            ("-1", "0"),
            ("0", "1e-999999999999"),
        ] {
            assert!(number(less) < number(more), "{less} {more}");
            assert!(number(more) > number(less), "{less} {more}");
        }
    }

    #[test]
    fn text_that_is_not_a_decimal_number_is_not_parsed() {
        for text in ["", "-", ".", "e5", "1e", "1e+", "0x10", "1_000", "١", "1.2.3", "--1", "nan"]
        {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn huge_exponents_do_not_overflow() {
        let huge = format!("1e{}", "9".repeat(400));
        assert!(number(&huge) > number("1e999999"));
        assert!(number(&format!("1e-{}", "9".repeat(400))) > number("0"));
        assert!(number(&huge).is_integer());
        assert_eq!(number(&huge).is_multiple_of(&number("8")), Some(true));
        assert_eq!(number(&huge).is_multiple_of(&number("3")), Some(false));
    }

    #[test]
    fn a_divisor_that_cannot_be_used_is_reported() {
        assert_eq!(number("1").is_multiple_of(&number("0")), None);
        assert_eq!(number("1").is_multiple_of(&number(&"1".repeat(38))), None);
        assert_eq!(number("0").is_multiple_of(&number("0.01")), Some(true));
        assert_eq!(number("0.3").is_multiple_of(&number("0.1")), Some(true));
        assert_eq!(number("0.35").is_multiple_of(&number("0.1")), Some(false));
    }

    /// The text of `digits × 10^-places`, written with a point.
    fn decimal_text(value: i128, places: usize) -> String {
        let digits = format!("{:0>width$}", value.unsigned_abs(), width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        format!("{}{whole}.{fraction}0", if value < 0 { "-" } else { "" })
    }

    proptest! {
        #[test]
        fn order_is_that_of_big_integers(a: i128, b: i128, a_places in 0..30_usize, near: bool) {
            let b = if near { a.wrapping_add(b.signum()) } else { b };
            let (x, y) = (number(&decimal_text(a, a_places)), number(&decimal_text(b, a_places)));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            // The same numbers with other places, both scaled to integers.
            let y = number(&format!("{b}e-7"));
            let scale = |n: i128, power: usize| BigInt::from(n) * BigInt::from(10).pow(power as u32);
            prop_assert_eq!(x.cmp(&y), scale(a, 7).cmp(&scale(b, a_places)));
            prop_assert_eq!(x.cmp(&number(&x.to_string())), Ordering::Equal);
        }

        #[test]
        fn multiples_are_those_of_big_integers(a: i64, b in 1..u32::MAX, tens in 0..200_u32) {
            let value = BigInt::from(a) * BigInt::from(10).pow(tens);
            let expected = value % BigInt::from(b) == BigInt::from(0);
            let found = number(&format!("{a}e{tens}")).is_multiple_of(&number(&b.to_string()));
            prop_assert_eq!(found, Some(expected));
        }

        #[test]
        fn every_finite_float_is_the_decimal_that_it_prints_as(value: f64) {
            if let Some(json) = Number::from_f64(value) {
                let decimal = Decimal::from(&json);
                prop_assert_eq!(decimal.to_string().parse::<f64>().unwrap(), value);
                prop_assert_eq!(decimal.is_integer(), value.fract() == 0.0);
            }
        }
    }
}
