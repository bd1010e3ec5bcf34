//! Failed reconciliations. One table maps the cause to the retry, one the operation to the event.

use crate::backoff::Backoff;
use crate::cluster::ClusterError;
use fastrak_api::capacity::Shortage;
use fastrak_api::reason::EventReason;
use fastrak_store::volumes::VolumeError;

/// A reconciliation that has failed.
#[derive(Debug, thiserror::Error)]
#[error("{operation}")]
pub struct Failure {
    operation: Operation,
    #[source]
    cause: Cause,
}

/// What could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Operation {
    /// Planning the volume of a claim.
    #[error("the claim could not be checked")]
    Plan,
    /// Creating a volume on the disk.
    #[error("the volume could not be created")]
    Create,
    /// Publishing a volume.
    #[error("the volume could not be published")]
    Publish,
    /// Resizing a volume on the disk.
    #[error("the volume could not be resized")]
    Resize,
    /// Publishing the new size of a volume.
    #[error("the new size of the volume could not be published")]
    PublishSize,
    /// Giving an existing volume to a claim.
    #[error("the volume could not be restored")]
    Restore,
    /// Importing the data of another provisioner.
    #[error("the data could not be imported")]
    Import,
    /// Recording the owner of a volume, or that it is retained.
    #[error("the volume's record could not be updated")]
    Record,
    /// Moving the data of a volume into the trash.
    #[error("the volume's data could not be moved into the trash")]
    Trash,
    /// Deleting a PersistentVolume.
    #[error("the PersistentVolume could not be deleted")]
    Delete,
    /// Examining or collecting an orphan.
    #[error("the orphan could not be examined or moved into the trash")]
    Collect,
}

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// An operation on the disk has failed.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A request to the API server has failed.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Another client has changed an object since it was read.
    #[error("the volume or its claim was changed concurrently")]
    Changed,
    /// A PersistentVolume of that name belongs to something else.
    #[error(
        "PersistentVolume {0} exists and does not belong to this claim; nothing was changed; delete \
         it if it is not needed"
    )]
    NameTaken(String),
    /// The PersistentVolume of this name was deleted just now.
    #[error("PersistentVolume {0} was deleted concurrently")]
    Vanished(String),
    /// The volume has no directory with a valid record.
    #[error("its directory is missing or has no valid record")]
    NoDirectory,
}

impl Failure {
    /// Returns a function that turns the cause of a failed operation into the failure.
    pub fn of<E: Into<Cause>>(operation: Operation) -> impl FnOnce(E) -> Self {
        move |cause| Self { operation, cause: cause.into() }
    }

    /// Returns when to retry.
    #[must_use]
    pub const fn backoff(&self) -> Backoff {
        match &self.cause {
            // A claim waits for its pool, which wakes it. Nothing wakes other work on a pool that
            // failed between two checks.
            Cause::Volume(VolumeError::Pool(_)) => match self.operation {
                Operation::Create | Operation::Import => Backoff::Refused,
                _ => Backoff::Failed,
            },
            Cause::Volume(
                VolumeError::Occupied { .. }
                | VolumeError::Full(_)
                | VolumeError::NoPool { .. }
                | VolumeError::NoQuota { .. }
                | VolumeError::OtherFilesystem(_),
            )
            | Cause::NameTaken(_) => Backoff::Refused,
            Cause::Volume(_)
            | Cause::Cluster(_)
            | Cause::Changed
            | Cause::Vanished(_)
            | Cause::NoDirectory => Backoff::Failed,
        }
    }

    /// Returns the reason of the event, or `None` if there is no object: then the log is enough.
    #[must_use]
    pub const fn reason(&self) -> Option<EventReason> {
        match self.operation {
            Operation::Plan | Operation::Create | Operation::Publish => {
                Some(EventReason::ProvisioningFailed)
            }
            Operation::Resize | Operation::PublishSize => Some(EventReason::VolumeResizeFailed),
            Operation::Restore | Operation::Import => Some(EventReason::RestoreRefused),
            Operation::Record | Operation::Trash | Operation::Delete => {
                Some(EventReason::VolumeFailedDelete)
            }
            Operation::Collect => None,
        }
    }

    /// Returns the shortages that caused the failure.
    #[must_use]
    pub fn shortages(&self) -> &[Shortage] {
        match &self.cause {
            Cause::Volume(error) => error.shortages(),
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrak_api::pool::PoolName;
    use fastrak_runtime::chain::Chain;
    use fastrak_store::pools::PoolError;
    use std::path::PathBuf;

    #[test]
    fn what_only_an_administrator_can_change_is_retried_rarely() {
        let path = || PathBuf::from("/pool/x");
        let failed = |cause: Cause| Failure::of(Operation::Create)(cause).backoff();
        for cause in [
            VolumeError::Occupied { path: path(), why: "it is a file".to_owned() },
            VolumeError::NoPool { why: "full".to_owned(), shortages: Vec::new() },
            VolumeError::OtherFilesystem(path()),
        ] {
            assert_eq!(failed(cause.into()), Backoff::Refused);
        }
        assert_eq!(failed(Cause::NameTaken("pvc-x".to_owned())), Backoff::Refused);
        assert_eq!(failed(VolumeError::Missing(PoolName::default()).into()), Backoff::Failed);
        assert_eq!(failed(Cause::Changed), Backoff::Failed);
    }

    #[test]
    fn an_unusable_pool_delays_only_work_that_the_pool_wakes() {
        let failed = |operation| {
            let error = PoolError::Unknown { pool: PoolName::default(), known: String::new() };
            Failure::of(operation)(VolumeError::Pool(error)).backoff()
        };
        assert_eq!(failed(Operation::Create), Backoff::Refused);
        assert_eq!(failed(Operation::Trash), Backoff::Failed);
    }

    #[test]
    fn a_failure_names_the_operation_and_then_its_cause_once() {
        let failure = Failure::of(Operation::Resize)(VolumeError::Missing(PoolName::default()));
        assert_eq!(
            Chain(&failure).to_string(),
            "the volume could not be resized: the volume's directory is not in pool default"
        );
        assert_eq!(failure.reason(), Some(EventReason::VolumeResizeFailed));
    }
}
