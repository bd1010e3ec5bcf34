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

impl Bytes {
    /// Parses a quantity: `1Gi`, `1.5G`, `500M`, `1e9`, `1000m`.
    pub fn parse(text: &str) -> Result<Self, SizeError> {
        let not_a_quantity = || SizeError::NotAQuantity(text.to_owned());
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let end =
            unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (bits, exponent) = scale_of(suffix).ok_or_else(not_a_quantity)?;
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
        let shift = exponent.saturating_sub(fraction);
        scaled(digits, bits, shift).map(Self).ok_or_else(too_large)
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

/// Returns the powers of two and of ten that a suffix stands for.
fn scale_of(suffix: &str) -> Option<(u32, i64)> {
    const NAMED: [(&str, (u32, i64)); 16] = [
        ("", (0, 0)),
        ("n", (0, -9)),
        ("u", (0, -6)),
        ("m", (0, -3)),
        ("k", (0, 3)),
        ("M", (0, 6)),
        ("G", (0, 9)),
        ("T", (0, 12)),
        ("P", (0, 15)),
        ("E", (0, 18)),
        ("Ki", (10, 0)),
        ("Mi", (20, 0)),
        ("Gi", (30, 0)),
        ("Ti", (40, 0)),
        ("Pi", (50, 0)),
        ("Ei", (60, 0)),
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
    Some((0, exponent.parse().unwrap_or(limit)))
}

/// Returns `digits` × 2^`bits` × 10^`shift`, rounded up. `None` if 64 bits cannot hold it.
fn scaled(digits: &str, bits: u32, shift: i64) -> Option<u64> {
    // With the largest unit, 20 digits fit into 128 bits. Further ones only matter for rounding.
    let (kept, dropped) = digits.split_at(digits.len().min(20));
    let value = kept.parse::<u128>().ok()?.checked_mul(1 << bits)?;
    let rest = dropped.bytes().any(|b| b != b'0');
    let shift = shift.saturating_add(i64::try_from(dropped.len()).ok()?);
    let places = u32::try_from(shift.unsigned_abs()).ok();
    let power = places.and_then(|places| 10u128.checked_pow(places));
    let size = match power {
        None if shift < 0 => 1,
        None => return None,
        Some(power) if shift < 0 => value / power + u128::from(value % power != 0 || rest),
        Some(power) => value.checked_mul(power)?.checked_add(rest.into())?,
    };
    u64::try_from(size).ok()
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
