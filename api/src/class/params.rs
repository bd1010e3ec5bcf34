//! The parameters of fastrak's own classes.
//!
//! Whether a node has the pool that a class names, and can hold a volume to its size, is the agent's
//! to find out.

use super::{BytesPerInode, Class, Mode};
use crate::pool::{PoolName, PoolNameError};
use std::fmt;
use std::time::Duration;

/// The parameters of one of fastrak's own classes, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassParams {
    /// The pools in which its volumes may be made.
    pub pools: PoolChoice,
    /// In which of several.
    pub pool_policy: PoolPolicy,
    /// The permissions that a new volume's root has.
    pub mode: Mode,
    /// Whether the kernel is to hold its volumes to their size.
    pub quota: Quota,
    /// How many files its volumes may have, by their size.
    pub bytes_per_inode: BytesPerInode,
    /// What becomes of the data of a volume that is taken away.
    pub on_delete: OnDelete,
}

/// The pools in which a class's volumes may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolChoice {
    /// These, as many of them as a node has.
    These(Vec<PoolName>),
    /// All that a node has.
    Any,
}

/// In which of several pools a volume is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolPolicy {
    /// In the one that has most to give.
    #[default]
    MostFree,
    /// In the one with the fewest volumes.
    Spread,
    /// In the first that has room, as the class names them.
    InOrder,
}

/// Whether the kernel is to hold a volume to its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quota {
    /// A volume that it would not hold is not made.
    Required,
    /// Where the filesystem can.
    #[default]
    Preferred,
    /// Never.
    Off,
}

/// What becomes of the data of a volume that is taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDelete {
    /// It is removed at once.
    #[default]
    Delete,
    /// It can be had back for this long, unless the pool needs the room.
    Trash(Duration),
}

/// A parameter that cannot be what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// A parameter that no class of fastrak's has.
    #[error("class {class} has an unknown parameter {key:?}; known are: {KNOWN}")]
    Unknown {
        /// The class.
        class: String,
        /// The parameter.
        key: String,
    },
    /// A mode that is not octal, or more than permissions.
    #[error("class {class} has mode {value:?}; write permissions in octal, such as \"0770\"")]
    Mode {
        /// The class.
        class: String,
        /// What it says.
        value: String,
    },
    /// A pool that cannot be named so.
    #[error("class {class} has pool {value:?}; {problem}")]
    Pool {
        /// The class.
        class: String,
        /// What it says.
        value: String,
        /// What is wrong with it.
        problem: PoolNameError,
    },
    /// A word that is none of the parameter's.
    #[error("class {class} has {key} {value:?}; write one of: {known}")]
    Word {
        /// The class.
        class: String,
        /// The parameter.
        key: &'static str,
        /// What it says.
        value: String,
        /// What it could say.
        known: &'static str,
    },
    /// A ratio that is no size, or is none that a filesystem has.
    #[error(
        "class {class} has {PARAM_BYTES_PER_INODE} {value:?}; write a size from 1Ki to 64Mi, such as \
         16Ki, or none"
    )]
    BytesPerInode {
        /// The class.
        class: String,
        /// What it says.
        value: String,
    },
    /// A time that is none, or is longer than anybody lives.
    #[error("class {class} has {PARAM_TRASH_TTL} {value:?}; write a time such as 30m, 12h or 7d")]
    TrashTtl {
        /// The class.
        class: String,
        /// What it says.
        value: String,
    },
    /// A time in a trash that is not used.
    #[error(
        "class {class} has {PARAM_TRASH_TTL} without {PARAM_ON_DELETE}: trash, and so keeps nothing"
    )]
    TrashTtlAlone {
        /// The class.
        class: String,
    },
}

const PARAM_POOL: &str = "pool";
const PARAM_POOL_POLICY: &str = "poolPolicy";
/// Stands for all pools that a node has.
const ANY_POOL: &str = "*";
const PARAM_MODE: &str = "mode";
const PARAM_QUOTA: &str = "quota";
const PARAM_BYTES_PER_INODE: &str = "bytesPerInode";
const PARAM_ON_DELETE: &str = "onDelete";
const PARAM_TRASH_TTL: &str = "trashTTL";
const KNOWN: &str = "pool, poolPolicy, mode, quota, bytesPerInode, onDelete, trashTTL";

/// How long the trash keeps data where the class does not say.
const TRASH_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// No time is longer: it would be a mistake of the unit.
const LONGEST_TTL: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

impl Class {
    /// Reads the parameters. One that is not known is an error and not passed over: a misspelt
    /// one would otherwise give a volume that is not what was asked for.
    pub fn params(&self) -> Result<ClassParams, ParamError> {
        let mut params = ClassParams::default();
        let mut ttl = None;
        for (key, value) in &self.parameters {
            match key.as_str() {
                PARAM_POOL => params.pools = self.pools(value)?,
                PARAM_POOL_POLICY => params.pool_policy = self.pool_policy(value)?,
                PARAM_MODE => params.mode = self.mode(value)?,
                PARAM_QUOTA => params.quota = self.quota(value)?,
                PARAM_BYTES_PER_INODE => params.bytes_per_inode = self.bytes_per_inode(value)?,
                PARAM_ON_DELETE => params.on_delete = self.on_delete(value)?,
                PARAM_TRASH_TTL => ttl = Some(self.trash_ttl(value)?),
                _ => {
                    let class = self.name.clone();
                    return Err(ParamError::Unknown { class, key: key.clone() });
                }
            }
        }
        match (&mut params.on_delete, ttl) {
            (_, None) => Ok(params),
            (OnDelete::Trash(kept), Some(ttl)) => {
                *kept = ttl;
                Ok(params)
            }
            (OnDelete::Delete, Some(_)) => {
                Err(ParamError::TrashTtlAlone { class: self.name.clone() })
            }
        }
    }

    fn pools(&self, value: &str) -> Result<PoolChoice, ParamError> {
        if value.trim() == ANY_POOL {
            return Ok(PoolChoice::Any);
        }
        let names = value.split(',').map(|name| PoolName::parse(name.trim()));
        let names = names.collect::<Result<_, _>>().map_err(|problem| ParamError::Pool {
            class: self.name.clone(),
            value: value.to_owned(),
            problem,
        });
        names.map(PoolChoice::These)
    }

    fn pool_policy(&self, value: &str) -> Result<PoolPolicy, ParamError> {
        match value {
            "most-free" => Ok(PoolPolicy::MostFree),
            "spread" => Ok(PoolPolicy::Spread),
            "in-order" => Ok(PoolPolicy::InOrder),
            _ => Err(self.word(PARAM_POOL_POLICY, value, "most-free, spread, in-order")),
        }
    }

    fn mode(&self, value: &str) -> Result<Mode, ParamError> {
        let wrong = || ParamError::Mode { class: self.name.clone(), value: value.to_owned() };
        Mode::parse(value).ok_or_else(wrong)
    }

    fn quota(&self, value: &str) -> Result<Quota, ParamError> {
        match value {
            "required" => Ok(Quota::Required),
            "preferred" => Ok(Quota::Preferred),
            "off" => Ok(Quota::Off),
            _ => Err(self.word(PARAM_QUOTA, value, "required, preferred, off")),
        }
    }

    fn bytes_per_inode(&self, value: &str) -> Result<BytesPerInode, ParamError> {
        let (class, value) = (self.name.clone(), value.to_owned());
        BytesPerInode::parse(&value).ok_or(ParamError::BytesPerInode { class, value })
    }

    fn on_delete(&self, value: &str) -> Result<OnDelete, ParamError> {
        match value {
            "delete" => Ok(OnDelete::Delete),
            "trash" => Ok(OnDelete::Trash(TRASH_TTL)),
            _ => Err(self.word(PARAM_ON_DELETE, value, "delete, trash")),
        }
    }

    fn word(&self, key: &'static str, value: &str, known: &'static str) -> ParamError {
        ParamError::Word { class: self.name.clone(), key, value: value.to_owned(), known }
    }

    fn trash_ttl(&self, value: &str) -> Result<Duration, ParamError> {
        let wrong = || ParamError::TrashTtl { class: self.name.clone(), value: value.to_owned() };
        duration(value).filter(|ttl| *ttl <= LONGEST_TTL).ok_or_else(wrong)
    }
}

/// A whole number with a unit: `90s`, `30m`, `12h`, `7d`.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let number = text.strip_suffix(['s', 'm', 'h', 'd'])?;
    let seconds = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 60 * 60,
        _ => 24 * 60 * 60,
    };
    let all_digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| all_digits)?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

impl Default for PoolChoice {
    fn default() -> Self {
        Self::These(vec![PoolName::default()])
    }
}

impl PoolChoice {
    /// Those of a node's pools that may be chosen, in the order of the class where it has one.
    #[must_use]
    pub fn among(&self, known: &[PoolName]) -> Vec<PoolName> {
        match self {
            Self::Any => known.to_vec(),
            Self::These(names) => {
                names.iter().filter(|name| known.contains(name)).cloned().collect()
            }
        }
    }
}

impl fmt::Display for PoolChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str(ANY_POOL),
            Self::These(names) => {
                let names: Vec<_> = names.iter().map(PoolName::as_str).collect();
                f.write_str(&names.join(" or "))
            }
        }
    }
}
