//! The reasons of the events that fastrak records, each with its event type.
//!
//! The controllers that record the events write their messages.

/// The reason of an event. It has the name that Kubernetes' own provisioners use, if they have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventReason {
    /// On a claim: its volume was created.
    ProvisioningSucceeded,
    /// On a claim: its volume could not be created, and why.
    ProvisioningFailed,
    /// On a claim: its volume was expanded.
    VolumeResizeSuccessful,
    /// On a claim: its volume could not be expanded, and why.
    VolumeResizeFailed,
    /// On a volume: its data could not be removed, and why.
    VolumeFailedDelete,
    /// On a volume: its directory is missing.
    VolumeDataMissing,
    /// On a claim: it has a volume from the trash.
    VolumeUndeleted,
    /// On a claim: it has adopted a retained volume.
    VolumeAdopted,
    /// On a claim, and on the volume: it has imported another provisioner's volume.
    VolumeImported,
    /// On a claim: it cannot have the volume that it requests, and why.
    RestoreRefused,
    /// On a deleted claim: its data was evicted from the trash.
    TrashEvicted,
    /// On a node: something in the trash of a pool cannot be removed, and what to do about it.
    TrashRemovalBlocked,
    /// On a node: one of its pools cannot be used, and why.
    PoolUnusable,
    /// On a node: one of its pools can be used again.
    PoolUsable,
    /// On a node: one of its pools is in memory, and a restart of the node empties it.
    PoolInMemory,
    /// On a node: one of its pools belonged to another cluster, and this cluster has adopted it.
    PoolAdopted,
    /// On a node: directories in a pool belong to no PersistentVolume and no claim; they are kept.
    OrphansFound,
    /// On a node: many directories lost their owners at once; none is removed until an
    /// administrator confirms that this is expected.
    OrphanRemovalStopped,
    /// On a StorageClass: it is one of several that are marked as the default.
    MultipleDefaultClasses,
    /// On a StorageClass: it belongs to another provisioner and has the name of one of fastrak's
    /// classes.
    ClassNameTaken,
    /// On a node: its agent is not Ready, and claims and deleted volumes of the node wait. On a
    /// claim: it waits for that agent.
    AgentNotReady,
    /// On a claim: no agent serves it, and what to do.
    ClaimNotServed,
    /// On a claim: the node that was chosen for it is gone; another one is chosen.
    SelectedNodeRemoved,
    /// On a claim: a repair has pinned it after admission missed it.
    PinRepaired,
    /// On a claim: the label or annotation that names its node was removed, and a repair has
    /// restored it.
    NodeLabelRestored,
    /// On a claim: the label or annotation that names its node is missing, and what to do.
    NodeLabelMissing,
    /// On a Service: a repair has decided about it, or removed the decision.
    BalancerRepaired,
    /// On a Service: it has these addresses.
    AddressAssigned,
    /// On a Service: it cannot get an address, why, and what to do.
    AddressNotAssigned,
    /// On a Service: a station outside of the cluster uses the address that it requests or was to
    /// get.
    AddressInUse,
}

impl EventReason {
    /// All reasons.
    pub const ALL: [Self; 30] = [
        Self::ProvisioningSucceeded,
        Self::ProvisioningFailed,
        Self::VolumeResizeSuccessful,
        Self::VolumeResizeFailed,
        Self::VolumeFailedDelete,
        Self::VolumeDataMissing,
        Self::VolumeUndeleted,
        Self::VolumeAdopted,
        Self::VolumeImported,
        Self::RestoreRefused,
        Self::TrashEvicted,
        Self::TrashRemovalBlocked,
        Self::PoolUnusable,
        Self::PoolUsable,
        Self::PoolInMemory,
        Self::PoolAdopted,
        Self::OrphansFound,
        Self::OrphanRemovalStopped,
        Self::MultipleDefaultClasses,
        Self::ClassNameTaken,
        Self::AgentNotReady,
        Self::ClaimNotServed,
        Self::SelectedNodeRemoved,
        Self::PinRepaired,
        Self::NodeLabelRestored,
        Self::NodeLabelMissing,
        Self::BalancerRepaired,
        Self::AddressAssigned,
        Self::AddressNotAssigned,
        Self::AddressInUse,
    ];

    /// Returns the reason as `kubectl get events` shows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProvisioningSucceeded => "ProvisioningSucceeded",
            Self::ProvisioningFailed => "ProvisioningFailed",
            Self::VolumeResizeSuccessful => "VolumeResizeSuccessful",
            Self::VolumeResizeFailed => "VolumeResizeFailed",
            Self::VolumeFailedDelete => "VolumeFailedDelete",
            Self::VolumeDataMissing => "VolumeDataMissing",
            Self::VolumeUndeleted => "VolumeUndeleted",
            Self::VolumeAdopted => "VolumeAdopted",
            Self::VolumeImported => "VolumeImported",
            Self::RestoreRefused => "RestoreRefused",
            Self::TrashEvicted => "TrashEvicted",
            Self::TrashRemovalBlocked => "TrashRemovalBlocked",
            Self::PoolUnusable => "PoolUnusable",
            Self::PoolUsable => "PoolUsable",
            Self::PoolInMemory => "PoolInMemory",
            Self::PoolAdopted => "PoolAdopted",
            Self::OrphansFound => "OrphansFound",
            Self::OrphanRemovalStopped => "OrphanRemovalStopped",
            Self::MultipleDefaultClasses => "MultipleDefaultClasses",
            Self::ClassNameTaken => "ClassNameTaken",
            Self::AgentNotReady => "AgentNotReady",
            Self::ClaimNotServed => "ClaimNotServed",
            Self::SelectedNodeRemoved => "SelectedNodeRemoved",
            Self::PinRepaired => "PinRepaired",
            Self::NodeLabelRestored => "NodeLabelRestored",
            Self::NodeLabelMissing => "NodeLabelMissing",
            Self::BalancerRepaired => "BalancerRepaired",
            Self::AddressAssigned => "AddressAssigned",
            Self::AddressNotAssigned => "AddressNotAssigned",
            Self::AddressInUse => "AddressInUse",
        }
    }

    /// Returns whether an administrator or user should act on it.
    #[must_use]
    pub const fn is_warning(self) -> bool {
        match self {
            Self::ProvisioningSucceeded
            | Self::VolumeUndeleted
            | Self::VolumeAdopted
            | Self::VolumeImported
            | Self::VolumeResizeSuccessful
            | Self::PoolUsable
            | Self::PoolAdopted
            | Self::SelectedNodeRemoved
            | Self::PinRepaired
            | Self::NodeLabelRestored
            | Self::BalancerRepaired
            | Self::AddressAssigned => false,
            Self::ProvisioningFailed
            | Self::VolumeResizeFailed
            | Self::VolumeFailedDelete
            | Self::VolumeDataMissing
            | Self::RestoreRefused
            | Self::TrashEvicted
            | Self::TrashRemovalBlocked
            | Self::PoolUnusable
            | Self::PoolInMemory
            | Self::OrphansFound
            | Self::OrphanRemovalStopped
            | Self::MultipleDefaultClasses
            | Self::ClassNameTaken
            | Self::AgentNotReady
            | Self::ClaimNotServed
            | Self::NodeLabelMissing
            | Self::AddressNotAssigned
            | Self::AddressInUse => true,
        }
    }
}
