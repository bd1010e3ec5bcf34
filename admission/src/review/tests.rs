use super::*;
use crate::fixtures::{SETTINGS, annotated, claim as claim_of, node, snapshot};
use crate::mutate::DECLARED;
use crate::patch::Field;
use fastrak_api::names;
use fastrak_testkit::admission::verify;
use proptest::prelude::*;
use serde_json::{Value, json};

fn kind_of(subject: Subject) -> Value {
    json!({"group": "", "version": "v1", "kind": subject.kind()})
}

fn review(subject: Subject, operation: &str, object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": kind_of(subject),
            "resource": {"group": "", "version": "v1", "resource": "things"},
            "name": "data",
            "namespace": "shop",
            "operation": operation,
            "userInfo": {"username": "someone"},
            "object": object,
            "oldObject": null,
            "dryRun": false,
            "options": null,
        },
    })
}

fn ask(subject: Subject, review: &Value) -> Answer {
    let snapshot = snapshot(&[node("a")]);
    answer(review.to_string().as_bytes(), subject, Some(&snapshot), SETTINGS).unwrap()
}

/// Returns the object after an answer, or the message of a denial, as the API server has them. An
/// error is the rule that the answer breaks.
fn accepted(review: &Value, answer: &[u8]) -> Result<Result<Value, String>, String> {
    let creates = review["request"]["operation"] == "CREATE";
    let declared = DECLARED.into_iter().filter(|field| creates || *field != Field::ClassName);
    let declared: Vec<_> = declared.map(Field::pointer).collect();
    let admitted = verify(review.to_string().as_bytes(), answer, &declared);
    let admitted = admitted.map_err(|defect| format!("{defect:?}"))?;
    Ok(if admitted.allowed { Ok(admitted.object) } else { Err(admitted.message) })
}

#[test]
fn a_change_comes_as_a_patch_that_applies() {
    let review = review(Subject::Claims, "CREATE", &claim_of(None));
    let answer = ask(Subject::Claims, &review);
    let object = accepted(&review, &answer.body).unwrap().unwrap();
    assert_eq!(object["spec"]["storageClassName"], names::CLASS_DEFAULT);
    assert_eq!(object["metadata"]["annotations"][names::NODE], "a");
    assert_eq!((answer.effect, answer.reason), (Effect::Patched, Reason::OnlyNode));
    let audit = &serde_json::from_slice::<Value>(&answer.body).unwrap()["response"];
    let annotations = &audit["auditAnnotations"];
    assert_eq!(
        (&annotations["rule"], &annotations["reason"]),
        (&json!("pin"), &json!("only_node"))
    );
    let changed: Vec<_> = annotations["changed"].as_str().unwrap().split(", ").collect();
    let node = ["annotation fastrak.io/node", "label fastrak.io/node", "spec.storageClassName"];
    assert!(node.iter().all(|field| changed.contains(field)), "{changed:?}");
    let texts = [
        "fastrak: set class local-storage: it has no class, and this is the default",
        "fastrak: pinned it to node a, the only eligible node",
    ];
    assert_eq!(audit["warnings"], json!(texts));
}

#[test]
fn no_change_comes_without_a_patch() {
    let review = review(Subject::Claims, "CREATE", &claim_of(Some("")));
    let answer = ask(Subject::Claims, &review);
    assert_eq!(accepted(&review, &answer.body), Ok(Ok(review["request"]["object"].clone())));
    let text = String::from_utf8(answer.body).unwrap();
    assert!(!text.contains("patch") && !text.contains("warnings"), "{text}");
    assert_eq!(answer.effect, Effect::Untouched);
}

#[test]
fn a_denial_reaches_the_user_in_words() {
    let object = annotated(&claim_of(Some("waits")), &[(names::NODE, "nowhere")]);
    let review = review(Subject::Claims, "CREATE", &object);
    let answer = ask(Subject::Claims, &review);
    let message = accepted(&review, &answer.body).unwrap().unwrap_err();
    assert!(message.contains("node nowhere does not exist"), "{message}");
    assert_eq!(answer.effect, Effect::Denied);
}

fn in_dry_run(review: &Value) -> (Effect, Value) {
    let snapshot = snapshot(&[node("a")]);
    let settings = Settings { dry_run: true, ..SETTINGS };
    let body = review.to_string();
    let answer = answer(body.as_bytes(), Subject::Claims, Some(&snapshot), settings).unwrap();
    assert_eq!(accepted(review, &answer.body), Ok(Ok(review["request"]["object"].clone())));
    let whole: Value = serde_json::from_slice(&answer.body).unwrap();
    (answer.effect, whole["response"].clone())
}

#[test]
fn in_dry_run_a_change_is_a_warning_and_not_made() {
    let mut object = review(Subject::Claims, "CREATE", &claim_of(Some("waits")));
    let (effect, response) = in_dry_run(&object);
    assert_eq!(effect, Effect::DryRun);
    let text = "fastrak (dry run) would have pinned it to node a, the only eligible node";
    assert_eq!(response["warnings"], json!([text]));
    let audit = &response["auditAnnotations"];
    assert_eq!((&audit["reason"], &audit["dry-run"]), (&json!("only_node"), &json!("patched")));
    // The next update does not make it either, so it repeats no warning.
    object["request"]["operation"] = json!("UPDATE");
    object["request"]["oldObject"] = object["request"]["object"].clone();
    let (effect, response) = in_dry_run(&object);
    assert_eq!((effect, &response["warnings"]), (Effect::DryRun, &Value::Null));
}

#[test]
fn in_dry_run_nothing_is_denied() {
    let object = annotated(&claim_of(Some("waits")), &[(names::NODE, "nowhere")]);
    let (effect, response) = in_dry_run(&review(Subject::Claims, "CREATE", &object));
    assert_eq!(effect, Effect::DryRun);
    let text = response["warnings"][0].as_str().unwrap();
    let wanted =
        "fastrak (dry run) would have refused it: annotation fastrak.io/node: node nowhere";
    assert!(text.starts_with(wanted), "{text}");
    assert_eq!(response["auditAnnotations"]["dry-run"], "denied");
    let (effect, response) = in_dry_run(&review(Subject::Claims, "CREATE", &claim_of(Some(""))));
    assert_eq!((effect, &response["warnings"]), (Effect::Untouched, &Value::Null));
}

#[test]
fn dry_runs_are_answered_the_same() {
    let mut review = review(Subject::Claims, "CREATE", &claim_of(None));
    let wet = ask(Subject::Claims, &review);
    review["request"]["dryRun"] = json!(true);
    assert_eq!(ask(Subject::Claims, &review).body, wet.body);
}

#[test]
fn an_update_is_decided_with_the_object_before_it() {
    let old = claim_of(Some("waits"));
    let new = annotated(&old, &[(names::NODE, "nowhere")]);
    let mut review = review(Subject::Claims, "UPDATE", &new);
    review["request"]["oldObject"] = new.clone();
    assert_eq!(ask(Subject::Claims, &review).effect, Effect::Patched);
    review["request"]["oldObject"] = old;
    assert_eq!(ask(Subject::Claims, &review).effect, Effect::Denied);
}

#[test]
fn the_namespace_of_the_request_counts_if_the_object_has_none() {
    let mut object = claim_of(None);
    object["metadata"].as_object_mut().unwrap().remove("namespace");
    let mut review = review(Subject::Claims, "CREATE", &object);
    review["request"]["namespace"] = json!("kube-system");
    assert_eq!(ask(Subject::Claims, &review).reason, Reason::SystemNamespace);
}

#[test]
fn deletions_connections_and_subresources_are_allowed() {
    for operation in ["DELETE", "CONNECT", "", "create", "novel"] {
        let review = review(Subject::Claims, operation, &claim_of(None));
        let answer = ask(Subject::Claims, &review);
        assert_eq!((answer.effect, answer.reason), (Effect::Untouched, Reason::Operation));
        assert!(accepted(&review, &answer.body).unwrap().is_ok());
    }
    let mut status = review(Subject::Services, "UPDATE", &json!({}));
    status["request"]["subResource"] = json!("status");
    assert_eq!(ask(Subject::Services, &status).reason, Reason::Operation);
}

#[test]
fn an_unreadable_object_is_allowed_with_a_warning() {
    let odd = [
        Value::Null,
        json!([]),
        json!("text"),
        json!({"metadata": []}),
        json!({"metadata": {"annotations": {"a": 1}}}),
        json!({"spec": {"storageClassName": {}}}),
    ];
    for object in odd {
        let review = review(Subject::Claims, "CREATE", &object);
        let answer = ask(Subject::Claims, &review);
        assert_eq!(
            (answer.effect, answer.reason),
            (Effect::Failed, Reason::Unreadable),
            "{object}"
        );
        assert_eq!(accepted(&review, &answer.body), Ok(Ok(object)));
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.contains("fastrak: left it unchanged: it cannot be read: "), "{text}");
    }
}

#[test]
fn another_kind_of_object_is_allowed_with_a_warning() {
    for kind in [
        json!({"group": "", "version": "v1", "kind": "Pod"}),
        json!({"group": "other", "version": "v1", "kind": "PersistentVolumeClaim"}),
        json!({"group": "", "version": "v2", "kind": "PersistentVolumeClaim"}),
        json!({}),
    ] {
        let mut review = review(Subject::Claims, "CREATE", &claim_of(None));
        review["request"]["kind"] = kind;
        let answer = ask(Subject::Claims, &review);
        assert_eq!((answer.effect, answer.reason), (Effect::Failed, Reason::WrongKind));
        assert!(accepted(&review, &answer.body).unwrap().is_ok());
    }
}

#[test]
fn objects_are_allowed_with_a_warning_before_the_first_snapshot() {
    let review = review(Subject::Claims, "CREATE", &claim_of(None));
    let body = review.to_string();
    let answer = answer(body.as_bytes(), Subject::Claims, None, SETTINGS).unwrap();
    assert_eq!((answer.effect, answer.reason), (Effect::Failed, Reason::NotReady));
    assert!(accepted(&review, &answer.body).unwrap().is_ok());
}

#[test]
fn an_object_without_time_for_review_is_allowed_with_a_warning() {
    for object in [claim_of(None), Value::Null, json!([]), json!({"metadata": 7})] {
        let review = review(Subject::Claims, "CREATE", &object);
        let answer = shed(review.to_string().as_bytes()).unwrap();
        assert_eq!((answer.effect, answer.reason), (Effect::Failed, Reason::Overloaded));
        assert_eq!(accepted(&review, &answer.body), Ok(Ok(object)));
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.contains("fastrak: left it unchanged: the webhook is overloaded"), "{text}");
    }
    assert!(matches!(shed(b"{}"), Err(NotAReview::OtherKind { .. })));
}

#[test]
fn an_answer_echoes_any_uid() {
    for uid in ["a\"b", "\u{7}", "é\\", " "] {
        let mut review = review(Subject::Claims, "CREATE", &claim_of(None));
        review["request"]["uid"] = json!(uid);
        let answer = ask(Subject::Claims, &review);
        assert!(accepted(&review, &answer.body).unwrap().is_ok(), "{uid:?}");
    }
}

#[test]
fn a_review_does_not_judge_sizes() {
    for size in ["0", "-1Gi", "1Ei", "1e400", "", "many"] {
        let mut object = claim_of(Some("waits"));
        object["spec"]["resources"]["requests"]["storage"] = json!(size);
        let review = review(Subject::Claims, "CREATE", &object);
        let answer = ask(Subject::Claims, &review);
        let after = accepted(&review, &answer.body).unwrap().unwrap();
        assert_eq!(after["spec"], object["spec"], "{size}");
    }
}

#[test]
fn a_body_that_is_not_a_review_gets_an_error_with_the_problem() {
    let good = review(Subject::Claims, "CREATE", &claim_of(None));
    let without = |key: &str| {
        let mut review = good.clone();
        review.as_object_mut().unwrap().remove(key);
        review.to_string()
    };
    let mut nameless = good.clone();
    nameless["request"]["uid"] = json!("");
    let mut beta = good.clone();
    beta["apiVersion"] = json!("admission.k8s.io/v1beta1");
    let text = good.to_string();
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    for (body, message) in [
        (String::new(), "is empty"),
        (" \n".to_owned(), "is empty"),
        (text[..text.len() / 2].to_owned(), "is truncated"),
        ("{]".to_owned(), "is not an AdmissionReview"),
        ("[1, 2]".to_owned(), "is not an AdmissionReview"),
        (deep, "is not an AdmissionReview"),
        (without("kind"), "is a \"\" of"),
        (without("apiVersion"), "of \"\""),
        (without("request"), "has no request"),
        (nameless.to_string(), "has no uid"),
        (beta.to_string(), "\"admission.k8s.io/v1beta1\"; a \"AdmissionReview\""),
        (r#"{"apiVersion":"v1","kind":"Pod"}"#.to_owned(), "is a \"Pod\" of \"v1\""),
    ] {
        let snapshot = snapshot(&[]);
        let error =
            answer(body.as_bytes(), Subject::Claims, Some(&snapshot), SETTINGS).unwrap_err();
        assert!(error.to_string().contains(message), "{error} for {body:.80}");
    }
    let snapshot = snapshot(&[]);
    assert!(answer(&[0xff, 0xfe, 0], Subject::Claims, Some(&snapshot), SETTINGS).is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z/~. é]{0,6}".prop_map(Value::from),
    ];
    let keys = prop_oneof![
        Just("metadata".to_owned()),
        Just("annotations".to_owned()),
        Just("labels".to_owned()),
        Just("spec".to_owned()),
        Just("storageClassName".to_owned()),
        Just("type".to_owned()),
        Just("ports".to_owned()),
        "[a-z]{0,4}",
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(keys.clone(), inner, 0..5).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #[test]
    fn any_object_gets_an_answer_that_the_api_server_takes(
        object in any_json(), old in any_json(), services: bool, update: bool,
    ) {
        let subject = if services { Subject::Services } else { Subject::Claims };
        let mut review = review(subject, if update { "UPDATE" } else { "CREATE" }, &object);
        review["request"]["oldObject"] = old;
        let answer = ask(subject, &review);
        prop_assert!(accepted(&review, &answer.body).is_ok(), "{:?}", accepted(&review, &answer.body));
    }

    #[test]
    fn unknown_fields_pass_through_untouched(extra in any_json()) {
        let mut object = claim_of(None);
        object["novel"] = extra.clone();
        object["spec"]["novel"] = extra.clone();
        object["metadata"]["novel"] = extra.clone();
        let review = review(Subject::Claims, "CREATE", &object);
        let after = accepted(&review, &ask(Subject::Claims, &review).body).unwrap().unwrap();
        for place in ["/novel", "/spec/novel", "/metadata/novel"] {
            prop_assert_eq!(after.pointer(place), Some(&extra));
        }
    }

    #[test]
    fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let snapshot = snapshot(&[]);
        let answered = answer(&body, Subject::Claims, Some(&snapshot), SETTINGS);
        prop_assert!(answered.is_err());
    }

    #[test]
    fn a_review_that_breaks_off_anywhere_is_refused(part in 0.0..1.0f64) {
        let text = review(Subject::Claims, "CREATE", &claim_of(None)).to_string();
        let end = (text.len() as f64 * part) as usize;
        let snapshot = snapshot(&[]);
        prop_assert!(answer(&text.as_bytes()[..end], Subject::Claims, Some(&snapshot), SETTINGS).is_err());
    }
}
