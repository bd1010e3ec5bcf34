//! The record of a Service's mode, and which of its annotations for the inlets operator are
//! fastrak's own.

use super::{ServiceRequest, Settings};
use crate::patch::{Edit, Field};
use fastrak_api::balancer::{Decision, Ingress, MANAGED, Mode, ServiceView, SkipReason};

/// The mode that was decided for.
///
/// A client that does not know the record removes it, with the rest of the annotations, when it
/// replaces the Service. The decision on the old object stands then. It does not stand if the object
/// says that the Service was skipped: a webhook is called again with its own result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// By the object of the request.
    now: Option<Mode>,
    /// By the object before an update.
    before: Option<Mode>,
    /// True if the object of the request records that the Service was skipped.
    is_skipped: bool,
    /// True if fastrak keeps the operator away from a Service that another load balancer serves.
    withheld: bool,
}

impl Record {
    /// Reads the record.
    pub(super) fn of(request: &ServiceRequest<'_>, settings: Settings) -> Self {
        let mode = |service: &ServiceView| service.decision().and_then(Decision::mode);
        let read = |service: &ServiceView| mode(service).filter(|mode| settings.serves(*mode));
        let withheld = is_withheld(request.service) || request.old.is_some_and(is_withheld);
        let (now, before) = (read(request.service), request.old.and_then(read));
        let is_skipped = matches!(request.service.decision(), Some(Decision::Skipped(_)));
        Self { now, before, is_skipped, withheld }
    }

    /// Returns the same; without any record, the mode that has given the Service its address. A
    /// repair has no old object: the address is all that is left of the decision.
    pub(super) fn or_serving(self, service: &ServiceView, settings: Settings) -> Self {
        let serving = match (&service.decision, service.ingress) {
            (None, Ingress::By(mode)) => Some(mode).filter(|mode| settings.serves(*mode)),
            (Some(_), _) | (None, Ingress::Absent | Ingress::Unknown | Ingress::Foreign) => None,
        };
        Self { now: self.decided().or(serving), ..self }
    }

    /// Returns the mode of the Service, if it was decided.
    pub(super) fn decided(self) -> Option<Mode> {
        self.now.or(self.before.filter(|_| !self.is_skipped))
    }

    /// Returns whether fastrak has written annotations of a mode.
    pub(super) fn exists(self) -> bool {
        self.withheld || self.now.or(self.before).is_some()
    }

    /// Returns whether the decision before the update was that the Service gets no address.
    pub(super) fn was_none(self) -> bool {
        self.before == Some(Mode::None)
    }

    /// Returns the annotations of modes, each with whether its value is fastrak's.
    fn ours(self, service: &ServiceView) -> impl Iterator<Item = (&'static str, bool)> {
        let withheld = self.withheld.then_some(Mode::None);
        let written = [self.now, self.before, withheld].map(|mode| Some(mode?.row().annotations));
        MANAGED.into_iter().zip(&service.managed).enumerate().map(move |(at, (key, value))| {
            let mut written = written.iter().flatten();
            (key, written.any(|values| value.as_deref() == Some(values[at])))
        })
    }

    /// Returns the operator's annotation that the Service's user, and not fastrak, has set.
    pub(super) fn set_by_user(self, service: &ServiceView) -> Option<&'static str> {
        let mut annotations = self.ours(service).zip(&service.managed);
        annotations.find_map(|((key, ours), value)| (value.is_some() && !ours).then_some(key))
    }

    /// Removes what fastrak wrote for the operator; what the user wrote stays.
    pub(super) fn removed(self, service: &ServiceView) -> Vec<Edit> {
        let ours = self.ours(service).filter(|(_, ours)| *ours);
        ours.map(|(key, _)| Edit::remove(Field::Annotation(key))).collect()
    }

    /// Returns what a skip does with the annotations that fastrak wrote.
    ///
    /// A Service that loses its record to a foreign address keeps the operator away. Without the
    /// annotations, an operator that runs without `-annotated-only` would build a tunnel again.
    pub(super) fn skipped(self, service: &ServiceView, reason: SkipReason) -> Vec<Edit> {
        if reason == SkipReason::ForeignAddress && self.exists() {
            return annotations(Mode::None).collect();
        }
        self.removed(service)
    }
}

/// The edits that write the annotations of a mode.
pub(super) fn annotations(mode: Mode) -> impl Iterator<Item = Edit> {
    let values = MANAGED.into_iter().zip(mode.row().annotations);
    values.map(|(key, value)| Edit::set(Field::Annotation(key), value))
}

/// Returns whether the Service has all that fastrak writes when a foreign address ends its record.
/// fastrak writes all annotations; one alone is the user's.
fn is_withheld(service: &ServiceView) -> bool {
    let withheld = Mode::None.row().annotations;
    service.decision() == Some(Decision::Skipped(SkipReason::ForeignAddress))
        && service.managed.iter().zip(withheld).all(|(value, ours)| value.as_deref() == Some(ours))
}
