//! Rate limits of the faucet.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// Limits per address and in total. Expired entries are removed.
#[derive(Debug)]
pub(super) struct Limits {
    /// Time between two gifts to one address.
    every: Duration,
    per_minute: usize,
    last: HashMap<String, Instant>,
    /// Gifts of the last minute, oldest first.
    recent: VecDeque<Instant>,
}

impl Limits {
    pub(super) fn new(every: Duration, per_minute: usize) -> Self {
        Self {
            every,
            per_minute,
            last: HashMap::new(),
            recent: VecDeque::new(),
        }
    }

    /// Counts a gift, or returns the time to wait.
    pub(super) fn take(&mut self, address: &str, now: Instant) -> Result<(), Duration> {
        self.forget(now);
        if let Some(last) = self.last.get(address) {
            return Err((*last + self.every).duration_since(now));
        }
        if self.recent.len() >= self.per_minute {
            let oldest = self.recent.front().copied().unwrap_or(now);
            return Err((oldest + MINUTE).duration_since(now));
        }
        self.last.insert(address.to_owned(), now);
        self.recent.push_back(now);
        Ok(())
    }

    /// Uncounts a gift that failed.
    pub(super) fn give_back(&mut self, address: &str) {
        self.last.remove(address);
    }

    fn forget(&mut self, now: Instant) {
        self.last.retain(|_, last| now < *last + self.every);
        while self
            .recent
            .front()
            .is_some_and(|gift| now >= *gift + MINUTE)
        {
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_waits_and_others_do_not() {
        let mut limits = Limits::new(Duration::from_secs(100), 10);
        let start = Instant::now();
        limits.take("a", start).unwrap();
        let later = start + Duration::from_secs(40);
        assert_eq!(limits.take("a", later), Err(Duration::from_secs(60)));
        limits.take("b", later).unwrap();
        limits.take("a", start + Duration::from_secs(100)).unwrap();
        assert_eq!(limits.last.len(), 2);
    }

    #[test]
    fn all_together_have_a_limit_too() {
        let mut limits = Limits::new(Duration::from_secs(1), 2);
        let start = Instant::now();
        limits.take("a", start).unwrap();
        limits.take("b", start + Duration::from_secs(10)).unwrap();
        let wait = limits.take("c", start + Duration::from_secs(20));
        assert_eq!(wait, Err(Duration::from_secs(40)));
        limits.take("c", start + MINUTE).unwrap();
        assert_eq!(limits.recent.len(), 2);
    }

    #[test]
    fn who_got_nothing_may_ask_again() {
        let mut limits = Limits::new(Duration::from_secs(100), 10);
        let now = Instant::now();
        limits.take("a", now).unwrap();
        limits.give_back("a");
        limits.take("a", now).unwrap();
    }
}
