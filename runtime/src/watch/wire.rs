//! The parsing of watch events and list pages.

use super::Read;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::core::response::Status;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

/// The annotation of the bookmark that ends a streamed list.
const LISTED: &str = "k8s.io/initial-events-end";

/// One line of a watch.
pub(super) enum Line<T> {
    /// An object and its version. The object is none if it could not be parsed.
    Applied(Option<T>, String),
    /// An object that was deleted in this version.
    Deleted(Option<T>, String),
    /// A bookmark, which may end a streamed list.
    Bookmark { version: String, is_listed: bool },
    /// An error of the API server, which ends the watch.
    Failed(Box<Status>),
}

/// One page of a list.
pub(super) struct Page<T> {
    pub(super) objects: VecDeque<T>,
    pub(super) items: usize,
    pub(super) version: Option<String>,
    pub(super) token: Option<String>,
}

#[derive(Deserialize)]
struct RawLine<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct RawPage<'a> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Versioned {
    metadata: Mark,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    resource_version: String,
}

#[derive(Deserialize)]
struct Bookmark {
    metadata: BookmarkMark,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookmarkMark {
    resource_version: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Parses a line of a watch of objects of this kind.
pub(super) fn line<T>(text: &str, kind: &str, read: Read<T>) -> Result<Line<T>, serde_json::Error> {
    let RawLine { kind: what, object } = serde_json::from_str(text)?;
    let object = object.get();
    match &*what {
        "BOOKMARK" => {
            let Bookmark { metadata } = serde_json::from_str(object)?;
            let is_listed = metadata.annotations.contains_key(LISTED);
            Ok(Line::Bookmark { version: metadata.resource_version, is_listed })
        }
        "ERROR" => Ok(Line::Failed(serde_json::from_str(object)?)),
        what => {
            let Versioned { metadata } = serde_json::from_str(object)?;
            let (found, version) = (reduced(object, kind, read), metadata.resource_version);
            Ok(match what {
                "DELETED" => Line::Deleted(found, version),
                _ => Line::Applied(found, version),
            })
        }
    }
}

/// Parses a page of a list of objects of this kind.
pub(super) fn page<T>(text: &str, kind: &str, read: Read<T>) -> Result<Page<T>, serde_json::Error> {
    let RawPage { metadata, items } = serde_json::from_str(text)?;
    let items = items.unwrap_or_default();
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    Ok(Page {
        objects: items.iter().filter_map(|item| reduced(item.get(), kind, read)).collect(),
        items: items.len(),
        version: some(metadata.resource_version),
        token: some(metadata.continue_),
    })
}

/// Reduces an object. Logs and skips an object that cannot be parsed, so that the others are still
/// received.
fn reduced<T>(object: &str, kind: &str, read: Read<T>) -> Option<T> {
    let found = read(object);
    found
        .inspect_err(
            |error| tracing::warn!(%error, kind, "skipping an object that cannot be parsed"),
        )
        .ok()
}
