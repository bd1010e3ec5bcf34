//! Counts the attempts to give a claim an existing volume.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// How a claim gets an existing volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the values of the label")]
pub enum RestoreKind {
    /// From the trash.
    undelete,
    /// A volume that was retained.
    adopt,
    /// A volume of another provisioner.
    import,
}

/// The result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the values of the label")]
pub enum Restore {
    /// The claim has the volume.
    done,
    /// The claim cannot have it.
    refused,
    /// It waits for a condition.
    waiting,
    /// The attempt failed and is retried.
    failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    act: RestoreKind,
    outcome: Restore,
}

/// The counter.
#[derive(Clone, Debug, Default)]
pub(super) struct Restores {
    tries: Family<Labels, Counter>,
}

impl Restores {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "fastrak_agent_restores",
            "Attempts to give an existing volume to a claim, by kind and outcome",
            self.tries.clone(),
        );
    }

    pub(super) fn count(&self, act: RestoreKind, outcome: Restore) {
        self.tries.get_or_create(&Labels { act, outcome }).inc();
    }
}
