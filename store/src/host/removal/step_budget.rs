//! Limits how much one step does. The caller decides how long to pause between steps.

use std::time::{Duration, Instant};

/// The limits of a step. It ends when either is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The number of entries to handle.
    pub entries: usize,
    /// The working time. An operation that has started is completed, however long it takes.
    pub time: Duration,
}

/// The rest of a budget during a step.
#[derive(Debug)]
pub(in super::super) struct StepBudget {
    entries: usize,
    // `None`: no deadline.
    end: Option<Instant>,
}

impl Budget {
    /// A budget without limits.
    pub const UNLIMITED: Self = Self { entries: usize::MAX, time: Duration::MAX };
}

impl From<usize> for Budget {
    /// Limits the number of entries, not the time.
    fn from(entries: usize) -> Self {
        Self { entries, ..Self::UNLIMITED }
    }
}

impl From<Duration> for Budget {
    /// Limits the time, not the number of entries.
    fn from(time: Duration) -> Self {
        Self { time, ..Self::UNLIMITED }
    }
}

impl StepBudget {
    /// Starts the step now.
    pub(in super::super) fn new(budget: Budget) -> Self {
        Self { entries: budget.entries, end: Instant::now().checked_add(budget.time) }
    }

    /// Takes one entry from the budget. Returns `false` if the budget is used up.
    pub(in super::super) fn take(&mut self) -> bool {
        let Some(left) = self.entries.checked_sub(1) else { return false };
        self.entries = left;
        self.end.is_none_or(|end| Instant::now() < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(budget: impl Into<Budget>) -> usize {
        let mut left = StepBudget::new(budget.into());
        (0..1_000).take_while(|_| left.take()).count()
    }

    #[test]
    fn a_step_ends_when_its_entries_or_its_time_are_used_up() {
        assert_eq!(allowed(3), 3);
        assert_eq!(allowed(Duration::ZERO), 0);
        assert_eq!(allowed(Budget::UNLIMITED), 1_000);
        assert_eq!(allowed(Budget { entries: 3, time: Duration::from_secs(3600) }), 3);
    }
}
