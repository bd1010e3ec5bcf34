//! Durations in flags and class parameters: `90s`, `1h30m`, `1.5h`, `7d`.
//!
//! All of them use one grammar: decimal numbers, each with a unit, as in durations of the
//! Kubernetes API, with days as an additional unit.

use std::time::Duration;

/// The units with their milliseconds. A unit that begins another one comes after it.
const UNITS: [(&str, f64); 5] =
    [("ms", 1.0), ("s", 1e3), ("m", 60e3), ("h", 3_600e3), ("d", 86_400e3)];

/// Ten years. A longer duration is a mistake of the unit.
const MAX_MILLIS: f64 = 3650.0 * 86_400e3;

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text is not numbers with units, or is longer than ten years.
    #[error("write a duration such as 90s, 30m, 12h or 7d, up to 3650d")]
    Malformed,
    /// The duration is too short for its use.
    #[error("write a duration of at least {0:?}")]
    TooShort(Duration),
}

/// Parses a duration in which every number has a unit. A plain number is rejected: a user who means
/// days must not get seconds.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text;
    let mut total = 0.0;
    while let Some((millis, after)) = leading(rest) {
        (total, rest) = (total + millis, after);
    }
    if text.is_empty() || !rest.is_empty() || total > MAX_MILLIS {
        return Err(DurationError::Malformed);
    }
    Ok(Duration::from_secs_f64(total / 1e3))
}

/// Parses a duration of at least `least`.
pub fn parse_at_least(text: &str, least: Duration) -> Result<Duration, DurationError> {
    at_least(parse(text)?, least)
}

/// Parses a duration of at least a millisecond: the interval of a loop.
pub fn parse_positive(text: &str) -> Result<Duration, DurationError> {
    parse_at_least(text, Duration::from_millis(1))
}

/// Parses a duration for a flag that also takes a plain number of seconds.
pub fn parse_or_seconds(text: &str) -> Result<Duration, DurationError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_plain { parse(&format!("{text}s")) } else { parse(text) }
}

/// Parses what [`parse_or_seconds`] takes, of at least one second.
pub fn parse_second_or_more(text: &str) -> Result<Duration, DurationError> {
    at_least(parse_or_seconds(text)?, Duration::from_secs(1))
}

fn at_least(duration: Duration, least: Duration) -> Result<Duration, DurationError> {
    if duration < least { Err(DurationError::TooShort(least)) } else { Ok(duration) }
}

/// Splits the first number with its unit off, in milliseconds.
fn leading(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(end);
    let unit = |(unit, millis): &(&str, f64)| Some((*millis, rest.strip_prefix(unit)?));
    let (millis, rest) = UNITS.iter().find_map(unit)?;
    Some((number.parse::<f64>().ok()? * millis, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_duration_is_numbers_with_units() {
        for (text, seconds) in [
            ("0s", 0.0),
            ("20ms", 0.02),
            ("90s", 90.0),
            ("2m", 120.0),
            ("1h30m", 5400.0),
            ("1.5h", 5400.0),
            ("7d12h", 648_000.0),
            ("3650d", 315_360_000.0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
            assert_eq!(parse_or_seconds(text), parse(text), "{text}");
        }
    }

    #[test]
    fn a_plain_number_is_seconds_only_for_a_flag_that_says_so() {
        for (text, seconds) in [("0", 0.0), ("0.02", 0.02), ("15", 15.0)] {
            assert_eq!(parse(text), Err(DurationError::Malformed), "{text}");
            assert_eq!(parse_or_seconds(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_not_a_duration_is_rejected() {
        let texts = [
            "",
            "s",
            "d",
            "-1s",
            "+1d",
            "NaN",
            "inf",
            "1e9",
            "1e9s",
            "1w",
            "3651d",
            "3650d1s",
            "1 s",
            "1.2.3s",
            ".s",
            "é",
            "1é",
            "1m30",
            "1ns",
            "99999999999999999999d",
            "1s ",
        ];
        for text in texts {
            assert_eq!(parse(text), Err(DurationError::Malformed), "{text}");
            assert_eq!(parse_or_seconds(text), Err(DurationError::Malformed), "{text}");
        }
    }

    #[test]
    fn a_duration_that_is_too_short_is_rejected_with_the_least() {
        let least = Duration::from_secs(1);
        assert_eq!(parse_at_least("1s", least), Ok(least));
        assert_eq!(parse_second_or_more("1"), Ok(least));
        for text in ["0", "0s", "0.9", "999ms"] {
            assert_eq!(
                parse_second_or_more(text).unwrap_err().to_string(),
                "write a duration of at least 1s",
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_text_with_units_is_the_same_for_every_flag(text in "[0-9.msdh +-]{0,12}|.{0,12}") {
            if let Ok(duration) = parse(&text) {
                prop_assert_eq!(parse_or_seconds(&text), Ok(duration));
            }
        }

        #[test]
        fn whole_seconds_are_read_exactly(seconds in 0_u64..315_360_000) {
            prop_assert_eq!(parse(&format!("{seconds}s")), Ok(Duration::from_secs(seconds)));
        }
    }
}
