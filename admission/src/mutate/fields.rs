//! The fields that fastrak writes, with the value that an object has of each.
//!
//! A field that is not in these tables cannot be written: an edit of it is a defect, and the tests
//! of both mutators fail.

use crate::patch::{Edit, Field};
use crate::verdict::{Outcome, Verdict};
use fastrak_api::balancer::ServiceView;
use fastrak_api::claim::Claim;
use fastrak_api::names::{self, inlets, kubernetes};

/// A field with its current value in an object.
type Row<T> = (Field, fn(&T) -> Option<&str>);

/// The fields of claims.
const CLAIM: [Row<Claim>; 8] = [
    (Field::ClassName, |claim| claim.class_name()),
    (Field::Annotation(names::NODE), |claim| claim.pin.as_deref()),
    (Field::Annotation(names::PINNED_BY), |claim| claim.pinned_by.as_deref()),
    (Field::Annotation(kubernetes::SELECTED_NODE), |claim| claim.selected_node.as_deref()),
    (Field::Annotation(kubernetes::STORAGE_PROVISIONER), |claim| {
        claim.storage_provisioner.0.as_deref()
    }),
    (Field::Annotation(kubernetes::STORAGE_PROVISIONER_BETA), |claim| {
        claim.storage_provisioner.1.as_deref()
    }),
    (Field::Label(names::NODE), |claim| claim.node_label.as_deref()),
    (PROBE, |claim| claim.probe_answer.as_deref()),
];

/// The fields of Services. The first are the annotations of `balancer::MANAGED`.
const SERVICE: [Row<ServiceView>; 4] = [
    (Field::Annotation(inlets::MANAGE), |service| service.managed[0].as_deref()),
    (Field::Annotation(inlets::MANAGE_LEGACY), |service| service.managed[1].as_deref()),
    (Field::Annotation(names::BALANCER_DECISION), |service| service.decision.as_deref()),
    (Field::BalancerClass, |service| service.class.as_deref()),
];

/// The answer to a probe, on a claim that is never stored.
pub const PROBE: Field = Field::Annotation(names::PROBE);

/// All fields that fastrak ever writes.
pub const DECLARED: [Field; CLAIM.len() + SERVICE.len()] = {
    let mut all = [Field::ClassName; CLAIM.len() + SERVICE.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < CLAIM.len() { CLAIM[at].0 } else { SERVICE[at - CLAIM.len()].0 };
        at += 1;
    }
    all
};

/// An object whose fields fastrak writes.
pub(super) trait Written: Sized + 'static {
    /// Its fields.
    const FIELDS: &'static [Row<Self>];
}

impl Written for Claim {
    const FIELDS: &'static [Row<Self>] = &CLAIM;
}

impl Written for ServiceView {
    const FIELDS: &'static [Row<Self>] = &SERVICE;
}

/// Drops the edits that change nothing.
pub(super) fn without_idle_edits<T: Written>(object: &T, mut verdict: Verdict) -> Verdict {
    if let Outcome::Patched(edits) = &mut verdict.outcome {
        edits.retain(|edit| edit.value.as_deref() != current(object, edit));
        if edits.is_empty() {
            verdict.outcome = Outcome::Untouched;
        }
    }
    verdict
}

fn current<'a, T: Written>(object: &'a T, edit: &Edit) -> Option<&'a str> {
    let row = T::FIELDS.iter().find(|(field, _)| *field == edit.field);
    debug_assert!(row.is_some(), "{} is written and not declared", edit.field);
    row.and_then(|(_, value)| value(object))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{SETTINGS, annotated, claim as claim_of, node, snapshot, with_labels};
    use crate::mutate::service::{ServiceRequest, Settings, service};
    use crate::mutate::{ClaimRequest, Operation, claim};
    use fastrak_api::balancer::{MANAGED, Mode};
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    fn written(verdict: &Verdict) -> BTreeSet<Field> {
        match &verdict.outcome {
            Outcome::Patched(edits) => edits.iter().map(|edit| edit.field).collect(),
            Outcome::Untouched | Outcome::Denied(_) => BTreeSet::new(),
        }
    }

    fn of_claim(object: &Value) -> BTreeSet<Field> {
        let claim_view = Claim::parse(&object.to_string()).unwrap();
        let operation = Operation::Create;
        let request = ClaimRequest { claim: &claim_view, old: None, operation, uid: "r-1" };
        written(&claim(&request, &snapshot(&[node("a")])))
    }

    #[test]
    fn every_declared_field_is_written_and_no_other() {
        let mut probe = with_labels(&claim_of(Some("")), &[(names::PROBE, names::PROBE_REQUESTED)]);
        probe["metadata"]["namespace"] = json!(names::PROBE_NAMESPACE);
        let pinned = annotated(&claim_of(Some("waits")), &[(names::NODE, "a")]);
        let mut all: BTreeSet<_> =
            [claim_of(None), pinned, probe].iter().flat_map(of_claim).collect();
        let object = json!({"metadata": {"name": "web", "namespace": "shop"},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}});
        let view = ServiceView::of(&serde_json::from_str(&object.to_string()).unwrap());
        let request = ServiceRequest { service: &view, old: None, operation: Operation::Create };
        let pools = Settings { balancer: Mode::AddressPool, addresses: true, ..SETTINGS };
        all.extend(written(&service(&request, &snapshot(&[]), pools)));
        assert_eq!(all, DECLARED.into_iter().collect());
    }

    #[test]
    #[should_panic(expected = "is written and not declared")]
    fn an_edit_of_an_undeclared_field_is_found() {
        let edits = vec![Edit::set(Field::Annotation("example.com/other"), "x")];
        let verdict = Verdict::patched(crate::verdict::Reason::UserPin, edits);
        drop(without_idle_edits(&Claim::default(), verdict));
    }

    #[test]
    fn the_annotations_of_modes_are_in_the_order_of_their_values() {
        let keys = SERVICE.map(|(field, _)| field);
        assert_eq!(keys[..MANAGED.len()], MANAGED.map(Field::Annotation));
    }
}
