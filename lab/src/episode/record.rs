//! What is known after a run.

use serde::Serialize;

/// A run's result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Episode {
    /// The inference nodes, then the evaluators, in the order of the cast.
    pub actors: Vec<Actor>,
    /// Every task, in the order of ids.
    pub tasks: Vec<Outcome>,
    /// Blocks of the run.
    pub blocks: u64,
    /// Tasks that were audited.
    pub audits: u32,
}

/// What a participant made of a run. Money is in base units.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Actor {
    /// Whether the experiment is about it.
    pub studied: bool,
    /// Seats or assignments.
    pub duties: u32,
    /// What its work cost.
    pub cost: u64,
    /// What it lost of its stake.
    pub slashed: u64,
    /// Change of balance and stake, minus cost.
    pub profit: i64,
}

/// How a task ended. Qualities are ppm.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// What the answer is truly worth.
    pub truth: u32,
    /// What the committee said; none without a quorum.
    pub settled: Option<u32>,
    /// What the chain paid by; none for a refunded task.
    pub paid_by: Option<u32>,
    /// The inference node that answered last, by its index in the cast.
    pub node: usize,
    /// Whether the inference node did not run the model that it registered.
    pub lie: bool,
    /// What the inference node got.
    pub payout: u64,
    /// What each evaluator revealed: its index in the cast, and the quality.
    pub revealed: Vec<(usize, u32)>,
}

impl Episode {
    /// Profit of the studied participants together, base units per task asked.
    pub fn studied_profit(&self) -> f64 {
        let profits = self.actors.iter().filter(|actor| actor.studied);
        let sum: i64 = profits.map(|actor| actor.profit).sum();
        sum as f64 / self.tasks.len().max(1) as f64
    }

    /// Part of the tasks whose committee was off the truth by more than `distance` (ppm).
    pub fn moved(&self, distance: u32) -> f64 {
        self.part(|task| {
            task.settled
                .map(|settled| settled.abs_diff(task.truth) > distance)
        })
    }

    /// Part of the tasks that were paid by a quality that is off the truth by more than `distance`.
    pub fn moved_at_payout(&self, distance: u32) -> f64 {
        self.part(|task| {
            task.paid_by
                .map(|paid_by| paid_by.abs_diff(task.truth) > distance)
        })
    }

    /// Mean payout for an answer that is not of the registered model, base units.
    pub fn payout_for_lies(&self) -> f64 {
        let lies: Vec<u64> = self
            .tasks
            .iter()
            .filter(|task| task.lie)
            .map(|task| task.payout)
            .collect();
        lies.iter().sum::<u64>() as f64 / lies.len().max(1) as f64
    }

    /// Part of the tasks that were refunded.
    pub fn refunded(&self) -> f64 {
        self.part(|task| Some(task.paid_by.is_none()))
    }

    fn part(&self, holds: impl Fn(&Outcome) -> Option<bool>) -> f64 {
        let answers: Vec<bool> = self.tasks.iter().filter_map(holds).collect();
        let yes = answers.iter().filter(|answer| **answer).count();
        yes as f64 / answers.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode() -> Episode {
        let task = |truth, settled, paid_by, lie, payout| Outcome {
            truth,
            settled,
            paid_by,
            lie,
            payout,
            ..Outcome::default()
        };
        let actor = |studied, profit| Actor {
            studied,
            profit,
            ..Actor::default()
        };
        Episode {
            actors: vec![actor(true, 100), actor(false, 7), actor(true, -20)],
            tasks: vec![
                task(500, Some(500), Some(500), false, 9),
                task(500, Some(900), Some(500), true, 0),
                task(500, Some(900), Some(900), true, 6),
                task(500, None, None, false, 0),
            ],
            blocks: 1,
            audits: 0,
        }
    }

    #[test]
    fn figures_are_of_the_tasks_that_they_are_about() {
        let episode = episode();
        assert_eq!(episode.studied_profit(), 20.0);
        assert_eq!(episode.moved(100), 2.0 / 3.0);
        assert_eq!(episode.moved_at_payout(100), 1.0 / 3.0);
        assert_eq!(episode.moved(400), 0.0);
        assert_eq!(episode.payout_for_lies(), 3.0);
        assert_eq!(episode.refunded(), 0.25);
    }
}
