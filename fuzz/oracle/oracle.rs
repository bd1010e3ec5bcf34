//! The properties of every answer, for the fuzz targets and for the test that runs their corpus: no
//! panic, an answer that the API server accepts, a patch that applies and changes only declared
//! fields, and no change at a second review.

mod cluster;
mod objects;
mod picks;
mod sizes;

use cluster::Cluster;
use fastrak_admission::mutate::DECLARED;
use fastrak_admission::patch::Field;
use fastrak_admission::review::{Subject, answer};
use fastrak_testkit::admission::{Admitted, Defect, reinvocation, verify};
use picks::Picks;
use serde_json::{Value, json};

/// Any bytes as a review, at either path.
pub(crate) fn review(data: &[u8]) {
    let cluster = Cluster::usual();
    for subject in [Subject::Claims, Subject::Services] {
        let Ok(answer) = answer(data, subject, Some(&cluster.snapshot), cluster.settings) else {
            continue;
        };
        // What reads as a review here and not as JSON there never comes from an API server.
        match verify(data, &answer.body, &declared(data)) {
            Ok(_) | Err(Defect::Review(_)) => {}
            Err(defect) => panic!("{defect:?}: {}", String::from_utf8_lossy(&answer.body)),
        }
    }
}

/// A claim that is made or changed.
pub(crate) fn claim(data: &[u8]) {
    let mut picks = Picks::of(data);
    let cluster = Cluster::picked(&mut picks);
    let old = objects::claim(&mut picks);
    let new = objects::claim(&mut picks);
    asked_twice(Subject::Claims, &cluster, &mut picks, (&old, &new));
}

/// A Service that is made or changed.
pub(crate) fn service(data: &[u8]) {
    let mut picks = Picks::of(data);
    let cluster = Cluster::picked(&mut picks);
    let old = objects::service(&mut picks);
    let new = objects::service(&mut picks);
    asked_twice(Subject::Services, &cluster, &mut picks, (&old, &new));
}

/// Any text as a size.
pub(crate) fn quantity(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        sizes::agree(text);
    }
}

fn asked_twice(
    subject: Subject,
    cluster: &Cluster,
    picks: &mut Picks<'_>,
    (old, new): (&Value, &Value),
) {
    let operation = picks.one(&["CREATE", "UPDATE", "DELETE", "CONNECT"]);
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": subject.kind()},
            "namespace": "shop",
            "operation": operation,
            "object": if operation == "DELETE" { &Value::Null } else { new },
            "oldObject": if operation == "CREATE" { &Value::Null } else { old },
        },
    });
    let review = review.to_string().into_bytes();
    let first = asked(subject, cluster, &review);
    if first.allowed {
        let again = reinvocation(&review, &first);
        let second = asked(subject, cluster, &again);
        assert!(second.allowed, "allowed, then not: {second:?}");
        assert_eq!(
            second.operations,
            0,
            "{}: {first:?}\n{second:?}",
            String::from_utf8_lossy(&review)
        );
    }
}

fn asked(subject: Subject, cluster: &Cluster, review: &[u8]) -> Admitted {
    let answer = answer(review, subject, Some(&cluster.snapshot), cluster.settings);
    let answer = answer.expect("a review has an answer");
    verify(review, &answer.body, &declared(review)).unwrap_or_else(|defect| {
        let review = String::from_utf8_lossy(review);
        panic!("{defect:?}: {}\n{review}", String::from_utf8_lossy(&answer.body))
    })
}

/// What may be written. The spec of a claim that is there is its user's.
fn declared(review: &[u8]) -> Vec<String> {
    let review: Value = serde_json::from_slice(review).unwrap_or_default();
    let creates = review["request"]["operation"] == "CREATE";
    let fields = DECLARED.into_iter().filter(|field| creates || *field != Field::ClassName);
    fields.map(Field::pointer).collect()
}
