//! Divides windows into batches, and runs batches on all sessions in parallel.

use std::sync::{Mutex, PoisonError};
use std::thread;

use tracing::warn;

/// Windows that one model scores together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The model's index.
    pub model: usize,
    /// Indexes of the windows.
    pub windows: Vec<usize>,
    /// Tokens of its longest window.
    width: usize,
}

impl Batch {
    /// Batches of at most `budget` tokens for windows of these models and lengths, shortest windows
    /// first, so that a short answer does not wait for a long one.
    pub fn plan(windows: &[(usize, usize)], models: usize, budget: usize) -> Vec<Self> {
        let mut batches = Vec::new();
        for model in 0..models {
            let own: Vec<usize> = (0..windows.len())
                .filter(|window| windows[*window].0 == model)
                .collect();
            let lengths: Vec<usize> = own.iter().map(|window| windows[*window].1).collect();
            batches.extend(plan(&lengths, budget).into_iter().map(|batch| Self {
                model,
                width: batch.iter().map(|at| lengths[*at]).max().unwrap_or(0),
                windows: batch.into_iter().map(|at| own[at]).collect(),
            }));
        }
        batches.sort_by_key(|batch| batch.width);
        batches
    }
}

/// Calls `score(session, batch)` for every batch, in order, on all `sessions` in parallel.
pub fn in_lanes(batches: Vec<Batch>, sessions: usize, score: impl Fn(usize, Batch) + Sync) {
    let lanes = sessions.min(batches.len());
    let batches = Mutex::new(batches.into_iter());
    let next = || {
        let mut batches = batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.next()
    };
    let run = |session| {
        while let Some(batch) = next() {
            score(session, batch);
        }
    };
    thread::scope(|scope| {
        for session in 1..lanes {
            let lane = thread::Builder::new().name(format!("poq-score-{session}"));
            // The other lanes do its work.
            if let Err(error) = lane.spawn_scoped(scope, move || run(session)) {
                warn!(%error, "cannot start a thread for a session");
            }
        }
        run(0);
    });
}

/// Splits windows of the given lengths (tokens) into batches, shortest windows first, to minimize
/// padding. No batch exceeds `budget` tokens after padding, except for a single window that is
/// longer by itself. Returns the indexes of each batch's windows.
fn plan(lengths: &[usize], budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|index| lengths[*index]);
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for index in order {
        // Windows come in ascending order, so this one is the longest of its batch.
        match batches.last_mut() {
            Some(batch) if (batch.len() + 1) * lengths[index] <= budget => batch.push(index),
            _ => batches.push(vec![index]),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_batch_is_of_one_model_and_short_ones_come_first() {
        let batches = Batch::plan(&[(0, 9), (1, 8), (1, 300), (0, 10), (1, 7)], 2, 100);
        let planned: Vec<_> = batches
            .iter()
            .map(|batch| (batch.model, &*batch.windows))
            .collect();
        assert_eq!(planned, [(1, &[4, 1][..]), (0, &[0, 3][..]), (1, &[2][..])]);
    }

    #[test]
    fn every_batch_is_done_once_and_sessions_work_at_the_same_time() {
        let lengths: Vec<(usize, usize)> = (0..20).map(|length| (0, 10 + length)).collect();
        let both = std::sync::Barrier::new(2);
        let done = Mutex::new(Vec::new());
        in_lanes(Batch::plan(&lengths, 1, 1), 2, |session, batch| {
            // Continues only once the other session has a batch too.
            both.wait();
            done.lock().unwrap().push((batch.windows[0], session));
        });
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        assert!(done.iter().map(|(window, _)| *window).eq(0..20));
        assert!(done.iter().any(|(_, session)| *session == 1));
    }

    #[test]
    fn there_may_be_nothing_to_do() {
        in_lanes(Vec::new(), 2, |_, _| panic!("no batch"));
    }

    #[test]
    fn like_lengths_share_a_batch() {
        let batches = plan(&[10, 500, 12, 11, 480], 1000);
        assert_eq!(batches, [vec![0, 3, 2], vec![4, 1]]);
    }

    #[test]
    fn a_window_over_the_budget_is_alone() {
        assert_eq!(plan(&[512, 5], 100), [vec![1], vec![0]]);
        assert!(plan(&[], 100).is_empty());
    }

    proptest! {
        #[test]
        fn every_window_is_in_one_batch_within_the_budget(
            lengths in proptest::collection::vec(5_usize..=512, 0..100),
            budget in 1_usize..5000,
        ) {
            let batches = plan(&lengths, budget);
            let mut seen: Vec<usize> = batches.iter().flatten().copied().collect();
            seen.sort_unstable();
            prop_assert!(seen.into_iter().eq(0..lengths.len()));
            for batch in batches {
                let longest = batch.iter().map(|index| lengths[*index]).max().unwrap();
                prop_assert!(batch.len() == 1 || batch.len() * longest <= budget);
            }
        }
    }
}
