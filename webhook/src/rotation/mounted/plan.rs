//! Decides the next step for a mounted certificate. Pure.

use crate::rotation::state::{Id, Published};
use std::time::Duration;
use time::OffsetDateTime;

/// The maximum number of previous CAs that stay published.
pub(super) const MAX_CAS: usize = 8;

/// A version of the mounted certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CertVersion {
    /// The SHA-256 of all its files.
    pub digest: [u8; 32],
    pub expires: OffsetDateTime,
}

/// The input of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// The certificate in the directory. It is usable.
    pub found: CertVersion,
    /// The served certificate.
    pub served: Option<CertVersion>,
    /// Whether all our webhooks trust the certificate in the directory.
    pub trusts_new: bool,
    /// Whether all our webhooks trust the served certificate.
    pub trusts_served: bool,
    /// The CAs in the directory. Empty if another client writes `caBundle`.
    pub own: Vec<Id>,
    pub published: Published,
}

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Publish the CAs in the directory in addition to the published ones.
    Publish,
    /// Serve the certificate in the directory.
    Serve,
    /// Do nothing, for this time if it is known.
    Rest(Option<Duration>),
}

#[must_use]
pub(super) fn plan(view: &View, settle: Duration, now: OffsetDateTime) -> Step {
    let View { found, served, own, published, .. } = view;
    let since: Option<Vec<_>> = own.iter().map(|id| published.trusts(*id)).collect();
    let Some(since) = since else { return Step::Publish };
    if served.is_some_and(|served| served.digest == found.digest) {
        return Step::Rest(None);
    }
    if !view.trusts_served || served.is_none_or(|served| served.expires < now) {
        return Step::Serve;
    }
    match since.into_iter().min() {
        // Another client writes `caBundle`.
        None if view.trusts_new => Step::Serve,
        None => Step::Rest(None),
        Some(since) if since >= settle => Step::Serve,
        Some(since) => Step::Rest(Some(settle.saturating_sub(since))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration as Time;

    const SETTLE: Duration = Duration::from_secs(10);

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
    }

    fn version(number: u8) -> CertVersion {
        CertVersion { digest: [number; 32], expires: now() + Time::HOUR }
    }

    fn view(own: &[u8], trusted: &[(u8, u64)], served: Option<u8>) -> View {
        let id = |number: u8| Id([number; 32]);
        let trusted = trusted.iter();
        let trusted = trusted.map(|(number, since)| (id(*number), Duration::from_secs(*since)));
        View {
            found: version(2),
            served: served.map(version),
            trusts_new: false,
            trusts_served: served.is_some(),
            own: own.iter().map(|number| id(*number)).collect(),
            published: Published { trusted: trusted.collect(), ..Published::default() },
        }
    }

    fn step(view: &View) -> Step {
        plan(view, SETTLE, now())
    }

    #[test]
    fn a_ca_is_published_and_read_back_before_its_certificate_is_served() {
        assert_eq!(step(&view(&[7], &[], None)), Step::Publish);
        assert_eq!(step(&view(&[7, 8], &[(7, 99)], None)), Step::Publish);
        assert_eq!(step(&view(&[7], &[(7, 0)], None)), Step::Serve);
        // Also if another client removes it later.
        assert_eq!(step(&view(&[7], &[], Some(2))), Step::Publish);
    }

    #[test]
    fn the_served_certificate_stays_until_api_servers_have_loaded_the_new_ca() {
        assert_eq!(step(&view(&[7], &[(7, 3)], Some(1))), Step::Rest(Some(Duration::from_secs(7))));
        assert_eq!(step(&view(&[7], &[(7, 10)], Some(1))), Step::Serve);
        let mut expired = view(&[7], &[(7, 3)], Some(1));
        expired.served = Some(CertVersion { expires: now() - Time::SECOND, ..version(1) });
        assert_eq!(step(&expired), Step::Serve);
        let mut untrusted = view(&[7], &[(7, 3)], Some(1));
        untrusted.trusts_served = false;
        assert_eq!(step(&untrusted), Step::Serve);
    }

    #[test]
    fn a_bundle_of_another_client_is_awaited_while_the_served_certificate_is_valid() {
        assert_eq!(step(&view(&[], &[], None)), Step::Serve);
        assert_eq!(step(&view(&[], &[], Some(2))), Step::Rest(None));
        let mut new = view(&[], &[], Some(1));
        assert_eq!(step(&new), Step::Rest(None));
        new.trusts_new = true;
        assert_eq!(step(&new), Step::Serve);
    }
}
