//! The mean of the last values, by which nodes and gateways leave each other.

use std::collections::VecDeque;

/// The last values, ppm.
#[derive(Clone, Debug, Default)]
pub struct Recent(VecDeque<u32>);

impl Recent {
    /// Values over which the mean is taken.
    pub const LAST: usize = 8;

    /// Takes in a value, and returns the mean of the last [`Self::LAST`], rounded down, once there are so
    /// many.
    pub fn add(&mut self, value: u32) -> Option<u32> {
        self.0.push_back(value);
        if self.0.len() > Self::LAST {
            self.0.pop_front();
        }
        let sum: u64 = self.0.iter().map(|value| u64::from(*value)).sum();
        let mean = u32::try_from(sum / Self::LAST as u64).unwrap_or(u32::MAX);
        (self.0.len() == Self::LAST).then_some(mean)
    }

    /// How many values there are, at most [`Self::LAST`].
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_judged_by_its_last_answers() {
        let mut last = Recent::default();
        for _ in 0..Recent::LAST - 1 {
            assert_eq!(last.add(100), None);
        }
        assert_eq!(last.add(900), Some(200));
        assert_eq!(last.add(900), Some(300));
        for _ in 0..Recent::LAST {
            last.add(u32::MAX);
        }
        assert_eq!(last.add(u32::MAX), Some(u32::MAX));
        assert_eq!(last.count(), Recent::LAST);
    }
}
