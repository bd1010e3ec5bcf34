//! Carries out the steps of a plan concurrently, each subject once at a time.

use super::{CONCURRENT_STEPS, LONGEST_DELAY, OCCUPIED, Outcome, Run};
use crate::allocation::plan::{Step, Subject};
use crate::allocation::writes::Written;
use fastrak_runtime::chain::Chain;
use tokio::time::Instant;

impl Run<'_> {
    /// Replaces the waiting steps by those of a new plan. The plan does not know the results of the
    /// requests that are being made, so a step that depends on one is left to the next plan.
    pub(super) fn replace_waiting(&mut self, mut steps: Vec<Step>) {
        let now = Instant::now();
        steps.retain(|step| {
            let subject = step.subject();
            !self.busy.contains(&subject)
                && self.backoff.due(&subject).is_none_or(|due| due <= now)
                && !self.may_be_published(step)
        });
        self.waiting = steps.into();
    }

    /// Starts as many waiting steps as may be carried out concurrently.
    pub(super) fn start_waiting(&mut self) {
        while self.requests.len() < CONCURRENT_STEPS
            && let Some(step) = self.waiting.pop_front()
        {
            self.start(step);
        }
    }

    /// Two steps of a plan may have the same subject; the second is left to the next plan.
    fn start(&mut self, step: Step) {
        if !self.busy.insert(step.subject()) {
            return;
        }
        if let Step::Propose { address, owner, .. } = &step {
            self.pending.insert(*address, owner.uid.clone());
        }
        let writer = self.writer.clone();
        self.requests.spawn(async move {
            let written = writer.write(&step).await;
            Outcome::Step(step, written)
        });
    }

    /// Returns whether the address that a step releases may be on its way into the status of another
    /// Service.
    fn may_be_published(&self, step: &Step) -> bool {
        let Step::Release { lease, .. } = step else { return false };
        let (namespace, _) = &lease.owner.key;
        let is_service =
            |subject: &Subject| matches!(subject, Subject::Service((of, _)) if of == namespace);
        self.busy.iter().any(is_service)
    }

    pub(super) fn finish(&mut self, outcome: Outcome) {
        let (step, result) = match outcome {
            Outcome::Step(step, result) => (step, result),
            Outcome::Status(pool, Err(error)) => {
                self.status_due = Instant::now() + LONGEST_DELAY;
                tracing::warn!(pool, error = %Chain(&error), "could not write the status of an AddressPool");
                return;
            }
            Outcome::Status(_, Ok(())) => return,
        };
        let subject = step.subject();
        self.busy.remove(&subject);
        if let Step::Propose { address, .. } = &step {
            self.pending.remove(address);
        }
        match result {
            Ok(written) => self.apply(&step, subject, written),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), ?subject, "could not carry out a step");
                self.backoff.record(subject, Instant::now());
            }
        }
    }

    fn apply(&mut self, step: &Step, subject: Subject, written: Written) {
        match written {
            Written::Lease(lease) => self.watched.leases.written(lease.address(), *lease),
            Written::Released(address) => self.watched.leases.remove(&address),
            Written::Frontend(lease) => self.watched.frontends.written(lease.frontend(), *lease),
            Written::ReleasedFrontend(frontend) => self.watched.frontends.remove(&frontend),
            Written::Service(service) => {
                let services = self.watched.services.all();
                let before = services.and_then(|services| services.get(&service.key));
                if before.is_some_and(|before| before.is_foreign) {
                    // Another load balancer may write the same status again and again.
                    self.backoff.record(subject, Instant::now());
                }
                if let (Step::Publish { addresses, .. }, Some(leases)) =
                    (step, self.watched.leases.all())
                {
                    self.reporter.published(&service, addresses, leases);
                }
                self.watched.services.changed(service.key.clone(), *service);
            }
            // The watch shows what has changed, unless a Lease cannot be read.
            Written::Superseded => {
                if let Step::Propose { address, .. } = step {
                    self.occupied.insert(*address, Instant::now() + OCCUPIED);
                }
                self.backoff.record(subject, Instant::now());
            }
        }
    }
}
