//! Which mode has given a Service the addresses in its status.
//!
//! The inlets operator writes the address of its machine to `spec.externalIPs` first and then, as
//! one plain IP for each of those, to the status. Other load balancers leave `spec.externalIPs`
//! alone. A client that replaces the Service removes `spec.externalIPs` and cannot change the
//! status, so the field manager of the status counts as well: the API server records it, and only a
//! write of the status changes it.

use super::Mode;
use super::partial::{IngressEntry, PartialService};
use crate::object::{ManagedFields, OwnedFields};

/// Which load balancer has given a Service the addresses in its status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ingress {
    /// There are none.
    #[default]
    Absent,
    /// The one of a mode.
    By(Mode),
    /// Either the inlets operator or another load balancer: nothing shows which.
    Unknown,
    /// Another load balancer.
    Foreign,
}

impl Ingress {
    /// Reads it from a Service.
    pub(super) fn of(service: &PartialService<'_>) -> Self {
        let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let entries = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
        if entries.is_empty() {
            return Self::Absent;
        }
        let metadata = service.metadata.as_ref().map(|metadata| &metadata.0);
        let managed = metadata.and_then(|metadata| metadata.managed_fields.as_deref());
        let mut writers = managed.unwrap_or_default().iter().filter(|entry| writes(entry));
        let mut is_written = false;
        let mode = writers.find_map(|writer| {
            is_written = true;
            Mode::of_manager(writer.manager.as_deref()?)
        });
        match mode {
            Some(mode) => Self::By(mode),
            None if is_written && !are_external(service, entries) => Self::Foreign,
            None => Self::Unknown,
        }
    }
}

fn writes(entry: &ManagedFields<'_>) -> bool {
    entry.fields_v1 == Some(OwnedFields::Ingress)
}

/// Returns whether each address is a plain IP that is in `spec.externalIPs` too.
fn are_external(service: &PartialService<'_>, entries: &[IngressEntry<'_>]) -> bool {
    let external = service.spec.as_ref().and_then(|spec| spec.0.external_ips.as_deref());
    let external = external.unwrap_or_default();
    entries.iter().all(|entry| {
        entry.ip.as_ref().is_some_and(|ip| external.iter().any(|one| one.as_str() == ip.as_str()))
    })
}
