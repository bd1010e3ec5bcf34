//! Failed reconciliations. One table maps the cause to the retry, one the operation to the event.

use crate::backoff::Backoff;
use crate::cluster::ClusterError;
use fastrak_api::capacity::Shortage;
use fastrak_api::reason::EventReason;
use fastrak_store::volumes::VolumeError;

/// A reconciliation that has failed.
#[derive(Debug, thiserror::Error)]
#[error("{operation}")]
pub(crate) struct Failure {
    operation: Operation,
    #[source]
    cause: Box<Cause>,
}

/// What could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Operation {
    #[error("the claim could not be checked")]
    Plan,
    #[error("the volume could not be created")]
    Create,
    #[error("the volume could not be published")]
    Publish,
    #[error("the volume could not be resized")]
    Resize,
    #[error("the new size of the volume could not be published")]
    PublishSize,
    #[error("the volume could not be restored")]
    Restore,
    #[error("the data could not be imported")]
    Import,
    #[error("the volume's record could not be updated")]
    Record,
    #[error("the volume's data could not be moved into the trash")]
    Trash,
    #[error("the PersistentVolume could not be deleted")]
    Delete,
    #[error("the orphan could not be examined or moved into the trash")]
    Collect,
}

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("the volume or its claim was changed concurrently")]
    Changed,
    #[error(
        "PersistentVolume {0} exists and does not belong to this claim; nothing was changed; delete \
         it if it is not needed"
    )]
    NameTaken(String),
    #[error("PersistentVolume {0} was deleted concurrently")]
    Vanished(String),
    #[error("its directory is missing or has no valid record")]
    NoDirectory,
}

/// Names the operation that has failed with an error.
pub(crate) trait During<T> {
    /// Turns the error into the failure of `operation`.
    fn during(self, operation: Operation) -> Result<T, Failure>;
}

impl<T, E: Into<Cause>> During<T> for Result<T, E> {
    fn during(self, operation: Operation) -> Result<T, Failure> {
        self.map_err(|cause| Failure { operation, cause: Box::new(cause.into()) })
    }
}

impl Failure {
    /// Returns when to retry.
    pub(crate) fn backoff(&self) -> Backoff {
        match &*self.cause {
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
    pub(crate) const fn reason(&self) -> Option<EventReason> {
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
    pub(crate) fn shortages(&self) -> &[Shortage] {
        match &*self.cause {
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
        let failed =
            |cause: Cause| Err::<(), _>(cause).during(Operation::Create).unwrap_err().backoff();
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
            Err::<(), _>(VolumeError::Pool(error)).during(operation).unwrap_err().backoff()
        };
        assert_eq!(failed(Operation::Create), Backoff::Refused);
        assert_eq!(failed(Operation::Trash), Backoff::Failed);
    }

    #[test]
    fn a_failure_names_the_operation_and_then_its_cause_once() {
        let missing = Err::<(), _>(VolumeError::Missing(PoolName::default()));
        let failure = missing.during(Operation::Resize).unwrap_err();
        assert_eq!(
            Chain(&failure).to_string(),
            "the volume could not be resized: the volume's directory is not in pool default"
        );
        assert_eq!(failure.reason(), Some(EventReason::VolumeResizeFailed));
    }
}
