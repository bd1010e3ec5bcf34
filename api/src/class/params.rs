//! The parameters of fastrak's own classes.
//!
//! A parameter is a row of [`PARAMETERS`]. Whether a node has the pool that a class names, and can
//! enforce a quota, is the agent's to find out.

use super::{BytesPerInode, Class, Mode};
use crate::duration;
use crate::pool::PoolName;
use std::fmt;
use std::time::Duration;

/// The parameters of one of fastrak's own classes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassParams {
    /// The pools in which its volumes may be created.
    pub pools: PoolChoice,
    /// Which of several pools is chosen.
    pub pool_policy: PoolPolicy,
    /// The permissions of a new volume's root.
    pub mode: Mode,
    /// The enforcement of its volumes' sizes by the kernel.
    pub quota: Quota,
    /// How many files its volumes may have for their size.
    pub bytes_per_inode: BytesPerInode,
    /// What happens to the data of a deleted volume.
    pub on_delete: OnDelete,
}

/// The pools in which a class's volumes may be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolChoice {
    /// These, as many of them as a node has.
    These(Vec<PoolName>),
    /// All that a node has.
    Any,
}

/// Which of several pools a volume is created in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolPolicy {
    /// The one with the most free space.
    #[default]
    MostFree,
    /// The one with the fewest volumes.
    Spread,
    /// The first with enough space, in the order of the class.
    InOrder,
}

/// The enforcement of a volume's size by the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quota {
    /// Always: without enforcement no volume is created.
    Required,
    /// If the filesystem can.
    #[default]
    Preferred,
    /// Never.
    Off,
}

/// What happens to the data of a deleted volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDelete {
    /// It is removed at once.
    #[default]
    Delete,
    /// It can be restored for this long, unless the pool needs the space.
    Trash(Duration),
}

/// An invalid parameter of a class, with what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("class {class} has {problem}")]
pub struct ParamError {
    class: String,
    problem: String,
}

/// The parameters as they are read, before they are compared with each other.
#[derive(Default)]
struct Draft {
    params: ClassParams,
    trash_ttl: Option<Duration>,
}

/// Reads a value into the draft. The error says what is wrong, or what to write instead.
type Read = fn(&mut Draft, &str) -> Result<(), String>;

/// All parameters, with the function that reads each.
const PARAMETERS: [(&str, Read); 7] = [
    ("pool", |draft, value| set(&mut draft.params.pools, pools(value))),
    ("poolPolicy", |draft, value| {
        let words = [
            ("most-free", PoolPolicy::MostFree),
            ("spread", PoolPolicy::Spread),
            ("in-order", PoolPolicy::InOrder),
        ];
        set(&mut draft.params.pool_policy, word(value, &words))
    }),
    ("mode", |draft, value| {
        let mode = Mode::parse(value);
        set(&mut draft.params.mode, mode.ok_or("write permissions in octal, such as \"0770\""))
    }),
    ("quota", |draft, value| {
        let words =
            [("required", Quota::Required), ("preferred", Quota::Preferred), ("off", Quota::Off)];
        set(&mut draft.params.quota, word(value, &words))
    }),
    ("bytesPerInode", |draft, value| {
        let ratio = BytesPerInode::parse(value);
        let usage = "write a size from 1Ki to 64Mi, such as 16Ki, or none";
        set(&mut draft.params.bytes_per_inode, ratio.ok_or(usage))
    }),
    ("onDelete", |draft, value| {
        let words = [("delete", OnDelete::Delete), ("trash", OnDelete::Trash(TRASH_TTL))];
        set(&mut draft.params.on_delete, word(value, &words))
    }),
    ("trashTTL", |draft, value| set(&mut draft.trash_ttl, duration::parse(value).map(Some))),
];

/// Stands for all pools of a node.
const ANY_POOL: &str = "*";

/// How long the trash keeps data if the class does not say.
const TRASH_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const TRASH_TTL_ALONE: &str =
    "trashTTL without onDelete: trash; set onDelete: trash, or remove trashTTL";

impl Class {
    /// Reads the parameters. An unknown one is an error: a misspelt parameter would otherwise give
    /// a volume that its user does not expect.
    pub fn params(&self) -> Result<ClassParams, ParamError> {
        let wrong = |problem| ParamError { class: self.name.clone(), problem };
        let mut draft = Draft::default();
        for (key, value) in &self.parameters {
            let row = PARAMETERS.iter().find(|(known, _)| known == key);
            let Some((key, read)) = row else {
                let known = parameter_names().collect::<Vec<_>>().join(", ");
                let problem = format!("unknown parameter {key:?}; known parameters: {known}");
                return Err(wrong(problem));
            };
            let problem = |problem| wrong(format!("{key}: {value:?}; {problem}"));
            read(&mut draft, value).map_err(problem)?;
        }
        let Draft { mut params, trash_ttl } = draft;
        match (&mut params.on_delete, trash_ttl) {
            (_, None) => Ok(params),
            (OnDelete::Trash(ttl), Some(wanted)) => {
                *ttl = wanted;
                Ok(params)
            }
            (OnDelete::Delete, Some(_)) => Err(wrong(TRASH_TTL_ALONE.to_owned())),
        }
    }
}

/// Returns the names of all parameters.
pub fn parameter_names() -> impl Iterator<Item = &'static str> {
    PARAMETERS.iter().map(|(name, _)| *name)
}

fn set<T, E: ToString>(field: &mut T, value: Result<T, E>) -> Result<(), String> {
    *field = value.map_err(|problem| problem.to_string())?;
    Ok(())
}

fn word<T: Copy>(value: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == value);
    let all = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    found.map(|(_, meaning)| *meaning).ok_or_else(|| format!("write one of: {}", all()))
}

fn pools(value: &str) -> Result<PoolChoice, String> {
    if value.trim() == ANY_POOL {
        return Ok(PoolChoice::Any);
    }
    let names = value.split(',').map(|name| PoolName::parse(name.trim()));
    let names = names.collect::<Result<_, _>>().map_err(|problem| problem.to_string())?;
    Ok(PoolChoice::These(names))
}

impl Default for PoolChoice {
    fn default() -> Self {
        Self::These(vec![PoolName::default()])
    }
}

impl PoolChoice {
    /// Returns those of a node's pools that may be chosen, in the order of the class if it names
    /// them.
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
