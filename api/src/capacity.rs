//! How much of a pool can still be granted, and why a request is refused. Pure arithmetic: it reads
//! no disk.
//!
//! A request must pass three tests. The sum of all grants must fit into the pool. Granted bytes
//! that are not yet written must fit into the current free space, because other users of the disk
//! may have used some of it. No single volume may be larger than the free space, even if the pool
//! is overcommitted.

use crate::pool::PoolName;
use crate::size::{Bytes, SizeError};
use std::fmt;

/// An administrator's limits of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapacityLimits {
    /// The pool's share of its filesystem. None is all of it.
    pub size: Option<Bytes>,
    /// The part that is never granted.
    pub reserve: Reserve,
    /// The factor by which the rest may be granted.
    pub overcommit: Overcommit,
}

/// The part of a pool that is never granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reserve {
    /// A tenth of the pool, and no more than 10Gi.
    #[default]
    Standard,
    /// A part of the pool, in percent.
    Percent(u8),
    /// A size.
    Bytes(Bytes),
}

/// The overcommit factor in percent: with 100 nothing is overcommitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overcommit(u32);

/// An invalid limit of a pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapacityLimitsError {
    /// The reserve is invalid.
    #[error("reserve {0:?} is neither a percentage, such as 10%, nor a size, such as 20Gi")]
    Reserve(String),
    /// The ratio is invalid.
    #[error("overcommit {0:?} is not a number from 1 to 100, such as 1.5")]
    Overcommit(String),
    /// The size is invalid.
    #[error("size {0:?} is invalid: {1}")]
    Size(String, SizeError),
}

/// The state of a pool at one moment, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The size of its filesystem.
    pub total: u64,
    /// The free space.
    pub free: u64,
    /// The sum of the sizes of its volumes.
    pub granted: u64,
    /// The part of that sum that is not written yet.
    pub unwritten: u64,
    /// How many files it can have; 0 if it does not count them.
    pub inodes: u64,
    /// How many more files it can have.
    pub free_inodes: u64,
}

/// What a pool can still grant, with the figures from which this follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Available {
    /// The size of the largest volume that can be granted now.
    pub allocatable: u64,
    /// The pool's share of its filesystem.
    pub total: u64,
    /// The sum that all volumes may have.
    pub grantable: u64,
    /// The part that is never granted.
    pub reserve: u64,
    /// The state that it was computed from.
    pub state: State,
}

/// A request that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Too few bytes are left.
    Bytes {
        /// The pool.
        pool: PoolName,
        /// The requested size.
        requested: u64,
        /// What the pool can still grant.
        available: Available,
    },
    /// Too few files are left.
    Inodes {
        /// The pool.
        pool: PoolName,
        /// What the pool can still grant.
        available: Available,
    },
}

/// A kubelet evicts pods if less than a tenth of its filesystem is free. A tenth of a large
/// separate disk would be too much.
const STANDARD_PERCENT: u32 = 10;
const STANDARD_MAX: u64 = 10 << 30;

/// The percentage of a filesystem's files that is left to existing volumes.
const INODE_RESERVE: u32 = 5;

impl CapacityLimits {
    /// Returns the pool's share of a filesystem of this size.
    #[must_use]
    pub fn total(&self, filesystem: u64) -> u64 {
        self.size.map_or(filesystem, |size| size.0.min(filesystem))
    }

    /// Returns what a pool in this state can still grant.
    #[must_use]
    pub fn available(&self, state: State) -> Available {
        let total = self.total(state.total);
        let reserve = match self.reserve {
            Reserve::Standard => percent_of(total, STANDARD_PERCENT).min(STANDARD_MAX),
            Reserve::Percent(percent) => percent_of(total, u32::from(percent)),
            Reserve::Bytes(bytes) => bytes.0,
        };
        let Overcommit(ratio) = self.overcommit;
        let free = state.free.saturating_sub(reserve);
        let grantable = percent_of(total.saturating_sub(reserve), ratio);
        let allocatable = grantable
            .saturating_sub(state.granted)
            .min(percent_of(free, ratio).saturating_sub(state.unwritten))
            .min(free);
        Available { allocatable, total, grantable, reserve, state }
    }

    /// Checks whether a pool in this state can grant so many more bytes.
    pub fn check(
        &self,
        pool: &PoolName,
        state: State,
        requested: u64,
    ) -> Result<Available, Shortage> {
        let available = self.available(state);
        if requested > available.allocatable {
            return Err(Shortage::Bytes { pool: pool.clone(), requested, available });
        }
        if state.free_inodes < percent_of(state.inodes, INODE_RESERVE) {
            return Err(Shortage::Inodes { pool: pool.clone(), available });
        }
        Ok(available)
    }
}

impl Shortage {
    /// Returns how many bytes must be removed from which pool to make the request fit. None if that
    /// would not help.
    #[must_use]
    pub fn to_remove(&self) -> Option<(&PoolName, u64)> {
        match self {
            Self::Bytes { pool, requested, available } => {
                let may = *requested <= available.grantable.saturating_sub(available.state.granted);
                may.then(|| (pool, requested.saturating_sub(available.allocatable)))
            }
            Self::Inodes { .. } => None,
        }
    }
}

impl Reserve {
    /// Parses `10%` or `20Gi`.
    pub fn parse(text: &str) -> Result<Self, CapacityLimitsError> {
        let wrong = || CapacityLimitsError::Reserve(text.to_owned());
        match text.strip_suffix('%') {
            None => Bytes::parse(text).map(Self::Bytes).map_err(|_| wrong()),
            Some(number) if number.bytes().all(|b| b.is_ascii_digit()) => number
                .parse()
                .ok()
                .filter(|percent| *percent < 100)
                .map(Self::Percent)
                .ok_or_else(wrong),
            Some(_) => Err(wrong()),
        }
    }
}

impl Overcommit {
    /// Parses `1`, `1.5` or `2.25`.
    pub fn parse(text: &str) -> Result<Self, CapacityLimitsError> {
        let wrong = || CapacityLimitsError::Overcommit(text.to_owned());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || whole.len() > 3 || fraction.len() > 2 {
            return Err(wrong());
        }
        let hundredths: u32 = format!("{fraction:0<2}").parse().map_err(|_| wrong())?;
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let percent = whole * 100 + hundredths;
        if (100..=10_000).contains(&percent) { Ok(Self(percent)) } else { Err(wrong()) }
    }
}

/// Parses a pool's share of its filesystem.
pub fn parse_size(text: &str) -> Result<Bytes, CapacityLimitsError> {
    Bytes::parse(text).map_err(|problem| CapacityLimitsError::Size(text.to_owned(), problem))
}

impl Default for Overcommit {
    fn default() -> Self {
        Self(100)
    }
}

/// A part of a number, rounded down, without ever wrapping.
fn percent_of(number: u64, percent: u32) -> u64 {
    let part = u128::from(number) * u128::from(percent) / 100;
    u64::try_from(part).unwrap_or(u64::MAX)
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes { pool, requested, available } => {
                let Available { allocatable, total, grantable, reserve, state } = available;
                write!(
                    f,
                    "pool {pool} has {} available, the claim requests {}: of {} it may grant {} and has \
                     granted {}, {} are free on its disk, and {} are reserved; request less, \
                     delete unneeded volumes, or use another pool or node",
                    About(*allocatable),
                    About(*requested),
                    About(*total),
                    About(*grantable),
                    About(state.granted),
                    About(state.free),
                    About(*reserve),
                )
            }
            Self::Inodes { pool, available } => {
                let State { inodes, free_inodes, .. } = available.state;
                write!(
                    f,
                    "pool {pool} has {free_inodes} of {inodes} inodes free, and {INODE_RESERVE}% are \
                     reserved for existing volumes; delete unneeded files, or use another pool or \
                     node"
                )
            }
        }
    }
}

/// A size for people: three digits or so.
struct About(u64);

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        let at = usize::try_from(self.0.checked_ilog2().unwrap_or(0) / 10).unwrap_or(0);
        let (Some(unit), Some(divisor)) = (UNITS.get(at), 1_u64.checked_shl(10 * at as u32)) else {
            return write!(f, "{}", self.0);
        };
        // Rounds down: the shown size is always available.
        let tenths = u128::from(self.0) * 10 / u128::from(divisor);
        match (tenths / 10, tenths % 10) {
            (whole, 0) => write!(f, "{whole}{unit}"),
            (whole, _) if whole >= 100 => write!(f, "{whole}{unit}"),
            (whole, tenth) => write!(f, "{whole}.{tenth}{unit}"),
        }
    }
}

#[cfg(test)]
mod tests;
