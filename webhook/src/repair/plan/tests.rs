use super::*;
use crate::fixtures::{annotated, annotation, claim as claim_of, facts, node};
use crate::patch::Received;
use fastrak_api::names::kubernetes::SELECTED_NODE;
use fastrak_api::names::{CLASS_DEFAULT, NODE};
use serde::Deserialize as _;
use serde_json::{Value, json};

fn view(object: &Value) -> Claim {
    Claim::read(&serde_json::from_value(object.clone()).unwrap())
}

fn mended(object: &Value, facts: &Facts) -> Value {
    let mut object = object.clone();
    if let Repair::Change(edits, _) = plan(&view(&object), facts) {
        let operations = Received::deserialize(&object).unwrap().patch(&edits);
        json_patch::patch(&mut object, &operations).unwrap();
    }
    object
}

#[test]
fn what_was_missed_is_put_right() {
    let one = facts(&[node("a")]);
    let object = mended(&claim_of(None), &one);
    assert_eq!(object["spec"]["storageClassName"], CLASS_DEFAULT);
    assert_eq!(annotation(&object, NODE), Some("a"));
    assert_eq!(plan(&view(&object), &one), Repair::Nothing);

    let two = facts(&[node("a"), node("b")]);
    let scheduled = annotated(&claim_of(Some("waits")), &[(SELECTED_NODE, "b")]);
    assert_eq!(annotation(&mended(&scheduled, &two), NODE), Some("b"));
}

#[test]
fn a_claim_that_has_its_volume_or_is_on_its_way_out_needs_nothing() {
    let one = facts(&[node("a")]);
    let mut bound = claim_of(Some("waits"));
    bound["status"]["phase"] = json!("Bound");
    let mut named = claim_of(Some("waits"));
    named["spec"]["volumeName"] = json!("pv");
    let mut deleting = claim_of(Some("waits"));
    deleting["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    for object in [bound, named, deleting] {
        assert_eq!(plan(&view(&object), &one), Repair::Nothing, "{object}");
    }
}

#[test]
fn a_claim_that_would_have_been_refused_is_left_as_it_is() {
    let object = annotated(&claim_of(Some("waits")), &[(NODE, "A B")]);
    assert_eq!(plan(&view(&object), &facts(&[node("a")])), Repair::Nothing);
}
