//! What API keys use at the moment, and their limits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::keys::Key;

const MINUTE: u64 = 60;

/// What the keys use. A restart forgets it, but not what they spent.
#[derive(Default)]
pub(crate) struct Usage(Mutex<HashMap<i64, Used>>);

#[derive(Default)]
struct Used {
    /// The minute that `requests` counts, since 1970.
    minute: u64,
    requests: u32,
    answers: u32,
    /// Sum of the highest prices of answers in progress, base units.
    held: u64,
}

/// Why a request must wait, or cannot be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Exceeded {
    /// Too many requests in this minute.
    #[error("the API key has had its requests for this minute; try again in {seconds} s")]
    Requests {
        /// Until the next minute.
        seconds: u32,
    },
    /// Too many answers at once.
    #[error("the API key has as many answers in progress as it may; wait for one to end")]
    Answers,
    /// The answer may cost more than is left of a budget.
    #[error("the API key has too little left of its budget for this request")]
    Budget,
}

/// What a key spent in the last day and the last 30 days, base units.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    /// In the last day.
    pub day: u64,
    /// In the last 30 days.
    pub month: u64,
}

/// How many requests a key may send in a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// In a minute.
    pub limit: u32,
    /// In the rest of this minute.
    pub remaining: u32,
    /// Seconds until the next minute.
    pub reset: u32,
}

impl Usage {
    /// How many requests a key may still send; None if they are not limited.
    pub(crate) fn rate(&self, key: &Key, now: u64) -> Option<Rate> {
        let limit = key.limits.requests_per_minute?;
        let keys = self.lock();
        let used = keys
            .get(&key.id)
            .filter(|used| used.minute == now / MINUTE)
            .map_or(0, |used| used.requests);
        Some(Rate {
            limit,
            remaining: limit.saturating_sub(used),
            reset: to_next_minute(now),
        })
    }

    /// What a key's answers in progress may cost, base units.
    pub(crate) fn held(&self, key: &Key) -> u64 {
        self.lock().get(&key.id).map_or(0, |used| used.held)
    }

    /// Counts a request that may cost up to `ceiling`, until the ticket is dropped.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub(crate) fn admit(
        self: &Arc<Self>,
        key: &Key,
        (ceiling, spent): (u64, Spent),
        now: u64,
    ) -> Result<Ticket, Exceeded> {
        let limits = &key.limits;
        let mut keys = self.lock();
        let used = keys.entry(key.id).or_default();
        if used.minute != now / MINUTE {
            (used.minute, used.requests) = (now / MINUTE, 0);
        }
        if limits
            .requests_per_minute
            .is_some_and(|most| used.requests >= most)
        {
            let seconds = to_next_minute(now);
            return Err(Exceeded::Requests { seconds });
        }
        if limits.streams.is_some_and(|most| used.answers >= most) {
            return Err(Exceeded::Answers);
        }
        let cost = used.held.saturating_add(ceiling);
        let budgets = [
            (limits.budget_day, spent.day),
            (limits.budget_month, spent.month),
        ];
        let is_over = |(budget, spent): &(Option<u64>, u64)| {
            budget.is_some_and(|budget| spent.saturating_add(cost) > budget)
        };
        if budgets.iter().any(is_over) {
            return Err(Exceeded::Budget);
        }
        used.requests += 1;
        used.answers += 1;
        used.held = cost;
        Ok(Ticket {
            usage: self.clone(),
            key: key.id,
            ceiling,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Used>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds, at least 1.
fn to_next_minute(now: u64) -> u32 {
    u32::try_from(MINUTE - now % MINUTE).unwrap_or(u32::MAX)
}

/// An answer in progress.
pub(crate) struct Ticket {
    usage: Arc<Usage>,
    key: i64,
    ceiling: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(used) = self.usage.lock().get_mut(&self.key) {
            used.answers = used.answers.saturating_sub(1);
            used.held = used.held.saturating_sub(self.ceiling);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::keys::Limits;

    fn key(limits: Limits) -> Key {
        Key {
            id: 1,
            limits,
            ..Key::default()
        }
    }

    #[test]
    fn requests_count_by_the_minute() {
        let usage = Arc::new(Usage::default());
        let key = key(Limits {
            requests_per_minute: Some(2),
            ..Limits::default()
        });
        let ask = |now| usage.admit(&key, (1, Spent::default()), now).map(drop);
        assert_eq!([ask(60), ask(61)], [Ok(()), Ok(())]);
        assert_eq!(ask(110), Err(Exceeded::Requests { seconds: 10 }));
        let rate = |now| {
            let rate = usage.rate(&key, now).unwrap();
            (rate.limit, rate.remaining, rate.reset)
        };
        assert_eq!(rate(110), (2, 0, 10));
        assert_eq!(rate(120), (2, 2, 60));
        assert_eq!(ask(120), Ok(()));
        assert_eq!(rate(121), (2, 1, 59));
        assert_eq!(usage.rate(&Key::default(), 121), None);
    }

    #[test]
    fn answers_count_until_they_end() {
        let usage = Arc::new(Usage::default());
        let key = key(Limits {
            streams: Some(1),
            ..Limits::default()
        });
        let first = usage.admit(&key, (1, Spent::default()), 0).unwrap();
        let second = usage.admit(&key, (1, Spent::default()), 0);
        assert_eq!(second.err(), Some(Exceeded::Answers));
        drop(first);
        assert!(usage.admit(&key, (1, Spent::default()), 0).is_ok());
    }

    #[test]
    fn a_budget_covers_what_is_spent_and_what_is_in_progress() {
        let usage = Arc::new(Usage::default());
        let limits = |budget_day, budget_month| Limits {
            budget_day,
            budget_month,
            ..Limits::default()
        };
        let spent = Spent { day: 50, month: 90 };
        for key in [key(limits(Some(100), None)), key(limits(None, Some(140)))] {
            let first = usage.admit(&key, (30, spent), 0).unwrap();
            let second = usage.admit(&key, (30, spent), 0);
            assert_eq!(second.err(), Some(Exceeded::Budget));
            assert!(usage.admit(&key, (20, spent), 0).is_ok());
            drop(first);
        }
    }
}
