//! Strategies of participants: the zoo of protocol section 13.3.

mod user;

use poq_proto::PPM;
use rand::Rng;

use crate::random::normal;
use crate::world::{HONEST_NOISE, ModelClass, STANDARD, Scale};

pub use user::{Asks, Limits, TakesBack, User};

/// Raw score of the same polite sentence for every question, in micro-logits.
const CANNED_SCORE: i32 = -11_150_000;
/// Raw score of random bytes, in micro-logits: quality 0.
const JUNK_SCORE: i32 = -11_400_000;
/// Loss of half an answer compared with the whole one, in micro-logits.
const TRUNCATION_LOSS: i32 = 2_500_000;

/// How an evaluator chooses the score that it commits to. Qualities and shifts are in ppm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Evaluator {
    /// Computes the score.
    Honest,
    /// Always reports the same score, without computing.
    Constant(u32),
    /// Reports the average worth of answers, without computing.
    PriorMean,
    /// Reports a random score, without computing.
    Random,
    /// Repeats the last consensus, without computing.
    CopyLast,
    /// Computes the score and adds to it.
    Boost(u32),
    /// Computes the score and subtracts from it.
    Sabotage(u32),
    /// Computes the score and adds normal noise with this deviation.
    Noise(u32),
    /// Guesses the prior mean in this fraction (ppm) of the tasks and is honest in the others.
    Intermittent(u32),
    /// Commits to the prior mean without computing, waits for the others' reveals, and reveals only
    /// if its own distance earns something.
    RevealIfItPays,
    /// Belongs to a ring that colludes.
    Ring(Ring),
}

/// The strategy of a ring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ring {
    /// One member computes the score, the others repeat it.
    Share,
    /// All report the prior mean without computing.
    Lazy,
    /// Adds to the score if it has more than half of the seats, and is honest otherwise.
    Boost(u32),
    /// Praises the answers of its own inference node, whatever they are.
    Praise,
    /// Praises them if it has more than half of the seats, and is honest otherwise.
    PraiseWithMajority,
}

/// What an evaluator knows when it gets a seat.
pub struct Seat<'a> {
    /// The true raw score, for evaluators that compute it.
    pub truth: i32,
    /// Quality of the last settled task, in ppm.
    pub last_quality: Option<u32>,
    /// Mean quality of answers, in ppm.
    pub prior_mean: u32,
    /// Number of seats of the committee.
    pub seats: usize,
    /// Number of the ring's seats.
    pub ring_seats: usize,
    /// Whether it is the ring's first seat.
    pub leads_ring: bool,
    /// Whether the ring's own inference node answered.
    pub answered_by_accomplice: bool,
    /// Calibration of the evaluator model.
    pub scale: &'a Scale,
}

/// What an evaluator does with a seat.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// The score that it commits to, in micro-logits.
    pub raw: i32,
    /// Whether it paid for computing the true score.
    pub evaluated: bool,
    /// Whether it waits for the others and reveals only if that pays.
    pub waits: bool,
}

impl Evaluator {
    /// Its plan for a seat. `rng` depends only on run, task and evaluator.
    pub fn plan(&self, seat: &Seat<'_>, rng: &mut impl Rng) -> Plan {
        let scale = seat.scale;
        let honest = seat
            .truth
            .saturating_add(rng.gen_range(-HONEST_NOISE..=HONEST_NOISE));
        let computed = |raw| Plan {
            raw,
            evaluated: true,
            waits: false,
        };
        let guessed = |quality| Plan {
            raw: scale.raw(quality),
            evaluated: false,
            waits: false,
        };
        match *self {
            Self::Honest => computed(honest),
            Self::Constant(quality) => guessed(quality),
            Self::PriorMean => guessed(seat.prior_mean),
            Self::Random => guessed(rng.gen_range(0..=PPM as u32)),
            Self::CopyLast => guessed(seat.last_quality.unwrap_or(seat.prior_mean)),
            Self::Boost(by) => computed(scale.shifted(honest, by.into())),
            Self::Sabotage(by) => computed(scale.shifted(honest, -i64::from(by))),
            Self::Noise(deviation) => {
                let by = f64::from(deviation) * normal(rng);
                computed(scale.shifted(honest, by as i64))
            }
            Self::Intermittent(part) if rng.gen_range(0..PPM as u32) < part => {
                guessed(seat.prior_mean)
            }
            Self::Intermittent(_) => computed(honest),
            Self::RevealIfItPays => Plan {
                waits: true,
                ..guessed(seat.prior_mean)
            },
            Self::Ring(ring) => ring.plan(seat, honest),
        }
    }

    /// Whether it acts together with the others of its kind.
    pub fn is_ring(&self) -> bool {
        matches!(self, Self::Ring(_))
    }
}

impl Ring {
    fn plan(self, seat: &Seat<'_>, honest: i32) -> Plan {
        let scale = seat.scale;
        let computed = |raw| Plan {
            raw,
            evaluated: true,
            waits: false,
        };
        let free = |raw| Plan {
            raw,
            evaluated: false,
            waits: false,
        };
        let majority = 2 * seat.ring_seats > seat.seats;
        match self {
            Self::Share => Plan {
                raw: seat.truth,
                evaluated: seat.leads_ring,
                waits: false,
            },
            Self::Lazy => free(scale.raw(seat.prior_mean)),
            Self::Boost(by) if majority => computed(scale.shifted(honest, by.into())),
            Self::Praise if seat.answered_by_accomplice => free(scale.raw(PPM as u32)),
            Self::PraiseWithMajority if seat.answered_by_accomplice && majority => {
                free(scale.raw(PPM as u32))
            }
            Self::Boost(_) | Self::Praise | Self::PraiseWithMajority => computed(honest),
        }
    }
}

/// The strategy of an inference node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Inference {
    /// The answer of its model class.
    Honest(ModelClass),
    /// Half of that, at half the cost.
    Truncated,
    /// Always the same sentence, for nothing.
    Canned,
    /// Random bytes, for nothing.
    Junk,
    /// No answer.
    Silent,
    /// The texts with this name in a book ([`crate::texts::Book`]).
    Texts(&'static str),
}

/// A drawn answer with its true score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// In micro-logits.
    pub raw: i32,
    /// Length in bytes.
    pub bytes: usize,
    /// Its cost, in base units.
    pub cost: u64,
}

impl Inference {
    /// The answer, if the node's model would have reached `truth` (micro-logits). `None` if it
    /// stays silent, or if it sends texts, whose worth is not drawn.
    pub fn answer(&self, truth: impl Fn(&ModelClass) -> i32) -> Option<Drawn> {
        let bytes = STANDARD.answer_bytes;
        let free = |raw| Drawn {
            raw,
            bytes,
            cost: 0,
        };
        match self {
            Self::Honest(class) => Some(Drawn {
                raw: truth(class),
                bytes: class.answer_bytes,
                cost: class.cost,
            }),
            Self::Truncated => Some(Drawn {
                raw: truth(&STANDARD).saturating_sub(TRUNCATION_LOSS),
                bytes: bytes / 2,
                cost: STANDARD.cost / 2,
            }),
            Self::Canned => Some(free(CANNED_SCORE)),
            Self::Junk => Some(free(JUNK_SCORE)),
            Self::Silent | Self::Texts(_) => None,
        }
    }

    /// Whether its answers are not from the model that it registered.
    pub fn lies(&self) -> bool {
        *self != Self::Honest(STANDARD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::generator;

    fn seat(scale: &Scale) -> Seat<'_> {
        Seat {
            truth: -4_000_000,
            last_quality: Some(300_000),
            prior_mean: 600_000,
            seats: 5,
            ring_seats: 3,
            leads_ring: false,
            answered_by_accomplice: true,
            scale,
        }
    }

    fn quality(strategy: Evaluator, change: impl Fn(&mut Seat<'_>)) -> (u32, bool) {
        let scale = Scale::default();
        let mut seat = seat(&scale);
        change(&mut seat);
        let plan = strategy.plan(&seat, &mut generator(1, "test", 0, 0));
        (scale.quality(plan.raw), plan.evaluated)
    }

    fn near(found: (u32, bool), expected: u32, evaluated: bool) {
        assert!(
            found.0.abs_diff(expected) < 1_000,
            "{found:?}, not {expected}"
        );
        assert_eq!(found.1, evaluated);
    }

    #[test]
    fn evaluators_say_what_their_strategy_says() {
        // The true score is 720,000.
        for (strategy, expected, evaluated) in [
            (Evaluator::Honest, 720_000, true),
            (Evaluator::Constant(100_000), 100_000, false),
            (Evaluator::PriorMean, 600_000, false),
            (Evaluator::CopyLast, 300_000, false),
            (Evaluator::Boost(100_000), 820_000, true),
            (Evaluator::Sabotage(100_000), 620_000, true),
            (Evaluator::Intermittent(1_000_000), 600_000, false),
            (Evaluator::Intermittent(0), 720_000, true),
            (Evaluator::RevealIfItPays, 600_000, false),
        ] {
            near(quality(strategy, |_| ()), expected, evaluated);
        }
    }

    #[test]
    fn rings_say_what_they_agreed_on() {
        for (ring, expected, evaluated) in [
            (Ring::Share, 720_000, false),
            (Ring::Lazy, 600_000, false),
            (Ring::Boost(100_000), 820_000, true),
            (Ring::Praise, 1_000_000, false),
            (Ring::PraiseWithMajority, 1_000_000, false),
        ] {
            near(quality(Evaluator::Ring(ring), |_| ()), expected, evaluated);
        }
        let minority = |seat: &mut Seat<'_>| seat.ring_seats = 2;
        near(
            quality(Evaluator::Ring(Ring::Boost(100_000)), minority),
            720_000,
            true,
        );
        near(
            quality(Evaluator::Ring(Ring::PraiseWithMajority), minority),
            720_000,
            true,
        );
        near(
            quality(Evaluator::Ring(Ring::Praise), minority),
            1_000_000,
            false,
        );
        let leader = |seat: &mut Seat<'_>| seat.leads_ring = true;
        near(quality(Evaluator::Ring(Ring::Share), leader), 720_000, true);
        let stranger = |seat: &mut Seat<'_>| seat.answered_by_accomplice = false;
        near(
            quality(Evaluator::Ring(Ring::Praise), stranger),
            720_000,
            true,
        );
    }

    #[test]
    fn honest_scores_stay_within_the_noise() {
        let scale = Scale::default();
        let seat = seat(&scale);
        for task in 0..100 {
            let plan = Evaluator::Honest.plan(&seat, &mut generator(1, "test", task, 0));
            assert!(plan.raw.abs_diff(seat.truth) <= HONEST_NOISE.unsigned_abs());
        }
    }

    #[test]
    fn lazy_answers_cost_less_and_score_less() {
        let answer = |strategy: Inference| strategy.answer(|_| 0).unwrap();
        let honest = answer(Inference::Honest(STANDARD));
        for lazy in [Inference::Truncated, Inference::Canned, Inference::Junk] {
            let lazy = answer(lazy);
            assert!(lazy.cost < honest.cost && lazy.raw < honest.raw);
        }
        assert_eq!(Inference::Silent.answer(|_| 0), None);
        assert!(Inference::Junk.lies() && !Inference::Honest(STANDARD).lies());
    }
}
