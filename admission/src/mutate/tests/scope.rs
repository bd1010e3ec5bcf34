//! Tests of the claims that the webhook decides about.

use super::*;

#[test]
fn a_probe_is_answered_in_its_own_namespace_in_any_cluster() {
    use fastrak_api::names::{PROBE, PROBE_ANSWERED, PROBE_NAMESPACE, PROBE_REQUESTED};
    let mut probe = with_labels(&claim_of(Some("")), &[(PROBE, PROBE_REQUESTED)]);
    assert_eq!(create(&probe, &two_nodes()).reason, Reason::EmptyClass, "elsewhere");
    probe["metadata"]["namespace"] = json!(PROBE_NAMESPACE);
    for snapshot in [snapshot(&[]), two_nodes(), Snapshot::default()] {
        let verdict = create(&probe, &snapshot);
        assert_eq!(verdict.reason, Reason::Probe);
        let answered = after(&probe, &verdict);
        assert_eq!(annotation(&answered, PROBE), Some(PROBE_ANSWERED));
        assert_eq!(create(&answered, &snapshot).outcome, Outcome::Untouched);
    }
    assert_eq!(repair(&probe, &two_nodes()).outcome, Outcome::Untouched);
}

#[test]
fn objects_out_of_scope_are_untouched() {
    let plain = claim_of(Some("waits"));
    let mut volume = plain.clone();
    volume["spec"]["volumeName"] = json!("pv-1");
    let mut deleting = plain.clone();
    deleting["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let system = |namespace: &str| {
        let mut claim = plain.clone();
        claim["metadata"]["namespace"] = json!(namespace);
        claim
    };
    for (object, reason) in [
        (claim_of(Some("")), Reason::EmptyClass),
        (annotated(&plain, &[(kubernetes::STORAGE_CLASS_BETA, "foreign")]), Reason::ForeignClass),
        (annotated(&plain, &[(kubernetes::STORAGE_CLASS_BETA, "nobody")]), Reason::UnknownClass),
        (volume, Reason::VolumeNamed),
        (deleting, Reason::Deleting),
        (claim_of(Some("foreign")), Reason::ForeignClass),
        (claim_of(Some("nobody")), Reason::UnknownClass),
        (with_labels(&plain, &[(names::ADMISSION, "disabled")]), Reason::OptedOut),
        (system("kube-system"), Reason::SystemNamespace),
        (system("kube-node-lease"), Reason::SystemNamespace),
        (system(names::NAMESPACE), Reason::SystemNamespace),
    ] {
        for operation in [Operation::Create, Operation::Update, Operation::Repair] {
            let verdict = decide(operation, Some(&object), &object, &one_node());
            is_silent(&verdict, reason);
        }
    }
}

#[test]
fn a_class_of_ours_in_the_beta_annotation_is_left_unchanged_with_a_warning() {
    let object = annotated(&claim_of(Some("waits")), &[(kubernetes::STORAGE_CLASS_BETA, "waits")]);
    let verdict = create(&object, &one_node());
    assert_eq!((verdict.reason, &verdict.outcome), (Reason::BetaClass, &Outcome::Untouched));
    let text = "left it unchanged: a beta annotation sets its class; use spec.storageClassName";
    assert_eq!(warned(&verdict), [format!("fastrak: {text}")]);
    is_silent(&update(&object, &object, &one_node()), Reason::BetaClass);
}

#[test]
fn a_pin_on_a_claim_of_another_provisioner_is_not_ours_to_judge() {
    let object = annotated(&claim_of(Some("foreign")), &[(NODE, "Not A Node")]);
    assert_eq!(create(&object, &one_node()).outcome, Outcome::Untouched);
}
