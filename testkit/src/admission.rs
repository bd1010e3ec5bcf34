//! The API server's processing of admission responses: the admitted object, the messages to the
//! user, or the defect for which it would reject the response.

mod defect;
mod messages;
mod patch;

pub use self::defect::Defect;

use serde_json::Value;
use std::collections::BTreeMap;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// The result of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    /// Whether the request is allowed.
    pub allowed: bool,
    /// The status of a denial.
    pub code: Option<u64>,
    /// The message of a denial; empty otherwise.
    pub message: String,
    /// The object after the patch.
    pub object: Value,
    /// The number of operations of the patch.
    pub operations: usize,
    /// The warnings.
    pub warnings: Vec<String>,
    /// The audit annotations.
    pub audit: BTreeMap<String, String>,
}

/// Reads an answer as the API server does. `declared` are JSON Pointers to all fields that the
/// webhook may write. A change of another field is a defect, although the API server would accept
/// it.
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
    let warnings = messages::warnings(response)?;
    let audit = messages::audit(response)?;
    match response["allowed"].as_bool() {
        None => Err(Defect::Undecided),
        Some(false) => {
            let (code, message) = messages::denial(response)?;
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

/// Returns the review of a reinvocation: the API server calls the webhook again after all others,
/// with the patched object.
#[must_use]
pub fn reinvocation(review: &[u8], admitted: &Admitted) -> Vec<u8> {
    let mut review: Value = serde_json::from_slice(review).unwrap_or_default();
    review["request"]["object"] = admitted.object.clone();
    review.to_string().into_bytes()
}

#[cfg(test)]
mod tests;
