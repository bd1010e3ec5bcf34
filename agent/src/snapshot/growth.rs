//! How large a claim is shown to be, and what its status says of a change of that. Pure.
//!
//! What it asks for is in the claim itself.

use fastrak_api::object::clipped;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

/// What a claim's status says of its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Its capacity.
    pub shown: Option<String>,
    /// The size that it was last promised.
    pub allocated: Option<String>,
    /// Whether it says that a change is under way or has failed.
    pub unsettled: bool,
    /// Why the last change failed, where it says so.
    pub error: Option<String>,
}

/// The condition of a change that its controller cannot carry out.
pub const CONTROLLER_ERROR: &str = "ControllerResizeError";
/// The condition of a change that is being carried out.
pub const RESIZING: &str = "Resizing";
/// All conditions of a change of size.
pub const CONDITIONS: [&str; 4] =
    [RESIZING, "FileSystemResizePending", CONTROLLER_ERROR, "NodeResizeError"];
/// The name of a claim's one resource.
pub const STORAGE: &str = "storage";

impl Growth {
    /// Reads a claim's status.
    #[must_use]
    pub fn read(claim: &PersistentVolumeClaim) -> Self {
        let Some(status) = &claim.status else { return Self::default() };
        let shown = status.capacity.as_ref().and_then(|capacity| capacity.get(STORAGE));
        let allocated = status.allocated_resources.as_ref().and_then(|all| all.get(STORAGE));
        let conditions = || status.conditions.iter().flatten();
        let failed = conditions().find(|condition| condition.type_ == CONTROLLER_ERROR);
        let pending = conditions().any(|known| CONDITIONS.contains(&known.type_.as_str()));
        let statuses = status.allocated_resource_statuses.as_ref();
        Self {
            shown: shown.map(|quantity| clipped(&quantity.0)),
            allocated: allocated.map(|quantity| clipped(&quantity.0)),
            unsettled: pending || statuses.is_some_and(|statuses| !statuses.is_empty()),
            error: failed.and_then(|condition| condition.message.as_deref()).map(clipped),
        }
    }
}
