//! Reads any bytes as a sequence of choices. After its end it returns the first choice.

/// What is left of the row.
pub(crate) struct Picks<'a>(std::slice::Iter<'a, u8>);

impl<'a> Picks<'a> {
    /// The choices that these bytes are.
    pub(crate) fn of(data: &'a [u8]) -> Self {
        Self(data.iter())
    }

    /// One of these.
    pub(crate) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        let at = self.0.next().map_or(0, |byte| usize::from(*byte));
        of[at % of.len()].clone()
    }

    /// Returns whether to.
    pub(crate) fn yes(&mut self) -> bool {
        self.one(&[false, true])
    }
}
