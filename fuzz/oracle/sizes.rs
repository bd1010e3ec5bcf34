//! Sizes by another road: digit by digit, in whole numbers of 128 bits, for texts that fit them.

use fastrak_api::size::{Bytes, SizeError};

/// The units, as powers of ten and of two.
const UNITS: [(&str, i32, u32); 16] = [
    ("", 0, 0),
    ("n", -9, 0),
    ("u", -6, 0),
    ("m", -3, 0),
    ("k", 3, 0),
    ("M", 6, 0),
    ("G", 9, 0),
    ("T", 12, 0),
    ("P", 15, 0),
    ("E", 18, 0),
    ("Ki", 0, 10),
    ("Mi", 0, 20),
    ("Gi", 0, 30),
    ("Ti", 0, 40),
    ("Pi", 0, 50),
    ("Ei", 0, 60),
];

/// Holds what is read to the other road, and to itself when it is written and read again.
pub(crate) fn agree(text: &str) {
    let read = Bytes::parse(text);
    if let Ok(size) = read {
        assert_eq!(Bytes::parse(&size.to_string()), Ok(size), "{text:?} does not come back");
        assert_eq!(Bytes::read(&size.quantity()), Ok(size), "{text:?} does not come back");
    }
    match (model(text), read) {
        (Some(Ok(bytes)), Ok(size)) => assert_eq!(bytes, size.0, "{text:?}"),
        (Some(Err(())), Err(SizeError::TooLarge(_))) | (None, _) => {}
        (model, read) => panic!("{text:?}: {model:?} here, {read:?} there"),
    }
}

/// A text of few digits and no sign: what it is in bytes, rounded up, or that it is too much.
fn model(text: &str) -> Option<Result<u64, ()>> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, ten, two) = *UNITS.iter().find(|(name, _, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 15 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut over: u128 = digits.parse().ok()?;
    let mut under: u128 = 1;
    let shift = ten - i32::try_from(fraction.len()).ok()?;
    let power = 10_u128.checked_pow(shift.unsigned_abs())?;
    if shift < 0 {
        under = power
    } else {
        over = over.checked_mul(power)?
    }
    let bytes = over.checked_mul(1 << two)?.div_ceil(under);
    Some(u64::try_from(bytes).map_err(|_| ()))
}
