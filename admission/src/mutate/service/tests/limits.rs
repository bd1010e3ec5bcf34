//! Tests of the limits of inlets: source ranges, requested addresses and clients' addresses.

use super::*;
use fastrak_api::names::kubernetes;

fn asking(field: &str, value: Value) -> Value {
    let mut object = plain();
    object["spec"][field] = value;
    object
}

fn ranged() -> Value {
    asking("loadBalancerSourceRanges", json!(["10.0.0.0/8"]))
}

/// Returns a served Service before and after an update to the spec of another.
fn grown(object: &Value) -> (Value, Value) {
    let old = created(&plain());
    let mut new = old.clone();
    new["spec"] = object["spec"].clone();
    (old, new)
}

#[test]
fn source_ranges_and_a_requested_address_rule_inlets_out() {
    let ranges = "fastrak: left it without an address: inlets ignores \
                  spec.loadBalancerSourceRanges; remove them";
    let address =
        "fastrak: left it without an address: inlets ignores the requested address; remove it";
    for (object, reason, text) in [
        (ranged(), Reason::SourceRanges, ranges),
        (asking("loadBalancerIP", json!("10.0.0.7")), Reason::RequestedAddress, address),
        (
            annotated(&plain(), &[(names::LOAD_BALANCER_IPS, "10.0.0.7")]),
            Reason::RequestedAddress,
            address,
        ),
    ] {
        for object in [object.clone(), annotated(&object, &[(BALANCER, "inlets")])] {
            let verdict = create(&object);
            assert_eq!((verdict.reason, warned(&verdict)), (reason, vec![text.to_owned()]));
            let changed = after(&object, &verdict);
            assert_eq!(written(&changed), NONE);
            assert_eq!(changed["spec"], object["spec"]);
            assert!(warned(&update(&changed, &changed)).is_empty());
        }
    }
}

#[test]
fn ranges_that_keep_nobody_out_rule_nothing_out() {
    for ranges in [json!([]), json!(["0.0.0.0/0"]), json!(["10.0.0.0/8", "0.0.0.0/0"])] {
        let object = asking("loadBalancerSourceRanges", ranges);
        assert_eq!(written(&created(&object)), INLETS, "{object}");
    }
}

#[test]
fn a_served_service_that_gets_source_ranges_does_not_stay_public() {
    let (old, new) = grown(&ranged());
    let verdict = update(&old, &new);
    assert_eq!((verdict.reason, written(&after(&new, &verdict))), (Reason::SourceRanges, NONE));
    assert_eq!(warned(&verdict).len(), 1);
    // The same for a repair, which has no older object, for a choice, and for the old annotation.
    assert_eq!(written(&created(&new)), NONE);
    let chosen = annotated(&new, &[(BALANCER, "inlets")]);
    assert_eq!(written(&after(&chosen, &update(&old, &chosen))), NONE);
    let noted = annotated(&old, &[(kubernetes::SOURCE_RANGES, "10.0.0.0/8")]);
    assert_eq!(written(&after(&noted, &update(&old, &noted))), NONE);
    // The same after a replacement without annotations.
    let mut bare = plain();
    bare["spec"] = new["spec"].clone();
    assert_eq!(written(&after(&bare, &update(&old, &bare))), NONE);
}

#[test]
fn when_the_ranges_are_gone_inlets_serves_again() {
    let old = created(&ranged());
    let mut new = old.clone();
    new["spec"] = plain()["spec"].clone();
    assert_eq!(written(&after(&new, &update(&old, &new))), INLETS);
}

#[test]
fn a_served_service_that_requests_an_address_keeps_its_tunnel_with_one_warning() {
    let (old, new) = grown(&asking("loadBalancerIP", json!("10.0.0.7")));
    let verdict = update(&old, &new);
    assert_eq!(written(&after(&new, &verdict)), INLETS);
    let text =
        "fastrak: inlets ignores the requested address; the Service keeps the tunnel's address";
    assert_eq!(warned(&verdict), [text]);
    is_silent(&update(&new, &new), Reason::Inlets);
}

#[test]
fn local_traffic_is_served_with_a_warning_that_clients_addresses_are_lost() {
    let text =
        "fastrak: externalTrafficPolicy: Local has no effect: the tunnel hides clients' addresses";
    let local = asking("externalTrafficPolicy", json!("Local"));
    let verdict = create(&local);
    assert_eq!(warned(&verdict), [text, "fastrak: delegated it to inlets-operator"]);
    let served = after(&local, &verdict);
    assert_eq!(written(&served), INLETS);
    is_silent(&update(&served, &served), Reason::Inlets);
    let (old, new) = grown(&local);
    assert_eq!(warned(&update(&old, &new)), [text]);
    let mute = annotated(&local, &[(BALANCER, "none")]);
    assert_eq!(warned(&create(&mute)).len(), 1);
}

fn with_operator(
    installed: Option<bool>,
    old: Option<&Value>,
    object: &Value,
    settings: Settings,
) -> Verdict {
    let snapshot = Snapshot { inlets_operator: installed, ..snapshot(&[]) };
    let (object, old) = (view(object), old.map(view));
    service(&request(&object, old.as_ref()), &snapshot, settings)
}

#[test]
fn a_default_of_inlets_without_an_operator_is_recorded_with_one_warning() {
    let remark = "no inlets-operator (0.17 or later) is installed; install it or write \
                  fastrak.io/balancer: none";
    let did = "fastrak: delegated it to inlets-operator";
    let absent =
        |old: Option<&Value>, object: &Value| with_operator(Some(false), old, object, SETTINGS);
    let verdict = absent(None, &plain());
    assert_eq!(warned(&verdict), [format!("fastrak: {remark}"), did.to_owned()]);
    let dry: Vec<_> = verdict.warnings(true).map(|warning| warning.to_string()).collect();
    assert_eq!(dry[0], format!("fastrak (dry run): {remark}"));
    let served = after(&plain(), &verdict);
    assert_eq!(written(&served), INLETS, "the operator may come");
    is_silent(&absent(None, &served), Reason::Inlets);
    is_silent(&absent(Some(&served), &served), Reason::Inlets);
    // A restored record is not reported again.
    assert_eq!(warned(&absent(Some(&served), &plain())), [did]);
    // An update that makes it a LoadBalancer is reported.
    let mut inner = plain();
    inner["spec"]["type"] = json!("ClusterIP");
    assert_eq!(warned(&absent(Some(&inner), &plain())).len(), 2);
    let asking = annotated(&plain(), &[(BALANCER, "inlets")]);
    assert_eq!(warned(&absent(None, &asking)), [did]);
    let none = Settings { balancer: Mode::None, ..SETTINGS };
    for (object, settings) in [(udp(), SETTINGS), (plain(), none)] {
        assert_eq!(warned(&with_operator(Some(false), None, &object, settings)).len(), 1);
    }
    for installed in [Some(true), None] {
        assert_eq!(warned(&with_operator(installed, None, &plain(), SETTINGS)), [did]);
    }
}
