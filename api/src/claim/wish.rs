//! What a claim wants in place of a new volume: one that was there before.
//!
//! It is the wish of whoever may write claims and proves nothing: whether the claim may have the
//! volume is decided by what is recorded beside the data.

use crate::names;
use crate::object::clipped;
use crate::volume::VolumeId;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

/// What a claim wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A volume out of the trash.
    Undelete(VolumeId),
    /// A volume that was kept when its claim went.
    Adopt(VolumeId),
    /// The data of another provisioner's volume of this name.
    Import(String),
}

/// A wish that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WishError {
    /// It names no volume of fastrak's.
    #[error(
        "annotation {key} is {value:?}, which is no volume of fastrak's; write its name, such as \
         pvc-0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59"
    )]
    NoVolume {
        /// The annotation.
        key: &'static str,
        /// What it says.
        value: String,
    },
    /// It names nothing that could be a PersistentVolume.
    #[error("annotation {key} is {value:?}, which is not the name of a PersistentVolume")]
    NoName {
        /// The annotation.
        key: &'static str,
        /// What it says.
        value: String,
    },
    /// It wants several things at once.
    #[error(
        "the claim has several of the annotations {undelete}, {adopt} and {import}; leave one",
        undelete = names::UNDELETE,
        adopt = names::ADOPT,
        import = names::IMPORT
    )]
    Several,
}

/// A name of an object has at most so many characters.
const LONGEST_NAME: usize = 253;

impl Wish {
    /// The wish of a claim, if it has one.
    #[must_use]
    pub fn read(claim: &PersistentVolumeClaim) -> Option<Result<Self, WishError>> {
        let annotations = claim.metadata.annotations.as_ref()?;
        let all = [names::UNDELETE, names::ADOPT, names::IMPORT];
        let mut said = all.iter().filter_map(|key| Some((*key, annotations.get(*key)?)));
        let (key, value) = said.next()?;
        Some(if said.next().is_some() { Err(WishError::Several) } else { Self::of(key, value) })
    }

    fn of(key: &'static str, value: &str) -> Result<Self, WishError> {
        let volume = || {
            let id = VolumeId::from_volume_name(value).or_else(|| VolumeId::parse(value).ok());
            id.ok_or_else(|| WishError::NoVolume { key, value: clipped(value) })
        };
        match key {
            names::UNDELETE => volume().map(Self::Undelete),
            names::ADOPT => volume().map(Self::Adopt),
            _ if is_name(value) => Ok(Self::Import(value.to_owned())),
            _ => Err(WishError::NoName { key, value: clipped(value) }),
        }
    }

    /// The annotation in which it is written.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Undelete(_) => names::UNDELETE,
            Self::Adopt(_) => names::ADOPT,
            Self::Import(_) => names::IMPORT,
        }
    }
}

/// Whether an API server would take it for the name of a volume.
fn is_name(text: &str) -> bool {
    let part = |part: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        part.bytes().all(|b| inner(b) || b == b'-')
            && part.bytes().next().is_some_and(inner)
            && part.bytes().last().is_some_and(inner)
    };
    text.len() <= LONGEST_NAME && text.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UID: &str = "0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";

    fn wish(annotations: &[(&str, &str)]) -> Option<Result<Wish, WishError>> {
        let map: serde_json::Map<_, _> =
            annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        let claim = serde_json::json!({ "metadata": { "annotations": map } });
        Wish::read(&serde_json::from_value(claim).unwrap())
    }

    #[test]
    fn a_volume_is_named_by_its_uid_or_its_object() {
        let id = VolumeId::parse(UID).unwrap();
        let name = id.volume_name();
        assert_eq!(wish(&[]), None);
        assert_eq!(wish(&[("fastrak.io/node", "node-a")]), None);
        for text in [UID, &name] {
            let undelete = wish(&[("fastrak.io/undelete", text)]);
            assert_eq!(undelete, Some(Ok(Wish::Undelete(id.clone()))));
            let adopt = wish(&[("fastrak.io/adopt", text)]);
            assert_eq!(adopt, Some(Ok(Wish::Adopt(id.clone()))));
        }
        let import = wish(&[("fastrak.io/import", "pvc-1.of-old")]);
        assert_eq!(import, Some(Ok(Wish::Import("pvc-1.of-old".to_owned()))));
    }

    #[test]
    fn what_cannot_be_understood_is_no_wish_for_something_else() {
        for (key, value) in [
            ("fastrak.io/undelete", ""),
            ("fastrak.io/undelete", "../../etc"),
            ("fastrak.io/adopt", "data"),
            ("fastrak.io/import", ""),
            ("fastrak.io/import", "../pvc"),
            ("fastrak.io/import", "a..b"),
            ("fastrak.io/import", "-a"),
        ] {
            assert!(matches!(wish(&[(key, value)]), Some(Err(_))), "{key} {value}");
        }
        let both = wish(&[("fastrak.io/undelete", UID), ("fastrak.io/adopt", UID)]);
        assert_eq!(both, Some(Err(WishError::Several)));
    }

    proptest! {
        #[test]
        fn no_wish_is_a_path(text in ".{0,60}") {
            for key in ["fastrak.io/undelete", "fastrak.io/adopt", "fastrak.io/import"] {
                match wish(&[(key, &text)]) {
                    Some(Ok(Wish::Import(name))) => prop_assert!(!name.contains(['/', '\0']) && name != ".."),
                    Some(Ok(Wish::Undelete(id) | Wish::Adopt(id))) => prop_assert!(text.ends_with(id.as_str())),
                    Some(Err(_)) => {}
                    None => prop_assert!(false, "it was not read"),
                }
            }
        }
    }
}
