//! What the API server's answer to a probe means, and what is to be reported of it. Pure.

use super::cause::{Cause, classify};
use fastrak_admission::verdict::clipped;
use fastrak_api::names;

/// The most of a message that is repeated: other programs' texts are in it.
const QUOTED: usize = 400;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The claim would have been made, and bears this mark.
    Admitted(Option<String>),
    /// The API server refused, with a code and a message.
    Refused(u16, String),
    /// There was no answer, and why.
    Nothing(String),
}

/// Why a probe failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// The kind of it.
    pub cause: Cause,
    /// What was said.
    pub detail: String,
}

/// How the probes before have gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    failed: u32,
    reported: Option<Cause>,
}

/// What is to be reported after a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// Nothing new.
    Nothing,
    /// The API server does not reach us, for this cause.
    Failing(Cause),
    /// It does again.
    Recovered,
}

/// Failures in a row that are reported. A single one may be a replica that has just gone: the API
/// server's view of a Service lags behind.
const REPORTED: u32 = 2;

/// What an answer means.
pub fn judge(heard: &Heard) -> Result<(), Failure> {
    let (cause, detail) = match heard {
        Heard::Admitted(Some(mark)) if mark == names::PROBE_SEEN => return Ok(()),
        Heard::Admitted(Some(mark)) => {
            (Cause::Altered, format!("the answer bears the mark {mark:?}"))
        }
        Heard::Admitted(None) => (Cause::Unregistered, "the answer bears no mark".to_owned()),
        Heard::Refused(code, message) => (classify(*code, message), message.clone()),
        Heard::Nothing(why) => (Cause::ApiServer, why.clone()),
    };
    Err(Failure { cause, detail: clipped(&detail, QUOTED) })
}

impl Standing {
    /// How it stands after one more probe, and what is to be reported.
    #[must_use]
    pub fn after(self, outcome: Result<(), Cause>) -> (Self, Tell) {
        match outcome {
            Ok(()) => {
                let tell = if self.reported.is_some() { Tell::Recovered } else { Tell::Nothing };
                (Self::default(), tell)
            }
            Err(cause) => {
                let failed = self.failed.saturating_add(1);
                let new = failed >= REPORTED && self.reported != Some(cause);
                let reported = if new { Some(cause) } else { self.reported };
                let tell = if new { Tell::Failing(cause) } else { Tell::Nothing };
                (Self { failed, reported }, tell)
            }
        }
    }

    /// Returns whether the API server reaches us, as far as can be said: not for sure, after one
    /// failure.
    #[must_use]
    pub const fn is_reached(self) -> Option<bool> {
        match self.failed {
            0 => Some(true),
            failed if failed < REPORTED => None,
            _ => Some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_our_mark_is_the_only_good_one() {
        let seen = |mark: &str| Heard::Admitted(Some(mark.to_owned()));
        assert_eq!(judge(&seen(names::PROBE_SEEN)), Ok(()));
        let refused = |code, text: &str| Heard::Refused(code, text.to_owned());
        for (heard, cause) in [
            (seen("blind"), Cause::Altered),
            (Heard::Admitted(None), Cause::Unregistered),
            (Heard::Nothing("gone".to_owned()), Cause::ApiServer),
            (refused(503, "the server is overloaded"), Cause::ApiServer),
            (refused(400, "no"), Cause::OtherAdmission),
        ] {
            assert_eq!(judge(&heard).unwrap_err().cause, cause, "{heard:?}");
        }
        let long = judge(&refused(400, &"x\n".repeat(900))).unwrap_err().detail;
        assert!(long.chars().count() == QUOTED && !long.contains('\n'), "{long}");
    }

    #[test]
    fn a_failure_is_told_when_it_repeats_and_once_for_each_cause() {
        let mut standing = Standing::default();
        let steps = [
            (Ok(()), Tell::Nothing, Some(true)),
            (Err(Cause::Timeout), Tell::Nothing, None),
            (Ok(()), Tell::Nothing, Some(true)),
            (Err(Cause::Timeout), Tell::Nothing, None),
            (Err(Cause::Timeout), Tell::Failing(Cause::Timeout), Some(false)),
            (Err(Cause::Timeout), Tell::Nothing, Some(false)),
            (Err(Cause::Refused), Tell::Failing(Cause::Refused), Some(false)),
            (Ok(()), Tell::Recovered, Some(true)),
            (Ok(()), Tell::Nothing, Some(true)),
        ];
        for (at, (outcome, tell, reached)) in steps.into_iter().enumerate() {
            let (next, report) = standing.after(outcome);
            assert_eq!((report, next.is_reached()), (tell, reached), "step {at}");
            standing = next;
        }
    }
}
