//! What is known after a run.

use serde::Serialize;

/// A run's result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Episode {
    /// The inference nodes, then the evaluators, then the users beside the ordinary one, in the
    /// order of the cast.
    pub actors: Vec<Actor>,
    /// Questions of the ordinary user.
    pub questions: u32,
    /// Every task, in the order of ids.
    pub tasks: Vec<Outcome>,
    /// Blocks of the run.
    pub blocks: u64,
    /// Tasks that were audited.
    pub audits: u32,
}

/// What a participant is there for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Part {
    /// Answers.
    #[default]
    Inference,
    /// Scores.
    Evaluator,
    /// Asks.
    User,
}

/// What a participant made of a run. Money is in base units.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Actor {
    /// What it is there for.
    pub part: Part,
    /// Whether the experiment is about it.
    pub studied: bool,
    /// Seats or assignments.
    pub duties: u32,
    /// What its work cost.
    pub cost: u64,
    /// What it lost of its stake.
    pub slashed: u64,
    /// What the answers to its questions were worth to it.
    pub gained: u64,
    /// Change of balance and stake, minus cost, plus what it gained.
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
    /// Whether it was taken back by who asked.
    pub taken_back: bool,
    /// Whether the inference node did not run the model that it registered.
    pub lie: bool,
    /// What the inference node got.
    pub payout: u64,
    /// What each evaluator revealed: its index in the cast, and the quality.
    pub revealed: Vec<(usize, u32)>,
}

impl Episode {
    /// Profit of the studied participants together, base units per question of the ordinary user.
    pub fn studied_profit(&self) -> f64 {
        self.sum(|actor| actor.studied.then_some(actor.profit))
    }

    /// What studied users paid, in the same units.
    pub fn spent(&self) -> f64 {
        let asks = |actor: &Actor| actor.studied && actor.part == Part::User;
        self.sum(|actor| asks(actor).then(|| actor.gained as i64 - actor.profit))
    }

    /// How often a question was taken back, for each of the ordinary user.
    pub fn taken_back(&self) -> f64 {
        let tasks = self.tasks.iter().filter(|task| task.taken_back);
        tasks.count() as f64 / f64::from(self.questions.max(1))
    }

    /// Profit of the inference nodes that are not studied, in the same units.
    pub fn competitors_profit(&self) -> f64 {
        let competes = |actor: &Actor| !actor.studied && actor.part == Part::Inference;
        self.sum(|actor| competes(actor).then_some(actor.profit))
    }

    fn sum(&self, figure: impl Fn(&Actor) -> Option<i64>) -> f64 {
        let sum: i64 = self.actors.iter().filter_map(figure).sum();
        sum as f64 / f64::from(self.questions.max(1))
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

    /// Part of the tasks that were refunded, without those that were taken back.
    pub fn refunded(&self) -> f64 {
        self.part(|task| (!task.taken_back).then_some(task.paid_by.is_none()))
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
        let actor = |part, studied, profit| Actor {
            part,
            studied,
            profit,
            ..Actor::default()
        };
        let user = Actor {
            gained: 80,
            ..actor(Part::User, true, 20)
        };
        Episode {
            actors: vec![
                actor(Part::Inference, true, 100),
                actor(Part::Inference, false, 8),
                actor(Part::Evaluator, false, 7),
                actor(Part::Evaluator, true, -20),
                user,
            ],
            questions: 4,
            tasks: vec![
                task(500, Some(500), Some(500), false, 9),
                task(500, Some(900), Some(500), true, 0),
                task(500, Some(900), Some(900), true, 6),
                task(500, None, None, false, 0),
                Outcome {
                    taken_back: true,
                    ..Outcome::default()
                },
            ],
            blocks: 1,
            audits: 0,
        }
    }

    #[test]
    fn figures_are_of_the_tasks_that_they_are_about() {
        let episode = episode();
        assert_eq!(episode.studied_profit(), 25.0);
        assert_eq!((episode.spent(), episode.competitors_profit()), (15.0, 2.0));
        assert_eq!(episode.taken_back(), 0.25);
        assert_eq!(episode.moved(100), 2.0 / 3.0);
        assert_eq!(episode.moved_at_payout(100), 1.0 / 3.0);
        assert_eq!(episode.moved(400), 0.0);
        assert_eq!(episode.payout_for_lies(), 3.0);
        assert_eq!(episode.refunded(), 0.25);
    }
}
