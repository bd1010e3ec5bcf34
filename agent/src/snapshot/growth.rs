//! The capacity and the resize state in a claim's status. Pure.

use fastrak_api::claim::Claim;
use fastrak_api::object::clipped;
use k8s_openapi::api::core::v1::PersistentVolumeClaimStatus;
use serde::Deserialize;

/// The part of a claim's status that concerns its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// The capacity in the status.
    pub capacity: Option<String>,
    /// The size that was promised last.
    pub allocated: Option<String>,
    /// Whether a resize is in progress or has failed.
    pub unsettled: bool,
    /// Why the last resize failed, if it did.
    pub error: Option<String>,
}

/// The condition of a resize that the controller cannot carry out.
pub(crate) const CONTROLLER_ERROR: &str = "ControllerResizeError";
/// The condition of a resize in progress.
pub(crate) const RESIZING: &str = "Resizing";
/// All conditions that concern a resize.
pub(crate) const CONDITIONS: [&str; 4] =
    [RESIZING, "FileSystemResizePending", CONTROLLER_ERROR, "NodeResizeError"];
/// The resource name of a claim's size.
pub const STORAGE: &str = "storage";

#[derive(Deserialize)]
struct WithStatus {
    status: Option<PersistentVolumeClaimStatus>,
}

/// Parses a claim and its growth. What a tenant writes may be large and is not copied as a whole.
pub(crate) fn read_claim(text: &str) -> Result<(Claim, Growth), serde_json::Error> {
    let WithStatus { status } = serde_json::from_str(text)?;
    Ok((Claim::parse(text)?, Growth::read(status.as_ref())))
}

impl Growth {
    /// Reads a claim's status.
    pub(crate) fn read(status: Option<&PersistentVolumeClaimStatus>) -> Self {
        let Some(status) = status else { return Self::default() };
        let capacity = status.capacity.as_ref().and_then(|capacity| capacity.get(STORAGE));
        let allocated = status.allocated_resources.as_ref().and_then(|all| all.get(STORAGE));
        let conditions = || status.conditions.iter().flatten();
        let failed = conditions().find(|condition| condition.type_ == CONTROLLER_ERROR);
        let pending = conditions().any(|known| CONDITIONS.contains(&known.type_.as_str()));
        let statuses = status.allocated_resource_statuses.as_ref();
        Self {
            capacity: capacity.map(|quantity| clipped(&quantity.0)),
            allocated: allocated.map(|quantity| clipped(&quantity.0)),
            unsettled: pending || statuses.is_some_and(|statuses| !statuses.is_empty()),
            error: failed.and_then(|condition| condition.message.as_deref()).map(clipped),
        }
    }
}
