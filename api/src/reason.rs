//! The reasons of the events that fastrak records, each with its event type.
//!
//! The controllers that record the events write their messages.

const NORMAL: bool = false;
/// An administrator or user should act on it.
const WARNING: bool = true;

macro_rules! event_reasons {
    ($($(#[$doc:meta])+ $variant:ident = $is_warning:ident,)+) => {
        crate::text_enum! {
            /// The reason of an event. It has the name that Kubernetes' own provisioners use, if
            /// they have one.
            pub enum EventReason {
                $($(#[$doc])+ $variant = stringify!($variant),)+
            }
        }

        impl EventReason {
            /// Returns whether an administrator or user should act on it.
            #[must_use]
            pub const fn is_warning(self) -> bool {
                match self {
                    $(Self::$variant => $is_warning,)+
                }
            }
        }
    };
}

event_reasons! {
    /// On a claim: its volume was created.
    ProvisioningSucceeded = NORMAL,
    /// On a claim: its volume could not be created, and why.
    ProvisioningFailed = WARNING,
    /// On a claim: its volume was expanded.
    VolumeResizeSuccessful = NORMAL,
    /// On a claim: its volume could not be expanded, and why.
    VolumeResizeFailed = WARNING,
    /// On a volume: its data could not be removed, and why.
    VolumeFailedDelete = WARNING,
    /// On a volume: its directory is missing.
    VolumeDataMissing = WARNING,
    /// On a claim: it has a volume from the trash.
    VolumeUndeleted = NORMAL,
    /// On a claim: it has adopted a retained volume.
    VolumeAdopted = NORMAL,
    /// On a claim, and on the volume: it has imported another provisioner's volume.
    VolumeImported = NORMAL,
    /// On a claim: it cannot have the volume that it requests, and why.
    RestoreRefused = WARNING,
    /// On a deleted claim: its data was evicted from the trash.
    TrashEvicted = WARNING,
    /// On a node: something in the trash of a pool cannot be removed, and what to do about it.
    TrashRemovalBlocked = WARNING,
    /// On a node: one of its pools cannot be used, and why.
    PoolUnusable = WARNING,
    /// On a node: one of its pools can be used again.
    PoolUsable = NORMAL,
    /// On a node: one of its pools is in memory, and a restart of the node empties it.
    PoolInMemory = WARNING,
    /// On a node: one of its pools belonged to another cluster, and this cluster has adopted it.
    PoolAdopted = NORMAL,
    /// On a node: directories in a pool belong to no PersistentVolume and no claim; they are kept.
    OrphansFound = WARNING,
    /// On a node: many directories lost their owners at once; none is removed until an
    /// administrator confirms that this is expected.
    OrphanRemovalStopped = WARNING,
    /// On a StorageClass: it is one of several that are marked as the default.
    MultipleDefaultClasses = WARNING,
    /// On a StorageClass: it belongs to another provisioner and has the name of one of fastrak's
    /// classes.
    ClassNameTaken = WARNING,
    /// On a node: its agent is not Ready, and claims and deleted volumes of the node wait. On a
    /// claim: it waits for that agent.
    AgentNotReady = WARNING,
    /// On a claim: no agent serves it, and what to do.
    ClaimNotServed = WARNING,
    /// On a claim: the node that was chosen for it is gone; another one is chosen.
    SelectedNodeRemoved = NORMAL,
    /// On a claim: a repair has pinned it after admission missed it.
    PinRepaired = NORMAL,
    /// On a claim: the label or annotation that names its node was removed, and a repair has
    /// restored it.
    NodeLabelRestored = NORMAL,
    /// On a claim: the label or annotation that names its node is missing, and what to do.
    NodeLabelMissing = WARNING,
    /// On a Service: a repair has decided about it, or removed the decision.
    BalancerRepaired = NORMAL,
    /// On a Service: it has these addresses.
    AddressAssigned = NORMAL,
    /// On a Service: it cannot get an address, why, and what to do.
    AddressNotAssigned = WARNING,
    /// On a Service: the node that is to answer for its address does not accept it, or runs none of its
    /// pods, as `externalTrafficPolicy: Local` requires.
    AddressUnreachable = WARNING,
    /// On a Service: a station outside of the cluster uses its address, or a node uses one of its
    /// ports.
    AddressInUse = WARNING,
    /// On a Service: its type is no longer LoadBalancer, and the Tunnel that inlets-operator left
    /// behind was deleted.
    TunnelDeleted = NORMAL,
}
