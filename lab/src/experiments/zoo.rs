//! Each strategy of protocol section 13.3 compared with its honest twin.

use serde::Serialize;

use super::{Case, Comparison, Effort, run_all};
use crate::casts::{accomplices, evaluators, honest, inference, operator, split, unsplit, user};
use crate::episode::{Cast, Setting};
use crate::error::Result;
use crate::strategy::{Asks, Evaluator, Inference, Ring, TakesBack, User};
use crate::world::{CHEAPER, STANDARD};

/// Evaluators per seat of a committee, and a few more.
const EVALUATORS_PER_SEAT: usize = 2;
const SPARE_EVALUATORS: usize = 2;
/// Number of nodes that one stake is split into.
const PARTS: usize = 4;
/// Evaluators in a large crowd, as a multiple of the usual number.
const CROWD: usize = 10;
/// Nodes that compete with a user's own node.
const FEW_COMPETITORS: usize = 3;
const MANY_COMPETITORS: usize = 7;
/// Hopeless questions of a user that lowers competitors' reputations, in percent of the ordinary
/// user's.
const HOPELESS: u32 = 30;
/// The protocol's promise about a strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Promise {
    /// It earns less than honesty, with audits and without.
    Loses,
    /// It earns at most as much as honesty, with audits and without.
    GainsNothing,
    /// It earns less than honesty if audits are on.
    LosesIfAudited,
    /// No promise; the text gives the reason.
    None(&'static str),
}

impl Promise {
    /// Whether it covers a case.
    pub fn covers(self, audits: bool) -> bool {
        match self {
            Self::Loses | Self::GainsNothing => true,
            Self::LosesIfAudited => audits,
            Self::None(_) => false,
        }
    }
}

/// A strategy and its participants.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Name in reports.
    pub name: String,
    /// The protocol's promise.
    pub promise: Promise,
    /// The participants when it is followed.
    pub lying: Cast,
    /// The participants when it is not.
    pub honest: Cast,
}

/// A row of the result.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The strategy.
    pub name: String,
    /// Whether audits were on.
    pub audits: bool,
    /// Price of a task, in base units.
    pub price: u64,
    /// The protocol's promise.
    pub promise: Promise,
    /// Whether it is a strategy of users.
    pub by_users: bool,
    /// The result.
    pub result: Comparison,
}

impl Entry {
    /// Whether it is a strategy of users.
    pub fn is_by_users(&self) -> bool {
        !self.lying.users.is_empty()
    }
}

impl Row {
    /// Whether the protocol's promise holds on average: the mean is below 0.
    /// [`Comparison::verdict`] decides significance, since audits are rare events.
    pub fn keeps_promise(&self) -> bool {
        let is_even = self.promise == Promise::GainsNothing && self.result.verdict() == "even";
        !self.promise.covers(self.audits) || !self.pays() || is_even
    }

    /// Whether lying was at least as good as honesty on average.
    pub fn pays(&self) -> bool {
        self.result.advantage.mean >= 0.0
    }
}

/// The whole zoo for committees of `seats`.
pub fn entries(seats: usize) -> Vec<Entry> {
    let total = seats * EVALUATORS_PER_SEAT + SPARE_EVALUATORS;
    let mut entries = alone(total);
    entries.extend(rings(seats, total));
    entries.extend(inference_nodes(total));
    entries.extend(splits(total));
    entries.extend(users(total));
    entries
}

fn entry(name: impl Into<String>, promise: Promise, lying: Cast) -> Entry {
    Entry {
        name: name.into(),
        promise,
        honest: honest(&lying),
        lying,
    }
}

fn alone(total: usize) -> Vec<Entry> {
    let alone =
        |name: &str, promise, strategy| entry(name, promise, evaluators(strategy, 1, total));
    let (always, audited) = (Promise::Loses, Promise::LosesIfAudited);
    vec![
        alone("constant score 0.5", always, Evaluator::Constant(500_000)),
        alone("constant score 1", always, Evaluator::Constant(1_000_000)),
        alone("prior mean", always, Evaluator::PriorMean),
        alone("random", always, Evaluator::Random),
        alone("copy the last consensus", always, Evaluator::CopyLast),
        alone("boost by 0.02", always, Evaluator::Boost(20_000)),
        alone("boost by 0.3", always, Evaluator::Boost(300_000)),
        alone("sabotage by 0.02", always, Evaluator::Sabotage(20_000)),
        alone("sabotage by 0.3", always, Evaluator::Sabotage(300_000)),
        alone("noise of 0.1", always, Evaluator::Noise(100_000)),
        alone(
            "lie in 10 % of the tasks",
            audited,
            Evaluator::Intermittent(100_000),
        ),
        alone(
            "lie in 50 % of the tasks",
            always,
            Evaluator::Intermittent(500_000),
        ),
        alone("reveal only if it pays", always, Evaluator::RevealIfItPays),
    ]
}

fn rings(seats: usize, total: usize) -> Vec<Entry> {
    let audited = Promise::LosesIfAudited;
    let ring = |name: &str, promise, ring, size| {
        entry(
            format!("ring of {size}: {name}"),
            promise,
            evaluators(Evaluator::Ring(ring), size, total),
        )
    };
    let praise = |name: &str, ring, size| {
        let lying = accomplices(Evaluator::Ring(ring), Inference::Junk, size, total);
        let honest = accomplices(Evaluator::Honest, Inference::Honest(STANDARD), size, total);
        Entry {
            name: format!("ring of {size} and its inference node: {name}"),
            promise: audited,
            lying,
            honest,
        }
    };
    let majority = seats / 2 + 1;
    vec![
        ring("nobody computes", audited, Ring::Lazy, 2),
        ring("nobody computes", audited, Ring::Lazy, majority),
        ring("nobody computes", audited, Ring::Lazy, seats),
        ring("nobody computes", audited, Ring::Lazy, total),
        ring(
            "boost by 0.3 with a majority",
            audited,
            Ring::Boost(300_000),
            seats,
        ),
        praise("praise its junk", Ring::Praise, majority),
        praise("praise its junk", Ring::Praise, seats),
        praise(
            "praise its junk with a majority",
            Ring::PraiseWithMajority,
            seats,
        ),
        praise("praise its junk", Ring::Praise, total),
        ring(
            "one computes, all repeat it",
            Promise::None(
                "the scores are true, so nobody is cheated; commitments cannot stop friends from sharing work",
            ),
            Ring::Share,
            seats,
        ),
    ]
}

fn inference_nodes(total: usize) -> Vec<Entry> {
    let node = |name: &str, promise, strategy| {
        entry(
            format!("inference: {name}"),
            promise,
            inference(strategy, total),
        )
    };
    vec![
        node("canned answer", Promise::Loses, Inference::Canned),
        node("half an answer", Promise::Loses, Inference::Truncated),
        node("junk", Promise::Loses, Inference::Junk),
        node("no answer", Promise::Loses, Inference::Silent),
        node(
            "a cheaper model that scores as well",
            Promise::None(
                "quality is what is paid, not the model that made it (protocol section 14)",
            ),
            Inference::Honest(CHEAPER),
        ),
    ]
}

fn splits(total: usize) -> Vec<Entry> {
    let reason = "an operator has at most one seat of a committee with one node and several with several; that matters in a small crowd, and every seat is worked for and audited";
    let sybil = |name: &str, strategy, crowd: usize| Entry {
        name: format!("one stake of {crowd} split into {PARTS} nodes: {name}"),
        promise: Promise::None(reason),
        lying: split(strategy, PARTS, crowd),
        honest: unsplit(PARTS, crowd),
    };
    vec![
        sybil("honest", Evaluator::Honest, total),
        sybil("honest", Evaluator::Honest, total * CROWD),
        sybil("nobody computes", Evaluator::Ring(Ring::Lazy), total),
    ]
}

/// Strategies of users; a user that also has a node is named together with it.
fn users(total: usize) -> Vec<Entry> {
    let asks = |asks, takes_back| User { asks, takes_back };
    let alone = |name: &str, promise, way| {
        let cast = user(asks(way, TakesBack::Nothing), total);
        entry(format!("user: {name}"), promise, cast)
    };
    let with_a_node = |name: &str, promise, strategy, percent, competitors| {
        let cast = operator(strategy, percent, competitors, total);
        let name = format!("user with 1 of {} nodes: {name}", competitors + 1);
        entry(name, promise, cast)
    };
    let floors = |name: &str, promise, takes_back, competitors| {
        let strategy = asks(Asks::Hopeless, takes_back);
        with_a_node(name, promise, strategy, HOPELESS, competitors)
    };
    let plainly = |name: &str, promise, takes_back| {
        let strategy = asks(Asks::Plainly, takes_back);
        with_a_node(name, promise, strategy, 100, FEW_COMPETITORS)
    };
    let floored = "hopeless questions";
    let floored_others = "hopeless questions, takes back those to its own node";
    vec![
        alone(
            "the highest min_quality",
            Promise::GainsNothing,
            Asks::HighestLimit,
        ),
        alone("the shortest answer", Promise::Loses, Asks::ShortestAnswer),
        plainly(
            "takes back questions to its own node",
            Promise::Loses,
            TakesBack::Own,
        ),
        plainly(
            "takes back questions to the others",
            Promise::Loses,
            TakesBack::Others,
        ),
        with_a_node(
            "the highest min_quality, takes back questions to its own node",
            Promise::Loses,
            asks(Asks::HighestLimit, TakesBack::Own),
            100,
            FEW_COMPETITORS,
        ),
        floors(floored, Promise::Loses, TakesBack::Nothing, 1),
        floors(floored, Promise::Loses, TakesBack::Nothing, FEW_COMPETITORS),
        floors(floored_others, Promise::Loses, TakesBack::Own, 1),
        floors(
            floored_others,
            Promise::Loses,
            TakesBack::Own,
            FEW_COMPETITORS,
        ),
        floors(
            floored_others,
            Promise::Loses,
            TakesBack::Own,
            MANY_COMPETITORS,
        ),
    ]
}

/// Runs entries and their honest twins, for each setting.
pub fn compare(settings: &[Setting], entries: &[Entry], effort: Effort) -> Result<Vec<Row>> {
    let mut cases = Vec::new();
    for setting in settings {
        for entry in entries {
            for cast in [&entry.honest, &entry.lying] {
                cases.push(Case {
                    setting: setting.clone(),
                    cast: cast.clone(),
                });
            }
        }
    }
    let figures = run_all(&cases, effort)?;
    let mut pairs = figures.chunks(2);
    let mut rows = Vec::new();
    for setting in settings {
        for (entry, pair) in entries.iter().zip(&mut pairs) {
            rows.push(Row {
                name: entry.name.clone(),
                audits: setting.audits,
                price: setting.world.price(),
                promise: entry.promise,
                by_users: entry.is_by_users(),
                result: Comparison::of(&pair[0], &pair[1]),
            });
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_twins_are_honest() {
        let entries = entries(5);
        for (index, entry) in entries.iter().enumerate() {
            assert!(
                entries[index + 1..]
                    .iter()
                    .all(|other| other.name != entry.name)
            );
            assert_eq!(entry.honest, honest(&entry.honest), "{}", entry.name);
            assert!(
                entry
                    .lying
                    .evaluators
                    .iter()
                    .chain(&entry.honest.evaluators)
                    .count()
                    > 0
            );
        }
    }
}
