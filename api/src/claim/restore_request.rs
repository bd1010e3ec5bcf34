//! Requests of claims for existing data instead of a new volume.
//!
//! A request is an annotation, which any author of a claim can write, so it authorizes nothing. The
//! record beside the data decides whether the claim gets the volume.

use crate::names;
use crate::object::clipped;
use crate::volume::VolumeId;

/// A request for existing data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreRequest {
    /// Restore a volume from the trash.
    Undelete(VolumeId),
    /// Adopt a volume that was retained after its claim was deleted.
    Adopt(VolumeId),
    /// Import the data of another provisioner's PersistentVolume.
    Import(String),
}

/// An invalid request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreRequestError {
    /// The annotation does not name such an object.
    #[error("annotation {key} is {value:?}, which is not {expected}")]
    Invalid {
        /// The annotation.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The claim has several of the annotations.
    #[error(
        "the claim has several of the annotations {undelete}, {adopt} and {import}; keep one",
        undelete = names::UNDELETE,
        adopt = names::ADOPT,
        import = names::IMPORT
    )]
    Several,
}

const VOLUME: &str = "a volume of fastrak; write its name, such as \
                      pvc-0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";
const PERSISTENT_VOLUME: &str = "the name of a PersistentVolume";

/// The maximum length of an object name.
const MAX_NAME_LENGTH: usize = 253;

impl RestoreRequest {
    /// Reads the request of a claim with these annotations, if it has one.
    #[must_use]
    pub fn read<'a>(
        annotation: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<Result<Self, RestoreRequestError>> {
        let all = [names::UNDELETE, names::ADOPT, names::IMPORT];
        let mut requests = all.into_iter().filter_map(|key| Some((key, annotation(key)?)));
        let (key, value) = requests.next()?;
        Some(if requests.next().is_some() {
            Err(RestoreRequestError::Several)
        } else {
            Self::of(key, value)
        })
    }

    fn of(key: &'static str, value: &str) -> Result<Self, RestoreRequestError> {
        let invalid =
            |expected| RestoreRequestError::Invalid { key, value: clipped(value), expected };
        let volume = || {
            let id = VolumeId::from_volume_name(value).or_else(|| VolumeId::parse(value).ok());
            id.ok_or_else(|| invalid(VOLUME))
        };
        match key {
            names::UNDELETE => volume().map(Self::Undelete),
            names::ADOPT => volume().map(Self::Adopt),
            _ if is_name(value) => Ok(Self::Import(value.to_owned())),
            _ => Err(invalid(PERSISTENT_VOLUME)),
        }
    }

    /// Returns the annotation key of the request.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Undelete(_) => names::UNDELETE,
            Self::Adopt(_) => names::ADOPT,
            Self::Import(_) => names::IMPORT,
        }
    }
}

/// Returns whether `text` is a valid name of a PersistentVolume.
fn is_name(text: &str) -> bool {
    let part = |part: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        part.bytes().all(|b| inner(b) || b == b'-')
            && part.bytes().next().is_some_and(inner)
            && part.bytes().last().is_some_and(inner)
    };
    text.len() <= MAX_NAME_LENGTH && text.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UID: &str = "0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";

    fn read(annotations: &[(&str, &str)]) -> Option<Result<RestoreRequest, RestoreRequestError>> {
        let value = |key: &str| {
            let found = annotations.iter().find(|(have, _)| *have == key);
            found.map(|(_, value)| *value)
        };
        RestoreRequest::read(value)
    }

    #[test]
    fn a_volume_is_named_by_its_uid_or_its_object() {
        let id = VolumeId::parse(UID).unwrap();
        let name = id.volume_name();
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[("fastrak.io/node", "node-a")]), None);
        for text in [UID, &name] {
            let undelete = read(&[("fastrak.io/undelete", text)]);
            assert_eq!(undelete, Some(Ok(RestoreRequest::Undelete(id.clone()))));
            let adopt = read(&[("fastrak.io/adopt", text)]);
            assert_eq!(adopt, Some(Ok(RestoreRequest::Adopt(id.clone()))));
        }
        let import = read(&[("fastrak.io/import", "pvc-1.of-old")]);
        assert_eq!(import, Some(Ok(RestoreRequest::Import("pvc-1.of-old".to_owned()))));
    }

    #[test]
    fn an_invalid_request_is_not_a_request_for_something_else() {
        for (key, value) in [
            ("fastrak.io/undelete", ""),
            ("fastrak.io/undelete", "../../etc"),
            ("fastrak.io/adopt", "data"),
            ("fastrak.io/import", ""),
            ("fastrak.io/import", "../pvc"),
            ("fastrak.io/import", "a..b"),
            ("fastrak.io/import", "-a"),
        ] {
            assert!(matches!(read(&[(key, value)]), Some(Err(_))), "{key} {value}");
        }
        let both = read(&[("fastrak.io/undelete", UID), ("fastrak.io/adopt", UID)]);
        assert_eq!(both, Some(Err(RestoreRequestError::Several)));
    }

    proptest! {
        #[test]
        fn no_request_is_a_path(text in ".{0,60}") {
            for key in ["fastrak.io/undelete", "fastrak.io/adopt", "fastrak.io/import"] {
                match read(&[(key, &text)]) {
                    Some(Ok(RestoreRequest::Import(name))) => prop_assert!(!name.contains(['/', '\0']) && name != ".."),
                    Some(Ok(RestoreRequest::Undelete(id) | RestoreRequest::Adopt(id))) => prop_assert!(text.ends_with(id.as_str())),
                    Some(Err(_)) => {}
                    None => prop_assert!(false, "it was not read"),
                }
            }
        }
    }
}
