//! Storage classes.

use k8s_openapi::api::storage::v1::StorageClass;

use super::{metadata_methods, named};

/// Builds a storage class.
#[derive(Debug, Clone)]
pub struct StorageClassBuilder {
    object: StorageClass,
}

metadata_methods!(StorageClassBuilder);

/// A class of this provisioner that waits for the first consumer and deletes.
#[must_use]
pub fn storage_class(name: &str, provisioner: &str) -> StorageClassBuilder {
    let object = StorageClass {
        metadata: named(name),
        provisioner: provisioner.to_owned(),
        reclaim_policy: Some("Delete".to_owned()),
        volume_binding_mode: Some("WaitForFirstConsumer".to_owned()),
        ..StorageClass::default()
    };
    StorageClassBuilder { object }
}

impl StorageClassBuilder {
    /// Makes it the one that claims without a class get.
    #[must_use]
    pub fn default_class(self) -> Self {
        self.annotate("storageclass.kubernetes.io/is-default-class", "true")
    }

    /// Lets claims be bound before a pod needs them.
    #[must_use]
    pub fn immediate(mut self) -> Self {
        self.object.volume_binding_mode = Some("Immediate".to_owned());
        self
    }

    /// Keeps volumes when their claims are gone.
    #[must_use]
    pub fn retain(mut self) -> Self {
        self.object.reclaim_policy = Some("Retain".to_owned());
        self
    }

    /// Lets claims grow.
    #[must_use]
    pub fn expandable(mut self) -> Self {
        self.object.allow_volume_expansion = Some(true);
        self
    }

    /// Adds a parameter.
    #[must_use]
    pub fn parameter(mut self, key: &str, value: &str) -> Self {
        let all = self.object.parameters.get_or_insert_default();
        all.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The class.
    #[must_use]
    pub fn build(self) -> StorageClass {
        self.object
    }
}
