//! The events about the addresses of Services.

use super::lease::AddressLease;
use super::plan::Problem;
use super::service::{AddressService, Key};
use crate::event::{self, Action, Events};
use fastrak_api::reason::EventReason;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Records events, each problem once while it exists.
pub(super) struct Reporter {
    events: Events,
    reported: BTreeSet<(Key, String)>,
}

impl Reporter {
    pub(super) fn new(events: Events) -> Self {
        Self { events, reported: BTreeSet::new() }
    }

    /// Reports the problems that were not reported yet.
    pub(super) fn problems(
        &mut self,
        problems: &[(Key, Problem)],
        services: &BTreeMap<Key, AddressService>,
    ) {
        let reported = std::mem::take(&mut self.reported);
        for (key, problem) in problems {
            let (namespace, name) = key;
            let problem_text = problem.to_string();
            let entry = (key.clone(), problem_text.clone());
            let is_new = !reported.contains(&entry);
            let is_new = self.reported.insert(entry) && is_new;
            let Some(service) = services.get(key).filter(|_| is_new) else { continue };
            tracing::info!(
                namespace,
                name,
                problem = problem_text,
                "reported a problem with the address of a Service"
            );
            self.record(service, problem.reason(), problem_text);
        }
    }

    /// Reports the addresses that a Service has got.
    pub(super) fn published(
        &self,
        service: &AddressService,
        addresses: &[IpAddr],
        leases: &BTreeMap<IpAddr, AddressLease>,
    ) {
        let (namespace, name) = &service.key;
        tracing::info!(namespace, name, ?addresses, "wrote the addresses of a Service");
        let described = |address: &IpAddr| match leases.get(address) {
            Some(lease) => format!("{address} (node {})", lease.assignment.holder),
            None => address.to_string(),
        };
        let texts: Vec<_> = addresses.iter().map(described).collect();
        if !texts.is_empty() {
            let note = format!("assigned {}", texts.join(", "));
            self.record(service, EventReason::AddressAssigned, note);
        }
    }

    fn record(&self, service: &AddressService, reason: EventReason, note: String) {
        let (namespace, name) = &service.key;
        let regarding = event::service(namespace, name, &service.uid);
        self.events.record(regarding, reason, Action::Assigning, note);
    }
}
