//! Strategies in sessions (protocol section 16).

use crate::random::generator;
use crate::strategy::{Drawn, Inference};
use crate::world::{ModelClass, STANDARD, World, truth};
use rand::Rng;

/// Answers that a node serves to a user before it stops, if they all earn too little.
pub(super) const PATIENCE: u32 = 8;
/// Mean earned part, percent, below which it stops: about c / (N · P).
const LEAST_PERCENT: u32 = 43;

/// What a session's node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// Its model's answers.
    Honest,
    /// Random bytes, for nothing.
    Junk,
    /// Half of every answer, at half the cost.
    Half,
    /// Junk in the first answers, so many percent.
    JunkFirst(u32),
    /// Junk in so many percent of the answers, at random.
    JunkAtRandom(u32),
    /// One junk answer of the highest price in the middle of its model's.
    LargeJunk,
    /// Its model's answers; it computes their scores and stops after some that earn little.
    Watching,
}

/// What the node puts on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settling {
    /// The newest voucher, and every drawn leaf.
    Newest,
    /// An older voucher, without the last percent of the answers.
    Older(u32),
    /// The newest voucher, and the drawn leaves that are better than half of the full pay.
    Withholding,
    /// The newest voucher acknowledges all but so many last answers; the node claims these.
    ClaimingServed(u32),
    /// So many last requests were not served; the node claims them.
    ClaimingUnserved(u32),
    /// So many last requests were not served; the node claims nothing.
    Unserved(u32),
}

/// The session's user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// Asks what it wants to know.
    Plain,
    /// The same, worded so that the judge scores every answer low.
    LowPrompts,
    /// Wants no answers: it is the node's accomplice.
    Accomplice,
}

/// Evaluators that act together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    /// Each computes its score.
    Honest,
    /// All praise the node's junk.
    Praise,
    /// All praise it if they have the majority of the committee.
    PraiseWithMajority,
    /// All stay silent about the node's junk if that denies the committee its quorum.
    Silent,
}

/// An answer in a log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Answer {
    /// Score by the judge, length and cost.
    pub drawn: Drawn,
    /// Its worth for the user, base units.
    pub worth: u64,
    /// Whether it is junk.
    pub junk: bool,
}

/// The answers of one session.
pub(super) struct Answering<'a> {
    /// The node's model.
    pub class: &'a ModelClass,
    /// Prices.
    pub world: &'a World,
    /// Quality (ppm) of a raw score.
    pub quality: &'a dyn Fn(i32) -> u32,
    /// Highest price of an order.
    pub max_price: u64,
    /// Number of ordered answers.
    pub ordered: u32,
    /// The run's seed.
    pub seed: u64,
    /// The session.
    pub session: u64,
    /// Number of the session's first question in the run, which seeds its answer.
    pub first: u64,
}

impl Answering<'_> {
    /// All answers of a session.
    pub(super) fn answers(&self, node: Node, user: User) -> Vec<Answer> {
        let mut answers = Vec::new();
        let mut earned = 0;
        for number in 0..self.ordered {
            let answer = self.answer(node, user, number);
            earned += self.full_percent(&answer);
            answers.push(answer);
            let stops = number + 1 == PATIENCE && earned < LEAST_PERCENT * PATIENCE;
            if node == Node::Watching && stops {
                break;
            }
        }
        answers
    }

    fn answer(&self, node: Node, user: User, number: u32) -> Answer {
        let task = self.first + u64::from(number);
        let of = |strategy: Inference| strategy.answer(|class| truth(class, self.seed, task));
        let junk = match node {
            Node::Junk => true,
            Node::JunkFirst(percent) => 100 * number < percent * self.ordered,
            Node::JunkAtRandom(percent) => {
                let mut rng = generator(self.seed, "junk", self.session, number.into());
                rng.gen_range(0..100) < percent
            }
            Node::LargeJunk => number == self.ordered / 2,
            Node::Honest | Node::Half | Node::Watching => false,
        };
        let strategy = match (junk, node) {
            (true, _) => Inference::Junk,
            (_, Node::Half) => Inference::Truncated,
            _ => Inference::Honest(*self.class),
        };
        let mut drawn = of(strategy).unwrap_or(Drawn {
            raw: 0,
            bytes: 0,
            cost: 0,
        });
        let worth = match user {
            User::Accomplice => 0,
            User::Plain | User::LowPrompts => self.world.worth((self.quality)(drawn.raw)),
        };
        if user == User::LowPrompts {
            drawn.raw = Inference::Junk.answer(|_| 0).map_or(0, |junk| junk.raw);
        }
        if junk && node == Node::LargeJunk {
            drawn.bytes = self.longest();
        }
        Answer { drawn, worth, junk }
    }

    /// Bytes of the dearest answer.
    fn longest(&self) -> usize {
        let bytes = self
            .max_price
            .saturating_sub(self.world.base_price)
            .checked_div(self.world.price_per_answer_byte);
        bytes.map_or(STANDARD.answer_bytes, |bytes| bytes as usize)
    }

    /// Percent of the full pay that an answer earns.
    fn full_percent(&self, answer: &Answer) -> u32 {
        let quality = (self.quality)(answer.drawn.raw);
        let full = 2 * self.world.price();
        (100 * self.world.worth(quality) / full.max(1)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Scale;

    fn answers(node: Node, user: User) -> Vec<Answer> {
        let scale = Scale::default();
        let answering = Answering {
            class: &STANDARD,
            world: &World::default(),
            quality: &|raw| scale.quality(raw),
            max_price: 2_000_000,
            ordered: 40,
            seed: 1,
            session: 1,
            first: 10_000,
        };
        answering.answers(node, user)
    }

    #[test]
    fn junk_is_where_its_strategy_puts_it() {
        let junk = |node| -> Vec<usize> {
            let answers = answers(node, User::Plain);
            let junk = answers.iter().enumerate().filter(|(_, answer)| answer.junk);
            junk.map(|(number, _)| number).collect()
        };
        assert_eq!(junk(Node::JunkFirst(25)), (0..10).collect::<Vec<_>>());
        assert_eq!(junk(Node::Junk).len(), 40);
        assert_eq!(junk(Node::LargeJunk), [20]);
        let random = junk(Node::JunkAtRandom(50));
        assert!((5..35).contains(&random.len()) && random != junk(Node::JunkFirst(50)));
    }

    #[test]
    fn the_dearest_answer_has_the_highest_price() {
        let answers = answers(Node::LargeJunk, User::Plain);
        let bytes = answers[20].drawn.bytes as u64;
        let world = World::default();
        let price = world.base_price + world.price_per_answer_byte * bytes;
        assert!((1_999_950..=2_000_000).contains(&price), "{price}");
    }

    #[test]
    fn low_prompts_hide_the_worth_of_answers_from_the_judge() {
        let (plain, low) = (
            answers(Node::Honest, User::Plain),
            answers(Node::Honest, User::LowPrompts),
        );
        for (plain, low) in plain.iter().zip(&low) {
            assert_eq!((plain.worth, plain.drawn.cost), (low.worth, low.drawn.cost));
        }
        // The judge takes all of them for junk.
        let raw = |answers: &[Answer]| {
            answers
                .iter()
                .map(|one| i64::from(one.drawn.raw))
                .sum::<i64>()
        };
        assert!(low.iter().all(|one| one.drawn.raw == low[0].drawn.raw));
        assert!(raw(&low) < raw(&plain));
    }

    #[test]
    fn a_node_that_watches_stops_soon_or_never() {
        assert_eq!(answers(Node::Watching, User::Plain).len(), 40);
        assert_eq!(answers(Node::Watching, User::LowPrompts).len(), 8);
    }
}
