//! Watches of the objects of one kind.
//!
//! Each object is reduced as soon as it is received, so only one complete object is in memory at a
//! time, however many and large they are. kube's own watcher parses complete objects, keeps pages
//! of hundreds, and does not limit the size of a page.

mod connection;
mod error;
mod lines;
mod pages;
mod requests;
mod wire;

use crate::backoff::Backoff;
use connection::Connection;
use futures::stream::{self, Stream};
use kube::runtime::watcher::Event;
use kube::{Client, Resource};

/// Parses the JSON of an object and returns the part to keep.
pub type Read<T> = fn(&str) -> Result<T, serde_json::Error>;

/// A watch: the selected objects and the function that reduces them.
#[derive(Clone)]
pub struct Watch<T> {
    client: Client,
    kind: String,
    path: String,
    labels: Option<String>,
    fields: Option<String>,
    metadata_only: bool,
    read: Read<T>,
}

impl<T: Send + 'static> Watch<T> {
    /// Watches all objects of kind `K`, in all namespaces if they have any.
    #[must_use]
    pub fn all<K: Resource<DynamicType = ()>>(client: Client, read: Read<T>) -> Self {
        Self::at::<K>(client, None, read)
    }

    /// Watches the objects of kind `K` in one namespace.
    #[must_use]
    pub fn namespaced<K: Resource<DynamicType = ()>>(
        client: Client,
        namespace: &str,
        read: Read<T>,
    ) -> Self {
        Self::at::<K>(client, Some(namespace), read)
    }

    fn at<K: Resource<DynamicType = ()>>(
        client: Client,
        namespace: Option<&str>,
        read: Read<T>,
    ) -> Self {
        let (kind, path) = (K::kind(&()).into_owned(), K::url_path(&(), namespace));
        Self { client, kind, path, labels: None, fields: None, metadata_only: false, read }
    }

    /// Restricts the watch by a label selector.
    #[must_use]
    pub fn labels(self, selector: &str) -> Self {
        Self { labels: Some(selector.to_owned()), ..self }
    }

    /// Restricts the watch by a field selector.
    #[must_use]
    pub fn fields(self, selector: &str) -> Self {
        Self { fields: Some(selector.to_owned()), ..self }
    }

    /// Restricts the watch to the object with this name. RBAC rules with `resourceNames` allow
    /// `list` and `watch` only with this selector.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.fields(&format!("metadata.name={name}"))
    }

    /// Requests only the metadata of each object.
    #[must_use]
    pub fn metadata_only(self) -> Self {
        Self { metadata_only: true, ..self }
    }

    /// Returns the events of this watch. The stream never ends: failures are logged, and the watch
    /// is retried with backoff.
    pub fn events(self) -> impl Stream<Item = Event<T>> + Send {
        let connection = Connection::new(self, Backoff::new());
        stream::unfold(connection, |mut connection| async move {
            let event = connection.next().await;
            Some((event, connection))
        })
    }
}

#[cfg(test)]
mod tests;
