//! What to do about a directory with a volume's name that neither a claim nor a volume is known
//! for. Pure.
//!
//! Such a directory is left by a claim that was deleted before its volume was published. It is
//! taken away only when that is certain, and seen twice; what cannot be explained so is kept.

use crate::cluster::ClaimState;
use crate::volumes::Whereabouts;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::ReclaimRecord;
use std::time::Duration;

/// However short the configured grace is, between two looks lies at least this.
pub const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// What was found out about a directory, all of it just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Where the directory is, and what it says of itself.
    pub data: Whereabouts,
    /// Whether the cluster has any volume of its name or at its path.
    pub has_volume: bool,
    /// The claim that it was made for.
    pub claim: ClaimState,
    /// Whether something has it mounted; `None` where that cannot be told.
    pub mounted: Option<bool>,
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is no orphan.
    Owned,
    /// It is none that may be taken away; why.
    Keep(&'static str),
    /// Look again after this time.
    LookAgain(Duration),
    /// Take it away.
    Trash(PoolName),
}

/// Decides about a directory that was first seen without an owner `seen` ago: never, at its first
/// look.
#[must_use]
pub fn decide(evidence: &Evidence, seen: Option<Duration>, grace: Duration) -> Verdict {
    let (pool, identity) = match &evidence.data {
        Whereabouts::Here(pool, identity) => (pool, identity),
        Whereabouts::Trashed | Whereabouts::Nowhere => return Verdict::Owned,
        Whereabouts::Doubtful(..) => return Verdict::Keep("its record cannot be read"),
        Whereabouts::Unknown(_) => return Verdict::Keep("its pool cannot be used"),
    };
    if evidence.has_volume || evidence.claim != ClaimState::Gone {
        return Verdict::Owned;
    }
    if identity.reclaim_policy == ReclaimRecord::Retain {
        return Verdict::Keep("its record says that it is to be kept");
    }
    match evidence.mounted {
        Some(false) => {}
        Some(true) => return Verdict::LookAgain(grace.max(BETWEEN_LOOKS)),
        None => return Verdict::Keep("it cannot be told whether it is mounted"),
    }
    let grace = grace.max(BETWEEN_LOOKS);
    match seen {
        Some(seen) if seen >= grace => Verdict::Trash(pool.clone()),
        Some(seen) => Verdict::LookAgain(grace.saturating_sub(seen)),
        None => Verdict::LookAgain(grace),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrak_api::volume::{IDENTITY_FORMAT, Identity, LimitRecord, VolumeId};

    const GRACE: Duration = Duration::from_secs(60);

    fn here(reclaim_policy: ReclaimRecord) -> Whereabouts {
        let identity = Identity {
            format: IDENTITY_FORMAT,
            volume: VolumeId::parse("0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59").unwrap(),
            namespace: "n".to_owned(),
            claim: "c".to_owned(),
            class: "s".to_owned(),
            node: "node-a".to_owned(),
            reclaim_policy,
            bytes: 1,
            limit: LimitRecord::None,
            trash_seconds: None,
            bytes_per_inode: None,
            claim_created: None,
        };
        Whereabouts::Here(PoolName::default(), Box::new(identity))
    }

    fn evidence() -> Evidence {
        Evidence {
            data: here(ReclaimRecord::Delete),
            has_volume: false,
            claim: ClaimState::Gone,
            mounted: Some(false),
        }
    }

    #[test]
    fn an_orphan_is_taken_away_at_the_second_look_and_after_the_grace() {
        let seconds = Duration::from_secs;
        let at = |seen| decide(&evidence(), seen, GRACE);
        assert_eq!(at(None), Verdict::LookAgain(GRACE));
        assert_eq!(at(Some(seconds(59))), Verdict::LookAgain(seconds(1)));
        assert_eq!(at(Some(GRACE)), Verdict::Trash(PoolName::default()));
        let hasty = decide(&evidence(), Some(seconds(1)), Duration::ZERO);
        assert_eq!(hasty, Verdict::LookAgain(seconds(1)));
    }

    #[test]
    fn what_has_an_owner_or_may_be_of_value_is_kept() {
        let doubtful = Whereabouts::Doubtful(PoolName::default(), String::new());
        let kept = [
            Evidence { has_volume: true, ..evidence() },
            Evidence { claim: ClaimState::Waiting, ..evidence() },
            Evidence { claim: ClaimState::HasVolume, ..evidence() },
            Evidence { data: here(ReclaimRecord::Retain), ..evidence() },
            Evidence { data: doubtful, ..evidence() },
            Evidence { data: Whereabouts::Unknown(String::new()), ..evidence() },
            Evidence { data: Whereabouts::Nowhere, ..evidence() },
            Evidence { mounted: Some(true), ..evidence() },
            Evidence { mounted: None, ..evidence() },
        ];
        for evidence in kept {
            let verdict = decide(&evidence, Some(Duration::from_secs(3600)), GRACE);
            assert!(!matches!(verdict, Verdict::Trash(_)), "{evidence:?}: {verdict:?}");
        }
    }
}
