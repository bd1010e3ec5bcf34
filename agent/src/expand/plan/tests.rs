use super::*;
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::names;

const UID: &str = "0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";

fn claim(requested: &str) -> Claim {
    Claim {
        uid: Some(UID.to_owned()),
        volume_name: Some(format!("pvc-{UID}")),
        phase: Some("Bound".into()),
        storage: Some(requested.to_owned()),
        ..Claim::default()
    }
}

fn capacity(size: &str) -> Growth {
    Growth { capacity: Some(size.to_owned()), ..Growth::default() }
}

fn volume(capacity: &str) -> Volume {
    Volume {
        name: format!("pvc-{UID}"),
        phase: Phase::Bound,
        capacity: Some(capacity.to_owned()),
        provisioned_by: Some(names::PROVISIONER.to_owned()),
        claim: Some(ClaimRef { uid: Some(UID.to_owned()), ..ClaimRef::default() }),
        ..Volume::default()
    }
}

#[test]
fn a_larger_request_grows_the_volume_and_an_outdated_status_is_updated() {
    let grow = |bytes, size: &str| Step::Grow { bytes, size: size.to_owned() };
    let update = |size: &str| Step::UpdateStatus { size: size.to_owned() };
    let failed = Growth { unsettled: true, ..capacity("1Gi") };
    for (requested, growth, has, step) in [
        ("1Gi", capacity("1Gi"), "1Gi", Step::Nothing),
        ("2Gi", capacity("1Gi"), "1Gi", grow(2 << 30, "2Gi")),
        ("2Gi", failed.clone(), "1Gi", grow(2 << 30, "2Gi")),
        ("2Gi", capacity("1Gi"), "2Gi", update("2Gi")),
        ("1024Mi", capacity("1Gi"), "1Gi", Step::Nothing),
        ("1Gi", failed, "1Gi", update("1Gi")),
        ("1Gi", capacity("4Gi"), "4Gi", Step::Nothing),
        ("2Gi", Growth::default(), "2Gi", Step::Nothing),
        ("much", capacity("1Gi"), "1Gi", Step::Nothing),
    ] {
        assert_eq!(
            plan(&claim(requested), &growth, &volume(has)),
            step,
            "{requested} {growth:?} {has}"
        );
    }
}

#[test]
fn a_volume_of_another_claim_or_being_deleted_does_not_grow() {
    let other = ClaimRef { uid: Some("another".to_owned()), ..ClaimRef::default() };
    let (good, has) = (claim("2Gi"), volume("1Gi"));
    for (claim, volume) in [
        (Claim { deleting: true, ..good.clone() }, has.clone()),
        (Claim { phase: Some("Pending".into()), ..good.clone() }, has.clone()),
        (Claim { phase: Some("Lost".into()), ..good.clone() }, has.clone()),
        (Claim { volume_name: Some("other".to_owned()), ..good.clone() }, has.clone()),
        (
            Claim { uid: None, ..good.clone() },
            Volume { claim: Some(ClaimRef::default()), ..has.clone() },
        ),
        (good.clone(), Volume { claim: Some(other), ..has.clone() }),
        (good.clone(), Volume { claim: None, ..has.clone() }),
        (good.clone(), Volume { deleting: true, ..has.clone() }),
        (good.clone(), Volume { phase: Phase::Released, ..has.clone() }),
        (good, Volume { provisioned_by: None, ..has }),
    ] {
        let step = plan(&claim, &capacity("1Gi"), &volume);
        assert_eq!(step, Step::Nothing, "{claim:?} {volume:?}");
    }
}

#[test]
fn a_size_is_promised_once_and_again_after_a_refusal() {
    let promised_to = |size: &str| Growth {
        allocated: Some(size.to_owned()),
        unsettled: true,
        ..capacity("1Gi")
    };
    let refused = Growth { error: Some("no space".to_owned()), ..promised_to("2Gi") };
    for (growth, promise) in [
        (Growth::default(), Promise::ToMake),
        (capacity("1Gi"), Promise::ToMake),
        (promised_to("2Gi"), Promise::Made),
        (promised_to("2048Mi"), Promise::Made),
        (promised_to("3Gi"), Promise::ToMake),
        (refused, Promise::ToMake),
        (capacity("2Gi"), Promise::Kept),
        (Growth { allocated: Some("2Gi".to_owned()), ..capacity("2Gi") }, Promise::Kept),
        (Growth { unsettled: true, ..capacity("2Gi") }, Promise::ToMake),
    ] {
        assert_eq!(promised(&growth, "2Gi"), promise, "{growth:?}");
    }
}
