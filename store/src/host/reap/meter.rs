//! How much a step may do, and when it has done that.
//!
//! How long to rest between steps is for the caller to know.

use std::time::{Duration, Instant};

/// How much a step may do: it ends when either is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// With how many things it deals.
    pub things: usize,
    /// For how long it works. What is begun is brought to its end, and takes as long as it takes.
    pub time: Duration,
}

/// What is left of a budget.
#[derive(Debug)]
pub(in super::super) struct Meter {
    things: usize,
    // `None`: for ever.
    end: Option<Instant>,
}

impl Budget {
    /// Until it is done.
    pub const UNLIMITED: Self = Self { things: usize::MAX, time: Duration::MAX };
}

impl From<usize> for Budget {
    /// So many things, however long they take.
    fn from(things: usize) -> Self {
        Self { things, ..Self::UNLIMITED }
    }
}

impl From<Duration> for Budget {
    /// So long, whatever is done in it.
    fn from(time: Duration) -> Self {
        Self { time, ..Self::UNLIMITED }
    }
}

impl Meter {
    /// The whole budget, from now on.
    pub(in super::super) fn new(budget: Budget) -> Self {
        Self { things: budget.things, end: Instant::now().checked_add(budget.time) }
    }

    /// Takes one thing from it; `false` where nothing is left.
    pub(in super::super) fn allows_one_more(&mut self) -> bool {
        let Some(left) = self.things.checked_sub(1) else { return false };
        self.things = left;
        self.end.is_none_or(|end| Instant::now() < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(budget: impl Into<Budget>) -> usize {
        let mut meter = Meter::new(budget.into());
        (0..1_000).take_while(|_| meter.allows_one_more()).count()
    }

    #[test]
    fn a_step_ends_when_its_things_or_its_time_are_used_up() {
        assert_eq!(allowed(3), 3);
        assert_eq!(allowed(Duration::ZERO), 0);
        assert_eq!(allowed(Budget::UNLIMITED), 1_000);
        assert_eq!(allowed(Budget { things: 3, time: Duration::from_secs(3600) }), 3);
    }
}
