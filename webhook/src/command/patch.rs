//! `patch`: prints objects as the API server would store them. The default class of the cluster,
//! which a plugin of the API server sets before it calls webhooks, is set here too. Other plugins
//! are not applied.

use super::input::{self, text};
use super::{CommandError, Defaults, Exit, Format, PatchArgs, cluster, output, report, subject_of};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrak_admission::review::{Subject, examine};
use fastrak_admission::snapshot::Snapshot;
use fastrak_api::claim::{Claim, ClassChoice};
use json_patch::{Patch, PatchOperation};
use serde_json::{Value, json};

/// The namespace of an object that names none.
const NAMESPACE: &str = "default";

/// An object as it would be stored, if it is not denied.
struct Stored {
    object: Option<Value>,
    operations: Vec<PatchOperation>,
}

pub(super) fn patch(args: &PatchArgs, defaults: &Defaults) -> Result<Exit, CommandError> {
    let objects = input::objects(&input::stdin()?, input::STDIN)?;
    let snapshot = cluster::snapshot(&args.cluster, &defaults.namespace)?;
    let all = objects.into_iter().map(|object| stored(object, &snapshot, defaults));
    let all: Vec<_> = all.collect::<Result<_, _>>()?;
    let is_denied = all.iter().any(|stored| stored.object.is_none());
    output::result(&format(all, args.output)?)?;
    Ok(if is_denied { Exit::Denied } else { Exit::Admitted })
}

fn stored(object: Value, snapshot: &Snapshot, defaults: &Defaults) -> Result<Stored, CommandError> {
    let subject = Some(text(&object, "/kind")).filter(|_| text(&object, "/apiVersion") == "v1");
    let Some(subject) = subject.and_then(subject_of) else {
        output::message(&format!(
            "{}: skipped, because it is neither a claim nor a Service",
            title(&object)
        ));
        return Ok(Stored { object: Some(object), operations: Vec::new() });
    };
    let mut operations = set_default_class(&object, subject, snapshot);
    let before = apply(object.clone(), &operations)?;
    let review = review(subject, &before, !operations.is_empty());
    let examined =
        examine(review.to_string().as_bytes(), subject, Some(snapshot), defaults.settings);
    let (answer, verdict) = examined.map_err(|source| CommandError::NotAReview { source })?;
    let response: Value = serde_json::from_slice(&answer.body).map_err(unread)?;
    let response = &response["response"];
    let title = title(&object);
    if report::print(&title, &answer, &verdict, response) == Exit::Denied {
        return Ok(Stored { object: None, operations: Vec::new() });
    }
    if !operations.is_empty() {
        output::message("  the API server sets the default class of the cluster first");
    }
    operations.extend(read_patch(response)?);
    let object = apply(object, &operations)?;
    Ok(Stored { object: Some(object), operations })
}

/// Returns the patch of the API server's DefaultStorageClass plugin.
fn set_default_class(object: &Value, subject: Subject, snapshot: &Snapshot) -> Vec<PatchOperation> {
    let open =
        Claim::parse(&object.to_string()).is_ok_and(|claim| claim.class == ClassChoice::Unset);
    let Some(default) = snapshot.defaults().first().map(|info| &info.class.name) else {
        return Vec::new();
    };
    if subject != Subject::Claims || !open || !object["spec"].is_object() {
        return Vec::new();
    }
    let path = json!([{"op": "add", "path": "/spec/storageClassName", "value": default}]);
    serde_json::from_value(path).unwrap_or_default()
}

/// Returns the review that the API server would send for a creation. The API server sets
/// `managedFields` before its plugins run, so a default class has no owner.
fn review(subject: Subject, object: &Value, has_default_class: bool) -> Value {
    let mut object = object.clone();
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("managedFields");
        if has_default_class {
            let owner = json!([{"manager": "user", "fieldsType": "FieldsV1", "fieldsV1": {}}]);
            metadata.insert("managedFields".to_owned(), owner);
        }
    }
    let namespace = match text(&object, "/metadata/namespace") {
        "" => NAMESPACE,
        namespace => namespace,
    };
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "offline",
            "kind": {"group": "", "version": "v1", "kind": subject.kind()},
            "namespace": namespace,
            "operation": "CREATE",
            "object": object,
        },
    })
}

fn read_patch(response: &Value) -> Result<Vec<PatchOperation>, CommandError> {
    let Some(text) = response["patch"].as_str() else { return Ok(Vec::new()) };
    let bytes = STANDARD.decode(text).unwrap_or_default();
    serde_json::from_slice(&bytes).map_err(unread)
}

fn apply(mut object: Value, operations: &[PatchOperation]) -> Result<Value, CommandError> {
    let done = json_patch::patch(&mut object, operations);
    done.map_err(|source| CommandError::Patch { source })?;
    Ok(object)
}

fn format(all: Vec<Stored>, format: Format) -> Result<String, CommandError> {
    let objects: Vec<_> = all.iter().filter_map(|stored| stored.object.as_ref()).collect();
    match format {
        _ if objects.is_empty() => Ok(String::new()),
        Format::Yaml => serde_saphyr::to_string_multiple(&objects)
            .map_err(|source| CommandError::WriteYaml { source }),
        Format::Json => Ok(objects.iter().map(|object| format!("{object:#}\n")).collect()),
        Format::Patch => {
            let lines = all.into_iter().map(|stored| {
                let line = serde_json::to_string(&Patch(stored.operations)).map_err(unread)?;
                Ok(format!("{line}\n"))
            });
            lines.collect()
        }
    }
}

fn title(object: &Value) -> String {
    let namespace = text(object, "/metadata/namespace");
    let name = match text(object, "/metadata/name") {
        "" => format!("{}…", text(object, "/metadata/generateName")),
        name => name.to_owned(),
    };
    match namespace {
        "" => format!("{} {name}", text(object, "/kind")),
        namespace => format!("{} {namespace}/{name}", text(object, "/kind")),
    }
}

const fn unread(source: serde_json::Error) -> CommandError {
    CommandError::Answer { source }
}
