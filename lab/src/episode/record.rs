//! The results of a run.

use serde::Serialize;

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Episode {
    /// The inference nodes, then the evaluators, then the users besides the ordinary one, in the
    /// order of the cast.
    pub actors: Vec<Actor>,
    /// Number of the ordinary user's questions.
    pub questions: u32,
    /// Every task, in the order of ids.
    pub tasks: Vec<Outcome>,
    /// Number of blocks.
    pub blocks: u64,
    /// Number of audited tasks.
    pub audits: u32,
}

/// The kind of a participant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Part {
    /// An inference node.
    #[default]
    Inference,
    /// An evaluator.
    Evaluator,
    /// A user.
    User,
}

/// A participant's result. Money is in base units.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Actor {
    /// Its kind.
    pub part: Part,
    /// Whether it is studied.
    pub studied: bool,
    /// Number of seats or assignments.
    pub duties: u32,
    /// Cost of its work.
    pub cost: u64,
    /// Amount slashed from its stake.
    pub slashed: u64,
    /// Worth of the answers to its questions.
    pub gained: u64,
    /// Change of balance and stake, minus cost, plus the worth of answers.
    pub profit: i64,
}

/// How a task ended. Qualities are in ppm.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// The answer's true quality.
    pub truth: u32,
    /// The committee's quality; `None` without a quorum.
    pub settled: Option<u32>,
    /// The quality that was paid; `None` for a refunded task.
    pub paid_by: Option<u32>,
    /// The last inference node that answered, by index in the cast.
    pub node: usize,
    /// Whether its user cancelled it.
    pub taken_back: bool,
    /// Whether the inference node did not run the model that it registered.
    pub lie: bool,
    /// Payout of the inference node.
    pub payout: u64,
    /// Each evaluator's reveal: its index in the cast, and the quality.
    pub revealed: Vec<(usize, u32)>,
}

impl Episode {
    /// Total profit of the studied participants, in base units per question of the ordinary user.
    pub fn studied_profit(&self) -> f64 {
        self.sum(|actor| actor.studied.then_some(actor.profit))
    }

    /// Payments of studied users, in the same units.
    pub fn spent(&self) -> f64 {
        let asks = |actor: &Actor| actor.studied && actor.part == Part::User;
        self.sum(|actor| asks(actor).then(|| actor.gained as i64 - actor.profit))
    }

    /// Cancellations per question of the ordinary user.
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

    /// Fraction of the tasks whose committee was off the truth by more than `distance` (ppm).
    pub fn moved(&self, distance: u32) -> f64 {
        self.part(|task| {
            task.settled
                .map(|settled| settled.abs_diff(task.truth) > distance)
        })
    }

    /// Fraction of the tasks whose paid quality was off the truth by more than `distance`.
    pub fn moved_at_payout(&self, distance: u32) -> f64 {
        self.part(|task| {
            task.paid_by
                .map(|paid_by| paid_by.abs_diff(task.truth) > distance)
        })
    }

    /// Mean payout for an answer that is not from the registered model, in base units.
    pub fn payout_for_lies(&self) -> f64 {
        let lies: Vec<u64> = self
            .tasks
            .iter()
            .filter(|task| task.lie)
            .map(|task| task.payout)
            .collect();
        lies.iter().sum::<u64>() as f64 / lies.len().max(1) as f64
    }

    /// Fraction of the tasks that were refunded, without cancelled ones.
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
