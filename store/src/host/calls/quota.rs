//! The arguments and results of the calls that concern quotas.

/// How a filesystem can enforce quotas on directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// With btrfs subvolumes, each with its own quota group.
    Subvolumes {
        /// Whether subvolumes created inside a subvolume count towards its limit.
        nested: bool,
    },
    /// With project IDs on files.
    Projects,
    /// Not at all, with the reason.
    None(QuotaUnavailable),
}

/// Why a filesystem cannot enforce quotas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuotaUnavailable {
    /// It has no quotas that this agent can set.
    #[error("its filesystem has no quotas that the agent can set; use btrfs, XFS or ext4")]
    Unsupported,
    /// It is btrfs with quotas off.
    #[error(
        "the quotas of its btrfs are off; switch them on with `btrfs quota enable --simple`, or \
         without --simple before Linux 6.7"
    )]
    BtrfsOff,
    /// It is btrfs with full quotas, which do not count nested subvolumes towards the volume's
    /// limit.
    #[error(
        "the full quotas of its btrfs do not limit subvolumes that a pod creates in its volume; switch \
         to simple quotas (Linux 6.7 and newer): `btrfs quota disable`, then `btrfs quota enable \
         --simple`"
    )]
    BtrfsFullQuotas,
    /// It supports project quotas and is mounted without them.
    #[error(
        "it is mounted without project quotas; mount it with prjquota (ext4 needs the features quota \
         and project as well)"
    )]
    ProjectsOff,
    /// It supports project quotas and the kernel is too old to set them.
    #[error(
        "the kernel lacks quotactl_fd, which sets the quotas of its filesystem; use Linux 5.14 or newer"
    )]
    OldKernel,
    /// No project ID is free.
    #[error("no free project ID was found for the volume")]
    NoProjectId,
    /// The agent lacks the permission.
    #[error(
        "the agent may not set quotas; give it the capability SYS_ADMIN, as the component \
         deploy/quotas does"
    )]
    Forbidden,
}

/// The usage of a quota group, as the kernel counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in use.
    pub used: u64,
    /// Files and directories; `None` if they are not counted.
    pub inodes: Option<u64>,
    /// The limit in bytes, if there is one.
    pub limit: Option<u64>,
    /// The limit of files and directories, if there is one.
    pub inode_limit: Option<u64>,
}

/// The limits of a quota group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes; `None` for no limit.
    pub bytes: Option<u64>,
    /// Files and directories; `None` for no limit. Only projects can limit them: btrfs counts the
    /// metadata of files in bytes.
    pub inodes: Option<u64>,
}

impl Limits {
    /// No limit.
    pub const NONE: Self = Self { bytes: None, inodes: None };

    /// Limits only bytes.
    #[must_use]
    pub const fn bytes(bytes: u64) -> Self {
        Self { bytes: Some(bytes), inodes: None }
    }
}

impl From<&fastrak_api::volume::Identity> for Limits {
    fn from(identity: &fastrak_api::volume::Identity) -> Self {
        Self { bytes: Some(identity.bytes), inodes: identity.inodes() }
    }
}
