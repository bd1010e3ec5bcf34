//! Builders of Kubernetes objects with only the required fields. They contain no names of fastrak.

mod claim;
mod class;
mod node;
mod pod;
mod service;
mod volume;

pub use claim::{Claim, claim};
pub use class::{StorageClassBuilder, storage_class};
pub use node::{NodeBuilder, node};
pub use pod::{PodBuilder, pod};
pub use service::{ServiceBuilder, service};
pub use volume::{LocalVolume, local_volume};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The busybox image that every node of a cluster has.
pub const BUSYBOX: &str = "testbed.local/busybox:1";

/// Adds the methods for metadata to a builder whose object is in its field `object`.
macro_rules! metadata_methods {
    ($builder:ident) => {
        impl $builder {
            /// Adds an annotation.
            #[must_use]
            pub fn annotate(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
                let all = self.object.metadata.annotations.get_or_insert_default();
                all.insert(key.into(), value.into());
                self
            }

            /// Adds a label.
            #[must_use]
            pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
                let all = self.object.metadata.labels.get_or_insert_default();
                all.insert(key.into(), value.into());
                self
            }
        }
    };
}
use metadata_methods;

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

#[cfg(test)]
mod tests;
