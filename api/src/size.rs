//! Sizes in bytes, parsed from and written as Kubernetes quantities.
//!
//! Quantities below zero or beyond 64 bits are errors. Fractions of a byte are rounded up, as the
//! API server does.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::fmt;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// A text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// The text is not a quantity.
    #[error("{0:?} is not a size; write a number with a unit, such as 1Gi or 500M")]
    NotAQuantity(String),
    /// The quantity is below zero.
    #[error("{0:?} is below zero; a size is positive")]
    Negative(String),
    /// The quantity is beyond 64 bits.
    #[error("{0:?} is more than the maximum of 16Ei")]
    TooLarge(String),
}

/// The scale of a quantity's number.
enum Scale {
    Decimal(i64),
    Binary(u32),
}

impl Bytes {
    /// Parses a quantity: `1Gi`, `1.5G`, `500M`, `1e9`, `1000m`.
    pub fn parse(text: &str) -> Result<Self, SizeError> {
        let not_a_quantity = || SizeError::NotAQuantity(text.to_owned());
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let end =
            unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let scale = scale_of(suffix).ok_or_else(not_a_quantity)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(not_a_quantity());
        }
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() {
            return Ok(Self(0));
        }
        if text.starts_with('-') {
            return Err(SizeError::Negative(text.to_owned()));
        }
        let too_large = || SizeError::TooLarge(text.to_owned());
        let fraction = i64::try_from(fraction.len()).map_err(|_| too_large())?;
        scaled(digits, fraction, &scale).map(Self).ok_or_else(too_large)
    }

    /// Parses the quantity of an object.
    pub fn read(quantity: &Quantity) -> Result<Self, SizeError> {
        Self::parse(&quantity.0)
    }

    /// Returns the size as a quantity, in the largest binary unit that holds it exactly.
    #[must_use]
    pub fn quantity(self) -> Quantity {
        Quantity(self.to_string())
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u32, &str); 6] =
            [(60, "Ei"), (50, "Pi"), (40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")];
        let unit = UNITS.iter().find(|(bits, _)| self.0 != 0 && self.0.trailing_zeros() >= *bits);
        match unit {
            Some((bits, name)) => write!(f, "{}{name}", self.0 >> bits),
            None => write!(f, "{}", self.0),
        }
    }
}

fn scale_of(suffix: &str) -> Option<Scale> {
    const NAMED: [(&str, Scale); 16] = [
        ("", Scale::Decimal(0)),
        ("n", Scale::Decimal(-9)),
        ("u", Scale::Decimal(-6)),
        ("m", Scale::Decimal(-3)),
        ("k", Scale::Decimal(3)),
        ("M", Scale::Decimal(6)),
        ("G", Scale::Decimal(9)),
        ("T", Scale::Decimal(12)),
        ("P", Scale::Decimal(15)),
        ("E", Scale::Decimal(18)),
        ("Ki", Scale::Binary(10)),
        ("Mi", Scale::Binary(20)),
        ("Gi", Scale::Binary(30)),
        ("Ti", Scale::Binary(40)),
        ("Pi", Scale::Binary(50)),
        ("Ei", Scale::Binary(60)),
    ];
    if let Some((_, scale)) = NAMED.into_iter().find(|(name, _)| *name == suffix) {
        return Some(scale);
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // An exponent beyond 64 bits makes a number too small or too large, by its sign.
    let limit = if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 };
    Some(Scale::Decimal(exponent.parse().unwrap_or(limit)))
}

/// Returns `digits` × 10^−`fraction` × `scale`, rounded up. `None` if 64 bits cannot hold it.
fn scaled(digits: &str, fraction: i64, scale: &Scale) -> Option<u64> {
    match scale {
        Scale::Decimal(exponent) => {
            let shift = exponent.saturating_sub(fraction);
            let kept = digits.trim_end_matches('0');
            let trailing = i64::try_from(digits.len() - kept.len()).ok()?;
            decimal(kept, shift.saturating_add(trailing))
        }
        Scale::Binary(bits) => {
            // 38 digits fill 128 bits less the 60 of the largest unit only up to 20 digits; more
            // than that before the point is too large, after it below a byte's worth.
            let kept = digits.get(..20.min(digits.len()))?;
            let dropped = i64::try_from(digits.len() - kept.len()).ok()?;
            let rest = digits.bytes().skip(kept.len()).any(|b| b != b'0');
            let value = kept.parse::<u128>().ok()?.checked_mul(1u128 << bits)?;
            let places = fraction.saturating_sub(dropped);
            if places < 0 {
                return None;
            }
            let Some(divisor) = power_of_ten(places) else { return Some(1) };
            let exact = value % divisor == 0 && !rest;
            u64::try_from(value / divisor + u128::from(!exact)).ok()
        }
    }
}

/// Returns `digits` × 10^`shift`, rounded up.
fn decimal(digits: &str, shift: i64) -> Option<u64> {
    if shift >= 0 {
        let value: u128 = digits.parse().ok()?;
        return u64::try_from(value.checked_mul(power_of_ten(shift)?)?).ok();
    }
    let drop = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX);
    if drop >= digits.len() {
        return Some(1);
    }
    let (whole, _) = digits.split_at(digits.len() - drop);
    // The dropped digits end in one other than zero: the caller has trimmed the rest.
    whole.parse::<u64>().ok()?.checked_add(1)
}

fn power_of_ten(exponent: i64) -> Option<u128> {
    10u128.checked_pow(u32::try_from(exponent).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_of_every_form_are_read() {
        for (text, bytes) in [
            ("0", 0),
            ("-0", 0),
            ("1", 1),
            ("+5", 5),
            ("1Ki", 1024),
            ("1.5Gi", 1_610_612_736),
            ("1Ei", 1 << 60),
            ("15Ei", 15 << 60),
            ("1k", 1000),
            ("1.5G", 1_500_000_000),
            ("1E", 1_000_000_000_000_000_000),
            ("1E3", 1000),
            ("1e3", 1000),
            ("12e+2", 1200),
            ("1000e-3", 1),
            ("1m", 1),
            ("1500m", 2),
            ("100n", 1),
            ("0.1", 1),
            ("1e-400", 1),
            ("1e-99999999999999999999", 1),
            ("0e400", 0),
            (".5Ki", 512),
            ("5.Ki", 5120),
            ("0.0000000000000000000000000000001Ki", 1),
            ("1.00000000000000000000000000000000000000000Ki", 1024),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(Bytes::parse(text), Ok(Bytes(bytes)), "{text:?}");
        }
    }

    #[test]
    fn a_text_that_is_not_a_size_is_rejected() {
        for text in [
            "", "Gi", "1Zi", "1 Gi", "1gi", "abc", "1..5", "1.2.3", "0x10", "e3", "1e", "1e+",
            "--1", "١",
        ] {
            assert_eq!(
                Bytes::parse(text),
                Err(SizeError::NotAQuantity(text.to_owned())),
                "{text:?}"
            );
        }
        for text in ["-1", "-1Gi", "-1e400"] {
            assert_eq!(Bytes::parse(text), Err(SizeError::Negative(text.to_owned())), "{text:?}");
        }
        for text in ["1e400", "16Ei", "18446744073709551616", "1e99999999999999999999", "20E"] {
            assert_eq!(Bytes::parse(text), Err(SizeError::TooLarge(text.to_owned())), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_written_size_is_read_back(bytes: u64) {
            prop_assert_eq!(Bytes::parse(&Bytes(bytes).to_string()), Ok(Bytes(bytes)));
        }

        #[test]
        fn no_text_panics(text in "[-+]?[0-9.]{0,45}([eE][-+]?[0-9]{0,25}|[numkMGTPE]i?)?") {
            let _answer = Bytes::parse(&text);
        }

        #[test]
        fn binary_fractions_round_up(thousandths in 0u64..10_000_000) {
            let text = format!("{}.{:03}Ki", thousandths / 1000, thousandths % 1000);
            prop_assert_eq!(Bytes::parse(&text), Ok(Bytes((thousandths * 1024).div_ceil(1000))));
        }
    }
}
