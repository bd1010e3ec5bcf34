use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

fn review() -> Value {
    json!({"request": {
        "uid": "u1",
        "kind": {"group": "", "version": "v1", "kind": "PersistentVolumeClaim"},
        "object": {
            "metadata": {"name": "data", "annotations": {"mine": "x"}},
            "spec": {"accessModes": ["ReadWriteOnce"]},
        },
    }})
}

fn answer(response: impl Into<Value>) -> Value {
    let mut answer = json!({"apiVersion": API_VERSION, "kind": KIND, "response": response.into()});
    if answer["response"].is_object() {
        answer["response"]["uid"] = json!("u1");
    }
    answer
}

fn patched(patch: &Value) -> Value {
    let patch = STANDARD.encode(patch.to_string());
    answer(json!({"allowed": true, "patch": patch, "patchType": "JSONPatch"}))
}

fn judged(answer: &Value) -> Result<Admitted, Defect> {
    let declared = ["/metadata/annotations/a~1b", "/metadata/labels/l"].map(str::to_owned);
    verify(review().to_string().as_bytes(), answer.to_string().as_bytes(), &declared)
}

#[test]
fn a_valid_response_yields_the_patched_object() {
    let add = |path: &str, value: Value| json!({"op": "add", "path": path, "value": value});
    let mut sound = patched(&json!([
        add("/metadata/annotations/a~1b", json!("1")),
        add("/metadata/labels", json!({})),
        add("/metadata/labels/l", json!("2")),
    ]));
    sound["response"]["warnings"] = json!(["take care"]);
    sound["response"]["auditAnnotations"] = json!({"rule": "pin"});
    let admitted = judged(&sound).unwrap();
    assert!(admitted.allowed && admitted.operations == 3);
    assert_eq!(admitted.object["metadata"]["annotations"], json!({"mine": "x", "a/b": "1"}));
    assert_eq!((admitted.warnings.len(), admitted.audit["rule"].as_str()), (1, "pin"));

    let again = reinvocation(review().to_string().as_bytes(), &admitted);
    let again: Value = serde_json::from_slice(&again).unwrap();
    assert_eq!(again["request"]["object"], admitted.object);
    assert_eq!(again["request"]["uid"], "u1");
}

#[test]
fn a_response_without_a_patch_leaves_the_object() {
    let admitted = judged(&answer(json!({"allowed": true}))).unwrap();
    assert_eq!((&admitted.object, admitted.operations), (&review()["request"]["object"], 0));
}

#[test]
fn a_denial_has_its_message() {
    let status = json!({"code": 422, "message": "no such node"});
    let denied = judged(&answer(json!({"allowed": false, "status": status}))).unwrap();
    assert!(!denied.allowed);
    assert_eq!((denied.code, denied.message.as_str()), (Some(422), "no such node"));
}

/// An answer with one thing wrong, and the name of the defect.
fn defects() -> Vec<(&'static str, Value)> {
    let allowed = |key: &str, value: Value| answer(json!({"allowed": true, key: value}));
    let denied = |status: Value| answer(json!({"allowed": false, "status": status}));
    let typed = |kind: &str, patch: Value| {
        answer(json!({"allowed": true, "patchType": kind, "patch": patch}))
    };
    let base64 = |text: &str| json!(STANDARD.encode(text));
    let with = |key: &str, value: Value| {
        let mut answer = answer(json!({"allowed": true}));
        answer[key] = value;
        answer
    };
    let mut other_uid = answer(json!({"allowed": true}));
    other_uid["response"]["uid"] = json!("u2");
    let op = |op: &str, path: &str, value: Value| json!([{"op": op, "path": path, "value": value}]);
    vec![
        ("OtherKind", with("kind", json!("Pod"))),
        ("OtherKind", with("apiVersion", json!("admission.k8s.io/v1beta1"))),
        ("NoResponse", answer(json!(null))),
        ("OtherUid", other_uid),
        ("Undecided", answer(json!({}))),
        ("DenialCode", denied(json!({"code": 200, "message": "m"}))),
        ("DenialCode", denied(json!({"message": "m"}))),
        ("DenialWithoutMessage", denied(json!({"code": 403}))),
        ("DenialWithPatch", answer(json!({"allowed": false, "patch": "W10="}))),
        ("HalfAPatch", allowed("patch", base64("[]"))),
        ("HalfAPatch", allowed("patchType", json!("JSONPatch"))),
        ("PatchType", typed("MergePatch", base64("{}"))),
        ("PatchType", typed("", base64("[]"))),
        ("PatchEncoding", typed("JSONPatch", json!([91, 93]))),
        ("PatchEncoding", typed("JSONPatch", json!("not base64!"))),
        ("PatchForm", typed("JSONPatch", base64("{}"))),
        ("PatchEmpty", typed("JSONPatch", base64("[]"))),
        ("PatchDoesNotApply", patched(&op("add", "/metadata/labels/l", json!("x")))),
        ("PatchDoesNotApply", patched(&op("test", "/metadata/name", json!("other")))),
        ("PatchedObject", patched(&op("add", "/metadata/annotations/a~1b", json!(7)))),
        ("Undeclared", patched(&op("add", "/metadata/annotations", json!({"a/b": "1"})))),
        ("Undeclared", patched(&op("replace", "/metadata/name", json!("x")))),
        ("Undeclared", patched(&op("add", "/spec/volumeName", json!("x")))),
        ("Warning", allowed("warnings", json!(["two\nlines"]))),
        ("Warning", allowed("warnings", json!(["x".repeat(121)]))),
        ("Warning", allowed("warnings", json!([7]))),
        ("Warning", allowed("warnings", json!("text"))),
        ("Warnings", allowed("warnings", json!(vec!["x".repeat(120); 35]))),
        ("Audit", allowed("auditAnnotations", json!({"a/b": "x"}))),
        ("Audit", allowed("auditAnnotations", json!({"": "x"}))),
        ("Audit", allowed("auditAnnotations", json!({"a": 7}))),
        ("Audit", allowed("auditAnnotations", json!({"k".repeat(64): "x"}))),
    ]
}

#[test]
fn each_rule_rejects_its_defect() {
    for (defect, answer) in defects() {
        let found = judged(&answer);
        let name = format!("{:?}", found.as_ref().err());
        assert!(name.starts_with(&format!("Some({defect}")), "{answer}: {found:?}");
    }
}

#[test]
fn invalid_json_is_a_defect() {
    let review = review().to_string();
    assert!(matches!(verify(review.as_bytes(), b"{", &[]), Err(Defect::Json(_))));
    assert!(matches!(verify(b"{", b"{}", &[]), Err(Defect::Review(_))));
    let deleted = json!({"request": {"uid": "u1"}}).to_string();
    let patch = patched(&json!([{"op": "add", "path": "", "value": {}}])).to_string();
    let found = verify(deleted.as_bytes(), patch.as_bytes(), &[]);
    assert!(matches!(found, Err(Defect::PatchOfNothing)), "{found:?}");
}
