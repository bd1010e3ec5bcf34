//! Reads a review from its bytes.
//!
//! A review is read once with its objects, and nothing is copied that can be borrowed. If that
//! fails, it is read again part by part: a malformed object must not keep its review from being
//! answered.

use super::NotAReview;
use super::wire::{API_VERSION, Incoming, KIND, Request};
use crate::json;
use fastrak_api::object::{Mapping, Text};
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;

/// The objects of a review: the object of the request, and the one before an update.
pub(super) struct Objects<S> {
    pub(super) object: Boxed<S>,
    pub(super) old: Option<Boxed<S>>,
}

/// An object. It is boxed because it is large and moved several times.
pub(super) type Boxed<S> = Box<Mapping<S>>;

/// A review with its objects, if they could be read.
pub(super) type Read<'a, S> = (Request<'a, ()>, Result<Objects<S>, serde_json::Error>);

/// Reads a review with objects of the form `S`.
pub(super) fn read<'a, S: Deserialize<'a>>(body: &'a [u8]) -> Result<Read<'a, S>, NotAReview> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(NotAReview::Empty);
    }
    let Some(incoming) = json::read(body) else { return read_in_parts(body) };
    let (request, object, old) = request::<Boxed<S>>(incoming)?.parted();
    Ok((request, object.map(|object| Objects { object, old }).ok_or_else(missing)))
}

/// Reads a review and skips its objects.
pub(super) fn read_without_objects(body: &[u8]) -> Result<Request<'_, ()>, NotAReview> {
    read_in_parts::<Mapping<()>>(body).map(|(request, _)| request)
}

fn read_in_parts<'a, S: Deserialize<'a>>(body: &'a [u8]) -> Result<Read<'a, S>, NotAReview> {
    let incoming: Incoming<'_, &RawValue> = serde_json::from_slice(body).map_err(|error| {
        if error.is_eof() { NotAReview::Truncated(error) } else { NotAReview::Malformed(error) }
    })?;
    let (request, object, old) = request(incoming)?.parted();
    let read = |raw: &'a RawValue| serde_json::from_str::<Boxed<S>>(raw.get());
    let object = object.ok_or_else(missing).and_then(read);
    let objects = object.and_then(|object| Ok(Objects { object, old: old.map(read).transpose()? }));
    Ok((request, objects))
}

fn request<'a, O>(incoming: Incoming<'a, O>) -> Result<Request<'a, O>, NotAReview> {
    let Incoming { api_version, kind, request } = incoming;
    let text = |field: Option<Text<'a>>| field.unwrap_or_default();
    let (kind, api_version) = (text(kind), text(api_version));
    if kind.as_str() != KIND || api_version.as_str() != API_VERSION {
        let (kind, api_version) = (kind.as_str().to_owned(), api_version.as_str().to_owned());
        return Err(NotAReview::OtherKind { kind, api_version });
    }
    let request = request.ok_or(NotAReview::NoRequest)?;
    if request.uid.is_empty() { Err(NotAReview::NoUid) } else { Ok(request) }
}

fn missing() -> serde_json::Error {
    serde_json::Error::custom("there is no object")
}
