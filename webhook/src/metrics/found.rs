//! The series of reviews, each found once. To find one hashes its labels under a lock, and every review
//! has two. A series is there from the first review that it counts, as in the families themselves.

use super::{ReviewLabels, SubjectLabel};
use crate::review::{Effect, Subject};
use crate::verdict::Reason;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use std::sync::OnceLock;

const SUBJECTS: usize = Subject::Services as usize + 1;
const EFFECTS: usize = Effect::Rejected as usize + 1;
const REASONS: usize = Reason::ALL.len();

/// What has been found.
#[derive(Debug, Default)]
pub(super) struct Found {
    durations: [OnceLock<Histogram>; SUBJECTS],
    reviews: OnceLock<Box<[OnceLock<Counter>]>>,
}

impl Found {
    /// The counter of these labels.
    pub(super) fn review(
        &self,
        family: &Family<ReviewLabels, Counter>,
        labels: &ReviewLabels,
    ) -> &Counter {
        let ReviewLabels { resource, outcome, reason } = labels;
        let at = (*resource as usize * EFFECTS + *outcome as usize) * REASONS + *reason as usize;
        let all = self.reviews.get_or_init(|| {
            std::iter::repeat_with(OnceLock::new).take(SUBJECTS * EFFECTS * REASONS).collect()
        });
        all[at].get_or_init(|| family.get_or_create_owned(labels))
    }

    /// The histogram of a subject.
    pub(super) fn duration(
        &self,
        family: &Family<SubjectLabel, Histogram, fn() -> Histogram>,
        resource: Subject,
    ) -> &Histogram {
        let found = &self.durations[resource as usize];
        found.get_or_init(|| family.get_or_create_owned(&SubjectLabel { resource }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_labels_have_the_same_counter() {
        let (family, found) = (Family::default(), Found::default());
        let mut all = HashSet::new();
        let effects = [
            Effect::Untouched,
            Effect::Patched,
            Effect::Denied,
            Effect::DryRun,
            Effect::Failed,
            Effect::Rejected,
        ];
        for resource in [Subject::Claims, Subject::Services] {
            for (outcome, reason) in
                effects.into_iter().flat_map(|effect| Reason::ALL.iter().map(move |r| (effect, *r)))
            {
                let counter = found.review(&family, &ReviewLabels { resource, outcome, reason });
                assert_eq!(counter.inc(), 0);
                all.insert(std::ptr::from_ref(counter));
            }
        }
        assert_eq!(all.len(), SUBJECTS * EFFECTS * REASONS);
    }
}
