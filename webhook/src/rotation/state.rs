//! What a decision about certificates is made of: which authorities there are, where, and how long
//! each of them counts. No key, no certificate and no text is here, so that thousands of invented
//! clusters can be planned for in a test. It decides nothing.

use fastrak_certs::{Validity, Verdict};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use time::OffsetDateTime;

/// By how much the clocks of a cluster may differ and all still go well: a day, which is what a
/// machine with a wrong time zone is off by at most, and an hour for good measure. What has expired
/// stays trusted for so long; it costs a few hundred bytes.
pub const CLOCKS_DIFFER: time::Duration = time::Duration::hours(25);

/// Which certificate: the SHA-256 of its text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; 32]);

/// An authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthorityFact {
    /// Which.
    pub id: Id,
    /// When it counts.
    pub validity: Validity,
}

/// A leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafFact {
    /// Which.
    pub id: Id,
    /// The authority that signed it.
    pub issuer: Id,
    /// When it counts.
    pub validity: Validity,
}

/// What the Secret holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// There is no Secret.
    Absent,
    /// The Secret holds no authority that can be used, and why.
    Unusable(String),
    /// The Secret holds an authority.
    Usable(Box<Held>),
}

/// The content of a Secret that holds an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The authority that signs.
    pub current: AuthorityFact,
    /// The one that is to sign once everybody trusts it.
    pub next: Option<AuthorityFact>,
    /// Those that signed before, still trusted.
    pub old: Vec<AuthorityFact>,
    /// What is to be served, where the current authority signed it for all our names; else why it
    /// is not to be.
    pub leaf: Result<LeafFact, &'static str>,
    /// When those that signed before are trusted no longer.
    pub retire_at: Option<OffsetDateTime>,
    /// Whether the Secret was created again and not published since: what is published then still
    /// counts, as others may serve by it.
    pub inherits: bool,
}

/// What the API server is to trust.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Whom every webhook of ours trusts, and for how long this replica has seen so without a break.
    pub trusted: Vec<(Id, Duration)>,
    /// The authorities that any webhook of ours trusts.
    pub found: Vec<AuthorityFact>,
    /// Whether every webhook of ours has exactly what the Secret says.
    pub exact: bool,
}

/// How far a rotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// There is no authority that can be used.
    Missing,
    /// The API server does not know yet whom to trust.
    Publishing,
    /// The next authority is published, and API servers have the time to learn of it.
    Settling,
    /// A new authority signs, and the one before it is still trusted.
    Overlapping,
    /// One authority, and that is all.
    Settled,
    /// The certificate is the operator's own.
    Mounted,
}

/// What a decision is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What the API server trusts. Read before the Secret was.
    pub published: Published,
    /// What the replicas share.
    pub stored: Stored,
    /// What this replica serves.
    pub served: Option<LeafFact>,
}

/// What is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// How long an authority lasts.
    pub authority: time::Duration,
    /// How long a leaf lasts.
    pub leaf: time::Duration,
    /// How long API servers may take to learn of a new bundle.
    pub settle: Duration,
}

impl Lifetimes {
    /// How long after its end something may still count for others.
    #[must_use]
    pub fn grace(&self) -> time::Duration {
        CLOCKS_DIFFER.min(self.leaf)
    }

    /// When an authority that was found published may be forgotten: nothing says what it has
    /// signed, so as if that were a leaf made now, and by the worst of clocks.
    #[must_use]
    pub fn retire_adopted(&self, now: OffsetDateTime) -> OffsetDateTime {
        now.saturating_add(self.leaf).saturating_add(self.grace() * 3)
    }

    /// When the authority that signs may be forgotten once another signs in its place: when its
    /// last leaf has expired.
    #[must_use]
    pub fn retire_promoted(&self, held: &Held) -> OffsetDateTime {
        let end = held.current.validity.not_after;
        let end = held.leaf.as_ref().map_or(end, |leaf| leaf.validity.not_after);
        end.saturating_add(self.grace())
    }

    /// When a leaf made at `now` by this authority would end.
    #[must_use]
    pub fn leaf_end(&self, authority: &AuthorityFact, now: OffsetDateTime) -> OffsetDateTime {
        now.saturating_add(self.leaf).min(authority.validity.not_after)
    }
}

impl AuthorityFact {
    /// Returns whether it has expired.
    #[must_use]
    pub fn has_ended(&self, now: OffsetDateTime) -> bool {
        self.validity.verdict(now) == Verdict::Expired
    }
}

impl LeafFact {
    /// Returns whether it has expired.
    #[must_use]
    pub fn has_ended(&self, now: OffsetDateTime) -> bool {
        self.validity.verdict(now) == Verdict::Expired
    }
}

impl Held {
    /// All that are to be trusted, in the order of the bundle.
    pub fn trusted(&self) -> impl Iterator<Item = &AuthorityFact> {
        [&self.current].into_iter().chain(&self.next).chain(&self.old)
    }
}

impl Published {
    /// For how long this authority has been trusted by every webhook of ours, if it is.
    #[must_use]
    pub fn trusts(&self, id: Id) -> Option<Duration> {
        self.trusted.iter().find(|(trusted, _)| *trusted == id).map(|(_, since)| *since)
    }
}

impl View {
    /// How far the rotation is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match &self.stored {
            Stored::Absent | Stored::Unusable(_) => Phase::Missing,
            Stored::Usable(held) if held.inherits || !self.published.exact => Phase::Publishing,
            Stored::Usable(held) if held.next.is_some() => Phase::Settling,
            Stored::Usable(held) if !held.old.is_empty() => Phase::Overlapping,
            Stored::Usable(_) => Phase::Settled,
        }
    }
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Missing,
        Self::Publishing,
        Self::Settling,
        Self::Overlapping,
        Self::Settled,
        Self::Mounted,
    ];
}

impl Id {
    /// The certificate in this text, which is written as a bundle writes it.
    #[must_use]
    pub fn of(pem: &str) -> Self {
        Self(Sha256::digest(pem.as_bytes()).into())
    }
}

impl std::fmt::Debug for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}
