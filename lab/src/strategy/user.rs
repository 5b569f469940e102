//! Strategies of users: what they ask, and what they cancel.

use poq_app::modules::params::limits::MIN_ANSWER_BYTES;

use super::{Drawn, JUNK_SCORE, TRUNCATION_LOSS};
use crate::world::World;

/// The strategy of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// What it asks.
    pub asks: Asks,
    /// What it cancels.
    pub takes_back: TakesBack,
}

/// What a user asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Nothing.
    Nothing,
    /// Real questions, without a limit.
    Plainly,
    /// The same with the highest `min_quality` that the chain accepts.
    HighestLimit,
    /// The same with the smallest `max_answer_bytes` that the chain accepts.
    ShortestAnswer,
    /// Questions that no node can answer well and that are cheap to ask: their answers are short,
    /// but allowed to be long, so that they count in a reputation.
    Hopeless,
}

/// The questions that a user cancels once a node is drawn for them; it asks them again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakesBack {
    /// None.
    Nothing,
    /// Those for which its own node is drawn.
    Own,
    /// Those for which another node is drawn.
    Others,
}

/// The terms of a question that its user chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In bytes.
    pub max_answer_bytes: u32,
    /// In ppm.
    pub min_quality: u32,
}

impl User {
    /// Asks real questions and waits for the answers.
    pub const HONEST: Self = Self {
        asks: Asks::Plainly,
        takes_back: TakesBack::Nothing,
    };

    /// Its behaviour without a strategy: a user that wants no answers asks nothing.
    pub fn honest(self) -> Self {
        let asks = match self.asks {
            Asks::Nothing | Asks::Hopeless => Asks::Nothing,
            Asks::Plainly | Asks::HighestLimit | Asks::ShortestAnswer => Asks::Plainly,
        };
        Self {
            asks,
            ..Self::HONEST
        }
    }
}

impl TakesBack {
    /// Whether it cancels a question for which its own node, or another one, is drawn.
    pub fn applies(self, own: bool) -> bool {
        match self {
            Self::Nothing => false,
            Self::Own => own,
            Self::Others => !own,
        }
    }
}

impl Asks {
    /// The terms of a question if answers may usually have `max_answer_bytes`.
    pub fn limits(self, world: &World, max_answer_bytes: u32) -> Limits {
        match self {
            Self::Nothing | Self::Plainly | Self::Hopeless => Limits {
                max_answer_bytes,
                min_quality: 0,
            },
            Self::HighestLimit => Limits {
                max_answer_bytes,
                min_quality: world.quality_target,
            },
            Self::ShortestAnswer => Limits {
                max_answer_bytes: MIN_ANSWER_BYTES,
                min_quality: 0,
            },
        }
    }

    /// The effect on the answer that a node would have given to a plain question: each halving of
    /// its length costs the quality of half an answer, and saves the node half of the work.
    pub fn bend(self, plain: Drawn) -> Drawn {
        let short = shortened(plain);
        match self {
            Self::Nothing | Self::Plainly | Self::HighestLimit => plain,
            Self::ShortestAnswer => short,
            Self::Hopeless => Drawn {
                raw: JUNK_SCORE,
                ..short
            },
        }
    }

    /// Whether the user needs the answers.
    pub fn wants_answers(self) -> bool {
        self != Self::Hopeless
    }
}

fn shortened(answer: Drawn) -> Drawn {
    let bytes = answer.bytes.min(MIN_ANSWER_BYTES as usize);
    let halvings = (answer.bytes.max(1) as f64 / bytes.max(1) as f64).log2();
    let lost = f64::from(TRUNCATION_LOSS) * halvings;
    Drawn {
        raw: answer.raw.saturating_sub(lost.round() as i32),
        bytes,
        cost: answer.cost * bytes as u64 / answer.bytes.max(1) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::STANDARD;

    const ANSWER: Drawn = Drawn {
        raw: 1_000_000,
        bytes: STANDARD.answer_bytes,
        cost: STANDARD.cost,
    };

    #[test]
    fn limits_bend_answers() {
        assert_eq!(Asks::Plainly.bend(ANSWER), ANSWER);
        assert_eq!(Asks::HighestLimit.bend(ANSWER), ANSWER);
        // 512 bytes are halved three times.
        let short = Asks::ShortestAnswer.bend(ANSWER);
        assert_eq!((short.raw, short.bytes), (-6_500_000, 64));
        assert_eq!(short.cost, STANDARD.cost / 8);
        let hopeless = Asks::Hopeless.bend(ANSWER);
        assert_eq!((hopeless.raw, hopeless.bytes), (JUNK_SCORE, 64));
    }

    #[test]
    fn who_wants_no_answers_asks_nothing_if_honest() {
        let user = |asks| User {
            asks,
            takes_back: TakesBack::Own,
        };
        assert_eq!(user(Asks::HighestLimit).honest(), User::HONEST);
        let silent = user(Asks::Hopeless).honest();
        assert_eq!(silent.asks, Asks::Nothing);
        assert_eq!(silent.honest(), silent);
    }

    #[test]
    fn questions_go_back_by_whose_node_is_drawn() {
        assert!(TakesBack::Own.applies(true) && !TakesBack::Own.applies(false));
        assert!(TakesBack::Others.applies(false) && !TakesBack::Others.applies(true));
        assert!(!TakesBack::Nothing.applies(true) && !TakesBack::Nothing.applies(false));
    }
}
