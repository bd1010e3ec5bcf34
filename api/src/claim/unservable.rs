//! Requests of claims that no volume of fastrak's can meet. Admission warns of them and the agent
//! refuses them, in the same words; they are short, because a warning has one line.

use super::Claim;
use crate::names::kubernetes;

/// Why no volume of fastrak's can serve a claim.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unservable {
    /// A raw block device.
    #[error(
        "volumeMode Block is not served; use Filesystem, or a class of a driver that has block devices"
    )]
    Block,
    /// An access mode that no local volume can have.
    #[error(
        "access mode {0} is not served: the data is on one node; use ReadWriteOnce or a network \
         filesystem"
    )]
    AccessMode(String),
    /// A claim or a snapshot as the data source.
    #[error("dataSource {0} is not served: volumes start empty; remove it and copy the data")]
    DataSource(String),
    /// A data source for a volume populator that has not taken up the claim.
    #[error(
        "dataSource {0} is for a volume populator, and none has taken up the claim; install \
         the one for this kind, or remove dataSource"
    )]
    NoPopulator(String),
    /// A label selector.
    #[error(
        "spec.selector is not served: a new volume has no labels; remove it, or create a PersistentVolume"
    )]
    Selector,
    /// A VolumeAttributesClass.
    #[error(
        "spec.volumeAttributesClassName is not served: volumes have no such attributes; remove it"
    )]
    AttributesClass,
}

impl Claim {
    /// Checks whether a volume of fastrak's can serve the claim.
    pub fn check(&self) -> Result<(), Unservable> {
        if self.block {
            return Err(Unservable::Block);
        }
        let local = |mode: &&String| !matches!(mode.as_str(), "ReadWriteOnce" | "ReadWriteOncePod");
        if let Some(mode) = self.access_modes.iter().find(local) {
            return Err(Unservable::AccessMode(mode.clone()));
        }
        if let Some(source) = self.data_source.clone() {
            return Err(match self.is_populators() {
                true => Unservable::NoPopulator(source),
                false => Unservable::DataSource(source),
            });
        }
        if self.has_selector {
            return Err(Unservable::Selector);
        }
        if self.attributes_class.is_some() { Err(Unservable::AttributesClass) } else { Ok(()) }
    }

    /// Returns whether a volume populator has taken up the claim. It fills the volume of a second
    /// claim and then gives that volume to this one; meanwhile its finalizer is on this one.
    #[must_use]
    pub fn is_being_populated(&self) -> bool {
        self.is_populators() && self.has_foreign_finalizer
    }

    /// Returns whether its data source needs a volume populator. A claim or a snapshot would be the
    /// driver's own to copy.
    fn is_populators(&self) -> bool {
        let kind = self.data_source.as_deref().and_then(|source| source.split('/').next());
        kind.is_some_and(|kind| {
            ![kubernetes::KIND_CLAIM, kubernetes::KIND_SNAPSHOT].contains(&kind)
        })
    }
}
