//! `admit`: prints the response to a review.

use super::input::{self, text};
use super::{ClusterArgs, CommandError, Defaults, Exit, cluster, output, report, subject_of};
use fastrak_admission::review::{NotAReview, Subject, examine};
use serde_json::Value;

pub(super) fn admit(args: &ClusterArgs, defaults: &Defaults) -> Result<Exit, CommandError> {
    let body = input::stdin()?;
    let review: Value = if body.trim().is_empty() {
        return Err(not_a_review(NotAReview::Empty));
    } else {
        let from = input::STDIN.to_owned();
        serde_json::from_str(&body).map_err(|source| CommandError::Json { from, source })?
    };
    let kind = text(&review, "/request/kind/kind");
    let subject = subject_of(kind).unwrap_or(Subject::Claims);
    let snapshot = cluster::snapshot(args, &defaults.namespace)?;
    let examined = examine(body.as_bytes(), subject, Some(&snapshot), defaults.settings);
    let (answer, verdict) = examined.map_err(not_a_review)?;
    if subject_of(kind).is_none() {
        return Err(CommandError::OtherKind(kind.to_owned()));
    }
    let response: Value =
        serde_json::from_slice(&answer.body).map_err(|source| CommandError::Answer { source })?;
    output::result(&format!("{response:#}\n"))?;
    let title = title(&review["request"], kind);
    let response = &response["response"];
    Ok(report::print(&title, &answer, &verdict, response))
}

fn title(request: &Value, kind: &str) -> String {
    let object = &request["object"]["metadata"];
    let name = match (text(request, "/name"), text(object, "/name")) {
        ("", "") => format!("{}…", text(object, "/generateName")),
        ("", name) | (name, _) => name.to_owned(),
    };
    format!("{} of {kind} {}/{name}", text(request, "/operation"), text(request, "/namespace"))
}

const fn not_a_review(source: NotAReview) -> CommandError {
    CommandError::NotAReview { source }
}
