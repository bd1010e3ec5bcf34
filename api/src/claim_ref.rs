//! A reference to a claim, in a PersistentVolume and in the record of a volume's owner.

use crate::volume::{Identity, VolumeId};
use serde::{Deserialize, Serialize};

/// A reference to a claim. It refers to no claim if the name is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRef {
    /// The namespace.
    pub namespace: String,
    /// The name.
    #[serde(rename = "claim")]
    pub name: String,
    /// The UID, if it is set. A record has an empty text otherwise.
    #[serde(with = "empty_as_none")]
    pub uid: Option<String>,
}

impl ClaimRef {
    /// Returns the claim for which a volume was created.
    #[must_use]
    pub fn original(identity: &Identity) -> Self {
        Self {
            namespace: identity.namespace.clone(),
            name: identity.claim.clone(),
            uid: Some(identity.volume.to_string()),
        }
    }

    /// Returns the UID if it is set and valid.
    #[must_use]
    pub fn id(&self) -> Option<VolumeId> {
        self.uid.as_deref().and_then(|uid| VolumeId::parse(uid).ok())
    }

    /// Returns whether the claim has this UID.
    #[must_use]
    pub fn is(&self, uid: &str) -> bool {
        self.uid.as_deref() == Some(uid)
    }
}

mod empty_as_none {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        uid: &Option<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(uid.as_deref().unwrap_or_default())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<String>, D::Error> {
        String::deserialize(deserializer).map(|uid| Some(uid).filter(|uid| !uid.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_holds_an_empty_text_for_a_missing_uid() {
        for (uid, text) in [(Some("u".to_owned()), "u"), (None, "")] {
            let claim = ClaimRef { namespace: "n".to_owned(), name: "c".to_owned(), uid };
            let record = serde_json::json!({ "namespace": "n", "claim": "c", "uid": text });
            assert_eq!(serde_json::to_value(&claim).unwrap(), record);
            assert_eq!(serde_json::from_value::<ClaimRef>(record).unwrap(), claim);
        }
        assert!(serde_json::from_str::<ClaimRef>(r#"{"namespace": "n", "claim": "c"}"#).is_err());
    }
}
