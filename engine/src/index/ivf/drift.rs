//! When centres should be made anew.

use super::{FIRST_TRAINING, Ivf};

/// What was known at the last training, and what came since.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Trained {
    pub(super) rows: u64,
    /// Sum of the squared distances of rows to their centres.
    pub(super) error: f64,
    pub(super) imbalance: f64,
    pub(super) added: u64,
    pub(super) added_error: f64,
}

/// How far the rows have moved away from the centres that were made for them. From the rows alone, hence the same in every copy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// Rows now, for each row at the last training. 1 is no change.
    pub growth: f64,
    /// By how much the mean squared distance to the centres is greater for rows that came since, weighed by their share of all rows.
    /// 0 is no change.
    pub error: f64,
    /// How much longer the list of a row is now than it was: 1 is no change, 2 means twice as many rows to read.
    pub imbalance: f64,
}

impl Drift {
    /// Whether new centres would pay: 4 times more or fewer rows (lists are half as many as they should be), distances greater by
    /// a tenth, or lists half as long again.
    pub fn needs_training(&self) -> bool {
        self.growth > 4.0 || self.growth < 0.25 || self.error > 0.1 || self.imbalance > 1.5
    }
}

impl Ivf {
    /// How far the rows have moved since the last training. Cost: O(number of lists).
    pub fn drift(&self) -> Drift {
        let Trained { rows, error, imbalance, added, added_error } = self.trained;
        if self.lists.len() <= 1 {
            return Drift { growth: 1.0, error: 0.0, imbalance: 1.0 };
        }
        let (rows, now) = (rows.max(1) as f64, self.len().max(1) as f64);
        let mean = error / rows;
        let more = if added == 0 || mean == 0.0 { 0.0 } else { added_error / added as f64 / mean - 1.0 };
        let share = (added as f64 / now).min(1.0);
        let imbalance = if self.len() < FIRST_TRAINING { 1.0 } else { self.imbalance() / imbalance.max(1.0) };
        Drift { growth: now / rows, error: more.max(0.0) * share, imbalance }
    }

    /// The mean length of a row's list, for each row of an average list: 1 when all lists are equally long.
    fn imbalance(&self) -> f64 {
        let squares: f64 = self.lists.iter().map(|list| (list.len() as f64) * (list.len() as f64)).sum();
        let rows = self.len().max(1) as f64;
        squares * self.lists.len() as f64 / (rows * rows)
    }

    pub(super) fn note_training(&mut self, error: f64) {
        let (rows, imbalance) = (self.len() as u64, self.imbalance());
        self.trained = Trained { rows, error, imbalance, added: 0, added_error: 0.0 };
    }
}
