//! Durations in flags: `10s`, `5m`, `12h`, `30d`, or a plain number of seconds.

use std::time::Duration;

const DAY: f64 = 86_400.0;

/// Ten years. A longer duration is a mistake.
const LONGEST: f64 = 3650.0 * DAY;

/// Parses a duration, which may be zero.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1.0),
        Some((at, 'm')) => (&text[..at], 60.0),
        Some((at, 'h')) => (&text[..at], 3600.0),
        Some((at, 'd')) => (&text[..at], DAY),
        Some(_) | None => (text, 1.0),
    };
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = number.parse::<f64>().ok().filter(|_| plain).map(|number| number * unit);
    let seconds = seconds.filter(|seconds| (0.0..=LONGEST).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "expected seconds, or a number with s, m, h or d, up to 3650d".to_owned())
}

/// Parses a duration of at least a second: the interval of a loop, or the lifetime of a
/// certificate.
pub(crate) fn some_duration(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|time| {
        let least = Duration::from_secs(1);
        if time < least { Err("expected at least 1 second".to_owned()) } else { Ok(time) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_are_seconds_without() {
        for (text, seconds) in [
            ("0", 0.0),
            ("0.5", 0.5),
            ("3s", 3.0),
            ("2m", 120.0),
            ("1.5h", 5400.0),
            ("30d", 2_592_000.0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
        assert_eq!(some_duration("1"), Ok(Duration::from_secs(1)));
        assert!(some_duration("0").is_err() && some_duration("0.9").is_err());
    }

    #[test]
    fn malformed_durations_are_rejected() {
        for text in ["", "s", "-1", "NaN", "inf", "1e9", "1w", "3651d", "1 s", "1.2.3", "é", "1é"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
