//! Storage classes.

use k8s_openapi::api::storage::v1::StorageClass;

use super::{metadata_methods, named};

/// Builds a storage class.
#[derive(Debug, Clone)]
pub struct StorageClassBuilder {
    object: StorageClass,
}

metadata_methods!(StorageClassBuilder);

/// Returns a builder of a class of this provisioner with WaitForFirstConsumer and Delete.
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
    /// Marks the class as the default.
    #[must_use]
    pub fn default_class(self) -> Self {
        self.annotate("storageclass.kubernetes.io/is-default-class", "true")
    }

    /// Sets the binding mode Immediate.
    #[must_use]
    pub fn immediate(mut self) -> Self {
        self.object.volume_binding_mode = Some("Immediate".to_owned());
        self
    }

    /// Sets the reclaim policy Retain.
    #[must_use]
    pub fn retain(mut self) -> Self {
        self.object.reclaim_policy = Some("Retain".to_owned());
        self
    }

    /// Allows volume expansion.
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

    /// Returns the class.
    #[must_use]
    pub fn build(self) -> StorageClass {
        self.object
    }
}
