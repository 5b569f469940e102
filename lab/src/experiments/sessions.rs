//! Every economic attack on sessions (protocol section 16) against the production state machine.

mod cost;
mod search;

use rayon::prelude::*;
use serde::Serialize;

use super::zoo::Promise;
use super::{Effort, progress, verdict};
use crate::episode::Setting;
use crate::error::Result;
use crate::sessions::{Node, Outcome, Play, Ring, Settling, Studied, User, run};
use crate::statistics::Estimate;

pub use cost::{Cost, Way, answers_of_run, costs};
pub use search::{Grid, Point, search};

/// Answers of a session.
pub const ANSWERS: u32 = 64;
/// The last requests of a session that a party claims or refuses: the window of a new account.
const WINDOW: u32 = 4;

const NODE: Studied = Studied {
    user: false,
    node: true,
    ring: false,
};
const USER: Studied = Studied {
    user: true,
    node: false,
    ring: false,
};
const PAIR: Studied = Studied { node: true, ..USER };
const COALITION: Studied = Studied { ring: true, ..NODE };

/// An attack.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Name in reports.
    pub name: String,
    /// The protocol's promise.
    pub promise: Promise,
    /// The sessions with it.
    pub lying: Play,
    /// The sessions without it; `None` if the twin does nothing and earns nothing.
    pub honest: Option<Play>,
}

/// The result of an attack. Money is base units per ordered answer.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The attack.
    pub name: String,
    /// The protocol's promise.
    pub promise: Promise,
    /// Profit of the studied participants without it.
    pub honest: Estimate,
    /// What they gain by it.
    pub advantage: Estimate,
    /// Profit of the node.
    pub node: Estimate,
    /// Payments of the user.
    pub paid: Estimate,
    /// Part of the answers that committees scored.
    pub scored: Estimate,
    /// Part of the scored answers that were audited.
    pub audited: Estimate,
    /// Change of the node's reputation by all sessions of a run.
    pub reputation: Estimate,
}

impl Row {
    /// In one word whether the attack paid.
    pub fn verdict(&self) -> &'static str {
        verdict(&self.honest, &self.advantage)
    }

    /// Whether the protocol's promise holds on average.
    pub fn keeps_promise(&self) -> bool {
        match self.promise {
            Promise::Loses | Promise::LosesIfAudited => self.advantage.mean < 0.0,
            Promise::GainsNothing => self.advantage.mean < 0.0 || self.verdict() == "even",
            Promise::None(_) => true,
        }
    }
}

/// Number of sessions of a run.
pub fn of_run(effort: Effort) -> u32 {
    (effort.tasks / ANSWERS).max(2)
}

/// All attacks, with the answers of a run in sessions of [`ANSWERS`].
pub fn entries(base: &Setting, effort: Effort) -> Vec<Entry> {
    let honest = Play::honest(base, of_run(effort), ANSWERS);
    let mut entries = by_node(&honest);
    entries.extend(by_user(&honest));
    entries.extend(together(&honest));
    entries
}

fn entry(name: impl Into<String>, promise: Promise, lying: Play, honest: &Play) -> Entry {
    let honest = Play {
        studied: lying.studied,
        ..honest.clone()
    };
    Entry {
        name: name.into(),
        promise,
        lying,
        honest: Some(honest),
    }
}

fn by_node(honest: &Play) -> Vec<Entry> {
    let node = |node| Play {
        node,
        ..honest.clone()
    };
    let settling = |settling| Play {
        settling,
        ..honest.clone()
    };
    let mut entries: Vec<Entry> = [
        ("node: junk", node(Node::Junk)),
        ("node: half of every answer", node(Node::Half)),
        ("node: junk in the first 25 %", node(Node::JunkFirst(25))),
        ("node: junk in the first 75 %", node(Node::JunkFirst(75))),
        ("node: junk in 10 % at random", node(Node::JunkAtRandom(10))),
        ("node: junk in 50 % at random", node(Node::JunkAtRandom(50))),
        (
            "node: an older voucher, without the last 25 %",
            settling(Settling::Older(25)),
        ),
        (
            "node: withholds drawn answers that earn less than half",
            settling(Settling::Withholding),
        ),
    ]
    .into_iter()
    .map(|(name, lying)| entry(name, Promise::Loses, lying, honest))
    .collect();
    let large = entry(
        "node: one junk answer of the highest price among good ones",
        Promise::None("it is paid the floor; its user sees it, and loses what it would lose alone"),
        node(Node::LargeJunk),
        honest,
    );
    let unserved = settling(Settling::Unserved(WINDOW));
    let claim = entry(
        "node: claims the last 4 requests, which it did not serve",
        Promise::GainsNothing,
        settling(Settling::ClaimingUnserved(WINDOW)),
        &unserved,
    );
    entries.extend([large, claim]);
    entries
}

fn by_user(honest: &Play) -> Vec<Entry> {
    let user = |play: Play| Play {
        studied: USER,
        ..play
    };
    let refused = user(Play {
        settling: Settling::ClaimingServed(WINDOW),
        ..honest.clone()
    });
    let low = user(Play {
        user: User::LowPrompts,
        ..honest.clone()
    });
    let watched = Play {
        node: Node::Watching,
        ..low.clone()
    };
    let why = Promise::None("the chain cannot tell such prompts from bad answers; the node stops");
    vec![
        entry(
            "user: does not acknowledge the last 4 answers",
            Promise::Loses,
            refused,
            honest,
        ),
        entry("user: prompts that the judge scores low", why, low, honest),
        entry(
            "the same, and the node stops after 8 answers that earn too little",
            why,
            watched,
            honest,
        ),
    ]
}

fn together(honest: &Play) -> Vec<Entry> {
    let junk = Play {
        node: Node::JunkAtRandom(50),
        studied: COALITION,
        ..honest.clone()
    };
    let ring = |ring, size| Play {
        ring: (ring, size),
        ..junk.clone()
    };
    let mut entries = Vec::new();
    for (name, kind, size, promise) in [
        ("praise its junk", Ring::Praise, 3, Promise::Loses),
        ("praise its junk", Ring::Praise, 5, Promise::Loses),
        (
            "praise its junk with a majority",
            Ring::PraiseWithMajority,
            5,
            Promise::Loses,
        ),
        ("praise its junk", Ring::Praise, 12, Promise::Loses),
        (
            "stay silent about its junk",
            Ring::Silent,
            5,
            Promise::Loses,
        ),
        (
            "stay silent about its junk",
            Ring::Silent,
            12,
            Promise::Loses,
        ),
    ] {
        let twin = Play {
            ring: (Ring::Honest, size),
            ..honest.clone()
        };
        let name = format!("node with junk in 50 %, and a ring of {size}: {name}");
        entries.push(entry(name, promise, ring(kind, size), &twin));
    }
    entries.extend(accomplices(honest));
    entries
}

/// A user and a node of one owner, who wants no answers but money, or reputation.
fn accomplices(honest: &Play) -> Vec<Entry> {
    let pair = |node, sessions, answers| Entry {
        name: String::new(),
        promise: Promise::Loses,
        lying: Play {
            node,
            user: User::Accomplice,
            studied: PAIR,
            sessions,
            answers,
            ..honest.clone()
        },
        honest: None,
    };
    let named = |name: &str, entry: Entry| Entry {
        name: name.into(),
        ..entry
    };
    vec![
        named(
            "user and node of one owner: junk",
            pair(Node::Junk, honest.sessions, honest.answers),
        ),
        named(
            "user and node of one owner: reputation by one session of 64",
            pair(Node::Honest, 1, ANSWERS),
        ),
        named(
            "user and node of one owner: reputation by 64 sessions of one",
            pair(Node::Honest, ANSWERS, 1),
        ),
    ]
}

/// Runs every attack and its twin on every seed.
pub fn compare(entries: &[Entry], effort: Effort) -> Result<Vec<Row>> {
    let plays = entries.iter().flat_map(|entry| {
        let twin = entry.honest.as_ref();
        [Some(&entry.lying), twin].into_iter().flatten().cloned()
    });
    let plays: Vec<Play> = plays.collect();
    let mut results = run_all(&plays, effort)?.into_iter();
    let mut rows = Vec::new();
    for entry in entries {
        let lying = results.next().unwrap_or_default();
        let honest = match entry.honest {
            Some(_) => pick(&results.next().unwrap_or_default(), |run| run.studied),
            None => vec![0.0; lying.len()],
        };
        let of = |figure: fn(&Outcome) -> f64| Estimate::of(&pick(&lying, figure));
        rows.push(Row {
            name: entry.name.clone(),
            promise: entry.promise,
            honest: Estimate::of(&honest),
            advantage: Estimate::of_difference(&pick(&lying, |run| run.studied), &honest),
            node: of(|run| run.node),
            paid: of(|run| run.paid),
            scored: of(|run| run.scored),
            audited: of(|run| run.audited),
            reputation: of(|run| run.reputation),
        });
    }
    Ok(rows)
}

fn pick(runs: &[Outcome], figure: fn(&Outcome) -> f64) -> Vec<f64> {
    runs.iter().map(figure).collect()
}

/// Runs every play on every seed; equal plays run once.
fn run_all(plays: &[Play], effort: Effort) -> Result<Vec<Vec<Outcome>>> {
    let mut distinct: Vec<&Play> = Vec::new();
    let mut places = Vec::new();
    for play in plays {
        let known = distinct.iter().position(|other| *other == play);
        places.push(known.unwrap_or(distinct.len()));
        if known.is_none() {
            distinct.push(play);
        }
    }
    let outcomes = on_every_seed(&distinct, effort, |play, seed| run(play, seed))?;
    Ok(places
        .iter()
        .map(|place| outcomes[*place].clone())
        .collect())
}

/// The results of every case on every seed, in parallel.
fn on_every_seed<C: Sync, T: Clone + Send>(
    cases: &[C],
    effort: Effort,
    result: impl Fn(&C, u64) -> Result<T> + Sync,
) -> Result<Vec<Vec<T>>> {
    let jobs: Vec<(&C, u64)> = cases
        .iter()
        .flat_map(|case| (0..u64::from(effort.runs)).map(move |run| (case, effort.seed + run)))
        .collect();
    let bar = progress(jobs.len() as u64, "runs");
    let results = jobs
        .par_iter()
        .map(|(case, seed)| {
            let result = result(case, *seed);
            bar.inc(1);
            result
        })
        .collect::<Result<Vec<_>>>()?;
    bar.finish_and_clear();
    let per_case = results.chunks(effort.runs.max(1) as usize);
    Ok(per_case.map(<[T]>::to_vec).collect())
}
