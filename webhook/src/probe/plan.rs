//! Interprets the API server's response to a probe, and decides what to report. Pure.

use super::cause::{Cause, classify};
use fastrak_admission::verdict::clipped;
use fastrak_api::names;

/// The maximum length of a quoted message: it contains texts of other programs.
const MAX_DETAIL: usize = 400;

/// The response to a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Response {
    /// The claim was admitted, with this mark.
    Admitted(Option<String>),
    /// The API server rejected the claim with this code and message.
    Refused(u16, String),
    /// There was no response, for this reason.
    None(String),
}

/// A failed probe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    pub cause: Cause,
    pub detail: String,
}

/// The results of the previous probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    failed: u32,
    reported: Option<Cause>,
}

/// What to report after a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    Nothing,
    /// The API server does not reach the webhook, for this cause.
    Failing(Cause),
    /// It reaches the webhook again.
    Recovered,
}

/// The number of consecutive failures before a report. A single one may be a replica that was just
/// deleted: the endpoints of a Service lag behind.
const MIN_FAILURES: u32 = 2;

/// Interprets a response.
pub(super) fn judge(response: &Response) -> Result<(), Failure> {
    let (cause, detail) = match response {
        Response::Admitted(Some(mark)) if mark == names::PROBE_ANSWERED => return Ok(()),
        Response::Admitted(Some(mark)) => {
            (Cause::Altered, format!("the claim has the mark {mark:?}"))
        }
        Response::Admitted(None) => (Cause::NotCalled, "the claim has no mark".to_owned()),
        Response::Refused(code, message) => (classify(*code, message), message.clone()),
        Response::None(why) => (Cause::ApiServer, why.clone()),
    };
    Err(Failure { cause, detail: clipped(&detail, MAX_DETAIL) })
}

impl History {
    /// Returns the history after another probe, and what to report.
    #[must_use]
    pub(super) fn after(self, outcome: Result<(), Cause>) -> (Self, Report) {
        match outcome {
            Ok(()) => {
                let report =
                    if self.reported.is_some() { Report::Recovered } else { Report::Nothing };
                (Self::default(), report)
            }
            Err(cause) => {
                let failed = self.failed.saturating_add(1);
                let new = failed >= MIN_FAILURES && self.reported != Some(cause);
                let reported = if new { Some(cause) } else { self.reported };
                let report = if new { Report::Failing(cause) } else { Report::Nothing };
                (Self { failed, reported }, report)
            }
        }
    }

    /// Returns whether the API server reaches the webhook. After a single failure this is unknown.
    #[must_use]
    pub(super) const fn is_reached(self) -> Option<bool> {
        match self.failed {
            0 => Some(true),
            failed if failed < MIN_FAILURES => None,
            _ => Some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_response_with_our_mark_is_a_success() {
        let seen = |mark: &str| Response::Admitted(Some(mark.to_owned()));
        assert_eq!(judge(&seen(names::PROBE_ANSWERED)), Ok(()));
        let refused = |code, text: &str| Response::Refused(code, text.to_owned());
        for (response, cause) in [
            (seen("blind"), Cause::Altered),
            (Response::Admitted(None), Cause::NotCalled),
            (Response::None("gone".to_owned()), Cause::ApiServer),
            (refused(503, "the server is overloaded"), Cause::ApiServer),
            (refused(400, "no"), Cause::OtherAdmission),
        ] {
            assert_eq!(judge(&response).unwrap_err().cause, cause, "{response:?}");
        }
        let long = judge(&refused(400, &"x\n".repeat(900))).unwrap_err().detail;
        assert!(long.chars().count() == MAX_DETAIL && !long.contains('\n'), "{long}");
    }

    #[test]
    fn a_failure_is_reported_when_it_repeats_and_once_per_cause() {
        let mut history = History::default();
        let steps = [
            (Ok(()), Report::Nothing, Some(true)),
            (Err(Cause::Timeout), Report::Nothing, None),
            (Ok(()), Report::Nothing, Some(true)),
            (Err(Cause::Timeout), Report::Nothing, None),
            (Err(Cause::Timeout), Report::Failing(Cause::Timeout), Some(false)),
            (Err(Cause::Timeout), Report::Nothing, Some(false)),
            (Err(Cause::Refused), Report::Failing(Cause::Refused), Some(false)),
            (Ok(()), Report::Recovered, Some(true)),
            (Ok(()), Report::Nothing, Some(true)),
        ];
        for (at, (outcome, wanted, reached)) in steps.into_iter().enumerate() {
            let (next, report) = history.after(outcome);
            assert_eq!((report, next.is_reached()), (wanted, reached), "step {at}");
            history = next;
        }
    }
}
