//! Reads and applies the patch of a response and checks it against the declared fields.

use super::Defect;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Returns the object after the patch and the number of operations.
pub(super) fn applied(
    request: &Value,
    response: &Value,
    declared: &[String],
) -> Result<(Value, usize), Defect> {
    let object = &request["object"];
    let Some(patch) = read(response)? else { return Ok((object.clone(), 0)) };
    if object.is_null() {
        return Err(Defect::PatchOfNothing);
    }
    let mut changed = object.clone();
    json_patch::patch(&mut changed, &patch).map_err(Defect::PatchDoesNotApply)?;
    reads_as_its_kind(request, object, &changed)?;
    if rest(object, declared) != rest(&changed, declared) {
        return Err(Defect::Undeclared(patch.to_string()));
    }
    Ok((changed, patch.len()))
}

fn read(response: &Value) -> Result<Option<json_patch::Patch>, Defect> {
    let text = match (response.get("patch"), response.get("patchType")) {
        (None, None) => return Ok(None),
        (None, Some(_)) | (Some(_), None) => return Err(Defect::HalfAPatch),
        (Some(_), Some(of)) if of != "JSONPatch" => return Err(Defect::PatchType),
        // Go also accepts a list of numbers, but the API specifies a string.
        (Some(patch), Some(_)) => patch.as_str().ok_or(Defect::PatchEncoding)?,
    };
    let bytes = STANDARD.decode(text).map_err(|_| Defect::PatchEncoding)?;
    let patch: json_patch::Patch = serde_json::from_slice(&bytes).map_err(Defect::PatchForm)?;
    if patch.is_empty() { Err(Defect::PatchEmpty) } else { Ok(Some(patch)) }
}

/// Fails if the patch made a valid object invalid. An object that was invalid before is skipped.
fn reads_as_its_kind(request: &Value, before: &Value, after: &Value) -> Result<(), Defect> {
    match request["kind"]["kind"].as_str() {
        Some("PersistentVolumeClaim") => reads_as::<PersistentVolumeClaim>(before, after),
        Some("Service") => reads_as::<Service>(before, after),
        _ => Ok(()),
    }
}

fn reads_as<K: DeserializeOwned + k8s_openapi::Resource>(
    before: &Value,
    after: &Value,
) -> Result<(), Defect> {
    if K::deserialize(before).is_err() {
        return Ok(());
    }
    let read = K::deserialize(after).map(drop);
    read.map_err(|source| Defect::PatchedObject { kind: K::KIND.to_owned(), source })
}

/// Returns the object without the declared fields and without the maps that are empty then.
fn rest(object: &Value, declared: &[String]) -> Value {
    let mut object = object.clone();
    for pointer in declared {
        let (mut path, mut name) = pointer.rsplit_once('/').unwrap_or_default();
        remove(&mut object, path, name, |_| true);
        while let Some((above, parent)) = path.rsplit_once('/') {
            (path, name) = (above, parent);
            remove(&mut object, path, name, is_empty);
        }
    }
    object
}

fn remove(object: &mut Value, path: &str, name: &str, wanted: impl Fn(&Value) -> bool) {
    let name = name.replace("~1", "/").replace("~0", "~");
    if let Some(Value::Object(map)) = object.pointer_mut(path)
        && map.get(&name).is_some_and(wanted)
    {
        map.remove(&name);
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
}
