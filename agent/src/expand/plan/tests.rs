use super::*;
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::names;

const UID: &str = "0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";

fn claim(asked: &str) -> Claim {
    Claim {
        uid: Some(UID.to_owned()),
        volume_name: Some(format!("pvc-{UID}")),
        phase: Some("Bound".into()),
        storage: Some(asked.to_owned()),
        ..Claim::default()
    }
}

fn shown(size: &str) -> Growth {
    Growth { shown: Some(size.to_owned()), ..Growth::default() }
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
fn a_claim_that_asks_for_more_grows_and_whoever_was_not_told_is_told() {
    let grow = |bytes, size: &str| Step::Grow { bytes, size: size.to_owned() };
    let tell = |size: &str| Step::UpdateStatus { size: size.to_owned() };
    let failed = Growth { unsettled: true, ..shown("1Gi") };
    for (asked, growth, has, step) in [
        ("1Gi", shown("1Gi"), "1Gi", Step::Nothing),
        ("2Gi", shown("1Gi"), "1Gi", grow(2 << 30, "2Gi")),
        ("2Gi", failed.clone(), "1Gi", grow(2 << 30, "2Gi")),
        ("2Gi", shown("1Gi"), "2Gi", tell("2Gi")),
        ("1024Mi", shown("1Gi"), "1Gi", Step::Nothing),
        ("1Gi", failed, "1Gi", tell("1Gi")),
        ("1Gi", shown("4Gi"), "4Gi", Step::Nothing),
        ("2Gi", Growth::default(), "2Gi", Step::Nothing),
        ("much", shown("1Gi"), "1Gi", Step::Nothing),
    ] {
        assert_eq!(plan(&claim(asked), &growth, &volume(has)), step, "{asked} {growth:?} {has}");
    }
}

#[test]
fn a_volume_that_is_not_the_claims_own_or_is_at_its_end_does_not_grow() {
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
        let step = plan(&claim, &shown("1Gi"), &volume);
        assert_eq!(step, Step::Nothing, "{claim:?} {volume:?}");
    }
}

#[test]
fn a_size_is_promised_once_and_again_after_a_refusal() {
    let promised_to =
        |size: &str| Growth { allocated: Some(size.to_owned()), unsettled: true, ..shown("1Gi") };
    let refused = Growth { error: Some("no room".to_owned()), ..promised_to("2Gi") };
    for (growth, promise) in [
        (Growth::default(), Promise::ToMake),
        (shown("1Gi"), Promise::ToMake),
        (promised_to("2Gi"), Promise::Made),
        (promised_to("2048Mi"), Promise::Made),
        (promised_to("3Gi"), Promise::ToMake),
        (refused, Promise::ToMake),
        (shown("2Gi"), Promise::Kept),
        (Growth { allocated: Some("2Gi".to_owned()), ..shown("2Gi") }, Promise::Kept),
        (Growth { unsettled: true, ..shown("2Gi") }, Promise::ToMake),
    ] {
        assert_eq!(promised(&growth, "2Gi"), promise, "{growth:?}");
    }
}
