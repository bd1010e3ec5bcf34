//! Checks the warnings, audit annotations and messages of a response.

use super::Defect;
use serde_json::Value;
use std::collections::BTreeMap;

/// The maximum length of a warning that the API server's guide recommends.
const WARNING: usize = 120;
/// The maximum length of all warnings together, beyond which the API server truncates and drops
/// them.
const WARNINGS: usize = 4096;
/// The maximum length of the name in a qualified name.
const NAME: usize = 63;

pub(super) fn warnings(response: &Value) -> Result<Vec<String>, Defect> {
    let mut warnings = Vec::new();
    for warning in list(&response["warnings"])? {
        let text = warning.as_str().ok_or_else(|| Defect::Warning(warning.to_string()))?;
        let length = text.chars().count();
        if length == 0 || length > WARNING || text.contains(char::is_control) {
            return Err(Defect::Warning(text.to_owned()));
        }
        warnings.push(text.to_owned());
    }
    let all = warnings.iter().map(|warning| warning.chars().count()).sum();
    if all > WARNINGS { Err(Defect::Warnings(all)) } else { Ok(warnings) }
}

fn list(value: &Value) -> Result<&[Value], Defect> {
    match value {
        Value::Null => Ok(&[]),
        Value::Array(list) => Ok(list),
        other => Err(Defect::Warning(other.to_string())),
    }
}

/// Reads the audit annotations. The API server records each as `<webhook>/<key>` and drops those
/// that are not qualified names then.
pub(super) fn audit(response: &Value) -> Result<BTreeMap<String, String>, Defect> {
    let mut audit = BTreeMap::new();
    let entries = match &response["auditAnnotations"] {
        Value::Null => return Ok(audit),
        Value::Object(entries) => entries,
        other => return Err(Defect::Audit(other.to_string())),
    };
    for (key, value) in entries {
        match value {
            Value::String(text) if is_name(key) => audit.insert(key.clone(), text.clone()),
            _ => return Err(Defect::Audit(key.clone())),
        };
    }
    Ok(audit)
}

fn is_name(key: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let outer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let ends = outer(key.chars().next()) && outer(key.chars().last());
    key.len() <= NAME && ends && key.chars().all(inner)
}

/// Returns the status and message of a denial.
pub(super) fn denial(response: &Value) -> Result<(u64, String), Defect> {
    if response.get("patch").is_some() || response.get("patchType").is_some() {
        return Err(Defect::DenialWithPatch);
    }
    let code = response["status"]["code"].as_u64();
    let code = code.filter(|code| (400..600).contains(code)).ok_or(Defect::DenialCode(code))?;
    match response["status"]["message"].as_str() {
        None | Some("") => Err(Defect::DenialWithoutMessage),
        Some(message) => Ok((code, message.to_owned())),
    }
}
