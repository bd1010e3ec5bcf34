//! Watches: what the API server has of one kind of object, and every change of it.
//!
//! An object is reduced as soon as its text has come: no more than one object is held whole at a
//! time, however many there are and however large their owners make them. kube's own watcher parses
//! each object whole, keeps pages of hundreds, and cannot tell how large a page has become.

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

/// Reduces the text of an object to what is kept of it.
pub type Read<T> = fn(&str) -> Result<T, serde_json::Error>;

/// Which objects are watched, and what is kept of each.
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

    /// Watches only the objects with these labels.
    #[must_use]
    pub fn labels(self, selector: &str) -> Self {
        Self { labels: Some(selector.to_owned()), ..self }
    }

    /// Watches only the objects with these fields.
    #[must_use]
    pub fn fields(self, selector: &str) -> Self {
        Self { fields: Some(selector.to_owned()), ..self }
    }

    /// Watches only the object with this name. RBAC ties `list` and `watch` to a name only if the
    /// request has this very selector.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        self.fields(&format!("metadata.name={name}"))
    }

    /// Has the API server send the metadata of each object and nothing else.
    #[must_use]
    pub fn metadata_only(self) -> Self {
        Self { metadata_only: true, ..self }
    }

    /// Returns the events of this watch. The stream never ends: a failure is logged, and followed by
    /// another try after a while.
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
