//! The events about the addresses of Services.

use super::lease::AddressLease;
use super::plan::Problem;
use super::service::{AddressService, Key};
use crate::event::{Action, Events};
use fastrak_api::reason::EventReason;
use k8s_openapi::api::core::v1::ObjectReference;
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
        let text = |(key, problem): &(Key, Problem)| (key.clone(), problem.to_string());
        let now: BTreeSet<_> = problems.iter().map(text).collect();
        for (key, problem) in problems {
            let (namespace, name) = key;
            let problem_text = problem.to_string();
            let is_new = !self.reported.contains(&(key.clone(), problem_text.clone()));
            let Some(service) = services.get(key).filter(|_| is_new) else { continue };
            tracing::info!(
                namespace,
                name,
                problem = problem_text,
                "reported a problem with the address of a Service"
            );
            self.record(service, problem.reason(), problem_text);
        }
        self.reported = now;
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
        let (namespace, name) = service.key.clone();
        let regarding = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Service".to_owned()),
            namespace: Some(namespace),
            name: Some(name),
            uid: Some(service.uid.clone()),
            ..ObjectReference::default()
        };
        self.events.record(regarding, reason, Action::Assigning, note);
    }
}
