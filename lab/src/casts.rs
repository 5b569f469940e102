//! The participants of experiments.

use crate::episode::{Cast, EvaluatorRole, InferenceRole, UserRole};
use crate::strategy::{Evaluator, Inference, User};
use crate::world::STANDARD;

/// Stake in base units: the default minimum of evaluators and inference nodes.
pub const STAKE: u64 = 100_000_000;
/// Number of honest inference nodes, enough that a liar leaves most tasks to others.
const INFERENCE_NODES: usize = 4;

/// An honest evaluator that is not studied.
pub fn honest_evaluator() -> EvaluatorRole {
    EvaluatorRole {
        strategy: Evaluator::Honest,
        stake: STAKE,
        studied: false,
    }
}

/// An honest inference node that is not studied.
pub fn honest_inference() -> InferenceRole {
    InferenceRole {
        strategy: Inference::Honest(STANDARD),
        stake: STAKE,
        studied: false,
        accomplice: false,
    }
}

/// `total` evaluators with equal stakes, the first `studied` of which follow `strategy`, and honest
/// inference nodes.
pub fn evaluators(strategy: Evaluator, studied: usize, total: usize) -> Cast {
    let role = |index| match index < studied {
        true => EvaluatorRole {
            strategy,
            studied: true,
            ..honest_evaluator()
        },
        false => honest_evaluator(),
    };
    Cast {
        evaluators: (0..total).map(role).collect(),
        inference: vec![honest_inference(); INFERENCE_NODES],
        ..Cast::default()
    }
}

/// [`evaluators`] with the first inference node also studied, following `inference`.
pub fn accomplices(
    strategy: Evaluator,
    inference: Inference,
    studied: usize,
    total: usize,
) -> Cast {
    let mut cast = evaluators(strategy, studied, total);
    cast.inference[0] = InferenceRole {
        strategy: inference,
        studied: true,
        accomplice: true,
        ..honest_inference()
    };
    cast
}

/// Honest evaluators, and one studied inference node among honest ones.
pub fn inference(strategy: Inference, evaluators_total: usize) -> Cast {
    let mut cast = evaluators(Evaluator::Honest, 0, evaluators_total);
    cast.inference[0] = InferenceRole {
        strategy,
        studied: true,
        ..honest_inference()
    };
    cast
}

/// Honest nodes, and a studied user who asks as much as the ordinary one.
pub fn user(strategy: User, evaluators_total: usize) -> Cast {
    Cast {
        users: vec![UserRole {
            strategy,
            percent: 100,
            studied: true,
        }],
        ..evaluators(Evaluator::Honest, 0, evaluators_total)
    }
}

/// The same user with its own honest inference node and `competitors` of that node; it asks
/// `percent` as much as the ordinary user.
pub fn operator(strategy: User, percent: u32, competitors: usize, evaluators_total: usize) -> Cast {
    let mut cast = user(strategy, evaluators_total);
    cast.users[0].percent = percent;
    cast.inference = vec![honest_inference(); competitors + 1];
    cast.inference[0].studied = true;
    cast
}

/// One operator's stake split into `parts` evaluators of the minimum stake, and the honest rest.
pub fn split(strategy: Evaluator, parts: usize, total: usize) -> Cast {
    evaluators(strategy, parts, total)
}

/// The single evaluator that [`split`] divides, and the same rest.
pub fn unsplit(parts: usize, total: usize) -> Cast {
    let mut cast = evaluators(Evaluator::Honest, 1, total + 1 - parts);
    cast.evaluators[0].stake = STAKE * parts as u64;
    cast
}

/// The same participants, all of them honest.
pub fn honest(cast: &Cast) -> Cast {
    let mut cast = cast.clone();
    for evaluator in &mut cast.evaluators {
        evaluator.strategy = Evaluator::Honest;
    }
    for node in &mut cast.inference {
        node.strategy = Inference::Honest(STANDARD);
    }
    for user in &mut cast.users {
        user.strategy = user.strategy.honest();
    }
    cast
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn honest_twins_differ_in_nothing_but_strategies() {
        let cast = accomplices(Evaluator::Random, Inference::Junk, 3, 12);
        let twin = honest(&cast);
        assert_eq!(
            twin,
            accomplices(Evaluator::Honest, Inference::Honest(STANDARD), 3, 12)
        );
        assert_eq!(
            cast.evaluators.iter().filter(|role| role.studied).count(),
            3
        );
    }

    #[test]
    fn splitting_moves_no_stake() {
        let stake = |cast: &Cast| cast.evaluators.iter().map(|role| role.stake).sum::<u64>();
        assert_eq!(
            stake(&split(Evaluator::Honest, 4, 12)),
            stake(&unsplit(4, 12))
        );
    }
}
