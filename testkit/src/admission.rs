//! What the API server does with a webhook's answer, by its own rules: the object as it goes on, the
//! words for its user, or the defect for which it would have taken the answer for none.
//!
//! It knows no webhook and decides about no object; what a webhook promises to write is told to it.

mod defect;
mod patch;
mod words;

pub use self::defect::Defect;

use serde_json::Value;
use std::collections::BTreeMap;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    /// Whether it goes on.
    pub allowed: bool,
    /// The status of a denial.
    pub code: Option<u64>,
    /// The words of a denial; empty where there is none.
    pub message: String,
    /// The object as it goes on.
    pub object: Value,
    /// How many operations the patch had.
    pub operations: usize,
    /// What the user is shown.
    pub warnings: Vec<String>,
    /// What is kept in the audit log.
    pub audit: BTreeMap<String, String>,
}

/// Reads an answer as the API server would. `declared` are JSON Pointers to all that the webhook
/// promises to write: what differs elsewhere is a defect, though the API server would take it.
pub fn verify(review: &[u8], answer: &[u8], declared: &[String]) -> Result<Admitted, Defect> {
    let review: Value = serde_json::from_slice(review).map_err(Defect::Review)?;
    let answer: Value = serde_json::from_slice(answer).map_err(Defect::Json)?;
    if answer["apiVersion"] != API_VERSION || answer["kind"] != KIND {
        return Err(Defect::OtherKind);
    }
    let (request, response) = (&review["request"], &answer["response"]);
    if !response.is_object() {
        return Err(Defect::NoResponse);
    }
    if !response["uid"].is_string() || response["uid"] != request["uid"] {
        return Err(Defect::OtherUid);
    }
    let warnings = words::warnings(response)?;
    let audit = words::audit(response)?;
    match response["allowed"].as_bool() {
        None => Err(Defect::Undecided),
        Some(false) => {
            let (code, message) = words::denial(response)?;
            let object = request["object"].clone();
            let code = Some(code);
            Ok(Admitted { allowed: false, code, message, object, operations: 0, warnings, audit })
        }
        Some(true) => {
            let (object, operations) = patch::applied(request, response, declared)?;
            let (code, message) = (None, String::new());
            Ok(Admitted { allowed: true, code, message, object, operations, warnings, audit })
        }
    }
}

/// The review that comes when the API server asks once more, after all webhooks have been asked: the
/// same request, with the object as this one left it.
#[must_use]
pub fn asked_again(review: &[u8], admitted: &Admitted) -> Vec<u8> {
    let mut review: Value = serde_json::from_slice(review).unwrap_or_default();
    review["request"]["object"] = admitted.object.clone();
    review.to_string().into_bytes()
}

#[cfg(test)]
mod tests;
