//! Persistent volume claims.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, TypedLocalObjectReference,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{metadata_methods, named};

/// Builds a claim.
#[derive(Debug, Clone)]
pub struct Claim {
    object: PersistentVolumeClaim,
    spec: PersistentVolumeClaimSpec,
}

metadata_methods!(Claim);

/// Returns a builder of a claim for 1Mi, ReadWriteOnce, without a class.
#[must_use]
pub fn claim(name: &str) -> Claim {
    let object =
        PersistentVolumeClaim { metadata: named(name), ..PersistentVolumeClaim::default() };
    let spec = PersistentVolumeClaimSpec {
        access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
        ..PersistentVolumeClaimSpec::default()
    };
    Claim { object, spec }.asks("1Mi")
}

impl Claim {
    /// Sets the class. `""` means no class, not the default one.
    #[must_use]
    pub fn class(mut self, class: &str) -> Self {
        self.spec.storage_class_name = Some(class.to_owned());
        self
    }

    /// Sets the requested size.
    #[must_use]
    pub fn asks(mut self, size: &str) -> Self {
        let requests = BTreeMap::from([("storage".to_owned(), Quantity(size.to_owned()))]);
        let resources =
            VolumeResourceRequirements { requests: Some(requests), ..Default::default() };
        self.spec.resources = Some(resources);
        self
    }

    /// Sets the one access mode.
    #[must_use]
    pub fn access(mut self, mode: &str) -> Self {
        self.spec.access_modes = Some(vec![mode.to_owned()]);
        self
    }

    /// Requests a raw block device.
    #[must_use]
    pub fn block(mut self) -> Self {
        self.spec.volume_mode = Some("Block".to_owned());
        self
    }

    /// Requests a volume by name.
    #[must_use]
    pub fn volume(mut self, name: &str) -> Self {
        self.spec.volume_name = Some(name.to_owned());
        self
    }

    /// Requests a volume with the data of another object.
    #[must_use]
    pub fn data_source(mut self, source: TypedLocalObjectReference) -> Self {
        self.spec.data_source = Some(source);
        self
    }

    /// Returns the claim.
    #[must_use]
    pub fn build(self, namespace: &str) -> PersistentVolumeClaim {
        let mut object = self.object;
        object.metadata.namespace = Some(namespace.to_owned());
        object.spec = Some(self.spec);
        object
    }
}
