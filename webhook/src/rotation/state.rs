//! The input of `plan.rs`: which CA certificates exist, where, and how long each is valid. It
//! contains no key and no certificate, so a test can plan for thousands of simulated clusters.

use fastrak_certs::Validity;
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use time::OffsetDateTime;

/// The tolerated difference between the clocks of a cluster: a day, which is the most that a wrong
/// time zone causes, plus an hour. Expired CA certificates stay trusted for this time.
pub const CLOCKS_DIFFER: time::Duration = time::Duration::hours(25);

/// The identity of a certificate: the SHA-256 of its PEM text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; 32]);

/// A CA certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaInfo {
    /// The identity.
    pub id: Id,
    /// The validity period.
    pub validity: Validity,
}

/// A leaf certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafInfo {
    /// The identity.
    pub id: Id,
    /// The CA that issued it.
    pub issuer: Id,
    /// The validity period.
    pub validity: Validity,
}

/// The state of the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// There is no Secret.
    Absent,
    /// The Secret has no usable CA, for this reason.
    Unusable(String),
    /// The Secret has a CA.
    Usable(Box<StoredCerts>),
}

/// The content of a Secret with a CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCerts {
    /// The CA that issues certificates.
    pub current: CaInfo,
    /// The CA that replaces it once all API servers trust it.
    pub next: Option<CaInfo>,
    /// The previous CAs, which are still trusted.
    pub old: Vec<CaInfo>,
    /// The certificate to serve, or why it cannot be served: it must be issued by the current CA
    /// for all our names.
    pub leaf: Result<LeafInfo, &'static str>,
    /// When the previous CAs are removed.
    pub retire_at: Option<OffsetDateTime>,
    /// Whether the Secret was recreated and its CA is not published yet. Other replicas may still
    /// serve certificates of the published CAs.
    pub inherits: bool,
}

/// The `caBundle` fields of our webhooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// The CAs in all of them, and for how long this replica has seen them without interruption.
    pub trusted: Vec<(Id, Duration)>,
    /// The CAs in any of them.
    pub found: Vec<CaInfo>,
    /// Whether all of them equal the bundle of the Secret.
    pub exact: bool,
}

fastrak_api::text_enum! {
    /// The phase of a rotation.
    pub enum Phase {
        /// There is no usable CA.
        Missing = "missing",
        /// The CA is not published yet.
        Publishing = "publishing",
        /// The next CA is published, and API servers load it.
        Settling = "settling",
        /// A new CA issues certificates, and the previous one is still trusted.
        Overlapping = "overlapping",
        /// There is only the current CA.
        Settled = "settled",
        /// The administrator mounts the certificate.
        Mounted = "mounted",
    }
}

/// The input of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The published CAs. They are read before the Secret.
    pub published: Published,
    /// The Secret.
    pub stored: Stored,
    /// The certificate that this replica serves.
    pub served: Option<LeafInfo>,
}

/// The configured durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// The lifetime of a CA.
    pub ca: time::Duration,
    /// The lifetime of a leaf certificate.
    pub leaf: time::Duration,
    /// How long API servers may take to load a new bundle.
    pub settle: Duration,
}

impl Lifetimes {
    /// Returns how long an expired certificate may still be valid for another clock.
    #[must_use]
    pub fn grace(&self) -> time::Duration {
        CLOCKS_DIFFER.min(self.leaf)
    }

    /// Returns when an adopted CA may be removed. Its certificates are unknown, so this assumes a
    /// leaf that was issued now, by the worst clock.
    #[must_use]
    pub fn retire_adopted(&self, now: OffsetDateTime) -> OffsetDateTime {
        now.saturating_add(self.leaf).saturating_add(self.grace() * 3)
    }

    /// Returns when the current CA may be removed after its replacement: when its last leaf has
    /// expired.
    #[must_use]
    pub fn retire_promoted(&self, certs: &StoredCerts) -> OffsetDateTime {
        let end = certs.current.validity.not_after;
        let end = certs.leaf.as_ref().map_or(end, |leaf| leaf.validity.not_after);
        end.saturating_add(self.grace())
    }

    /// Returns when a leaf that `ca` issues at `now` would expire.
    #[must_use]
    pub fn leaf_end(&self, ca: &CaInfo, now: OffsetDateTime) -> OffsetDateTime {
        now.saturating_add(self.leaf).min(ca.validity.not_after)
    }
}

impl StoredCerts {
    /// Returns all trusted CAs, in the order of the bundle.
    pub fn trusted(&self) -> impl Iterator<Item = &CaInfo> {
        [&self.current].into_iter().chain(&self.next).chain(&self.old)
    }
}

impl Published {
    /// Returns for how long all our webhooks have trusted a CA, if they do.
    #[must_use]
    pub fn trusts(&self, id: Id) -> Option<Duration> {
        self.trusted.iter().find(|(trusted, _)| *trusted == id).map(|(_, since)| *since)
    }
}

impl View {
    /// Returns the phase of the rotation.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match &self.stored {
            Stored::Absent | Stored::Unusable(_) => Phase::Missing,
            Stored::Usable(certs) if certs.inherits || !self.published.exact => Phase::Publishing,
            Stored::Usable(certs) if certs.next.is_some() => Phase::Settling,
            Stored::Usable(certs) if !certs.old.is_empty() => Phase::Overlapping,
            Stored::Usable(_) => Phase::Settled,
        }
    }
}

impl Id {
    /// Returns the identity of the certificate in a PEM text, as a bundle formats it.
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
