//! Searches for the cheapest parameters under which honesty is the best reply.
//!
//! Demands in closed form leave a few sets; the production state machine decides among them.

mod demands;

use poq_proto::v1::Params;
use serde::Serialize;

use super::zoo::{self, Row};
use super::{Case, Comparison, Effort, run_all};
use crate::casts::{evaluators, honest};
use crate::episode::Setting;
use crate::error::Result;
use crate::strategy::Evaluator;

pub use demands::{Demands, Finding, lazy_advantage};

/// The searched parameters, with their values.
const COMMITTEES: [u32; 6] = [3, 5, 7, 9, 13, 21];
const SLASHES: [u32; 3] = [50_000, 100_000, 200_000];
const MARGINS: [u32; 3] = [1_000_000, 1_500_000, 2_000_000];
const RATES: [u32; 6] = [0, 1_000, 5_000, 10_000, 20_000, 50_000];
const TOLERANCES: [u32; 3] = [100_000, 200_000, 400_000];
const WITHHOLDINGS: [u32; 4] = [5_000, 10_000, 20_000, 50_000];

/// A set of the searched parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Committee size.
    pub committee_size: u32,
    /// In ppm.
    pub slash_audit: u32,
    /// In ppm.
    pub audit_margin: u32,
    /// In ppm.
    pub min_audit_rate: u32,
    /// In ppm.
    pub score_tolerance: u32,
    /// In ppm.
    pub slash_no_reveal: u32,
}

impl Candidate {
    /// The searched values of a full set of parameters.
    pub fn of(params: &Params) -> Self {
        Self {
            committee_size: params.committee_size,
            slash_audit: params.slash_audit,
            audit_margin: params.audit_margin,
            min_audit_rate: params.min_audit_rate,
            score_tolerance: params.score_tolerance,
            slash_no_reveal: params.slash_no_reveal,
        }
    }

    /// `params` with these values.
    pub fn apply(self, params: &Params) -> Params {
        Params {
            committee_size: self.committee_size,
            slash_audit: self.slash_audit,
            audit_margin: self.audit_margin,
            min_audit_rate: self.min_audit_rate,
            score_tolerance: self.score_tolerance,
            slash_no_reveal: self.slash_no_reveal,
            ..params.clone()
        }
    }

    /// Every combination.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for committee_size in COMMITTEES {
            for slash_audit in SLASHES {
                for audit_margin in MARGINS {
                    for min_audit_rate in RATES {
                        for score_tolerance in TOLERANCES {
                            for slash_no_reveal in WITHHOLDINGS {
                                all.push(Self {
                                    committee_size,
                                    slash_audit,
                                    audit_margin,
                                    min_audit_rate,
                                    score_tolerance,
                                    slash_no_reveal,
                                });
                            }
                        }
                    }
                }
            }
        }
        all
    }
}

/// A set that was tried on the state machine.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// The set.
    pub candidate: Candidate,
    /// The result in closed form.
    pub finding: Finding,
    /// The strategies with promises, at the usual price and at a dear one.
    pub rows: Vec<Row>,
    /// Whether all promises were kept.
    pub honest: bool,
}

/// A figure in closed form and on the state machine.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Size of the committee.
    pub committee_size: u32,
    /// Advantage of a lone evaluator that always reports the prior mean, without audits: base units
    /// per task asked, in closed form.
    pub predicted: f64,
    /// The same on the state machine.
    pub measured: Comparison,
}

/// The result of a search.
#[derive(Clone, Debug, Serialize)]
pub struct Search {
    /// The demands.
    pub demands: Demands,
    /// Number of sets in the grid.
    pub candidates: usize,
    /// Number of sets that meet all demands in closed form.
    pub admissible: usize,
    /// The cheapest set of each committee size in closed form, even if it misses demands.
    pub by_committee: Vec<(Candidate, Finding)>,
    /// The cost or the missed demands of each step away from the winner.
    pub neighbours: Vec<(Candidate, Finding)>,
    /// The cheapest admissible sets on the state machine, cheapest first, until one is honest.
    pub trials: Vec<Trial>,
    /// Closed form against the state machine.
    pub checks: Vec<Check>,
    /// The chain's default set.
    pub defaults: (Candidate, Finding),
}

impl Search {
    /// The cheapest set that is honest on the state machine.
    pub fn winner(&self) -> Option<&Trial> {
        self.trials.iter().find(|trial| trial.honest)
    }
}

/// Runs the search; tries at most `finalists` sets on the state machine.
pub fn search(base: &Setting, finalists: usize, effort: Effort) -> Result<Search> {
    let demands = Demands::default();
    let assess = |candidate: Candidate| {
        let finding = demands.assess(&candidate.apply(&base.params), &base.world);
        (candidate, finding)
    };
    let all: Vec<(Candidate, Finding)> = Candidate::all().into_iter().map(assess).collect();
    let mut admissible: Vec<&(Candidate, Finding)> = all
        .iter()
        .filter(|(_, finding)| finding.misses.is_empty())
        .collect();
    admissible.sort_by(|(_, one), (_, other)| one.cost.total_cmp(&other.cost));
    let mut trials = Vec::new();
    for (candidate, finding) in admissible.iter().take(finalists) {
        let trial = attempt(base, *candidate, finding.clone(), effort)?;
        let honest = trial.honest;
        trials.push(trial);
        if honest {
            break;
        }
    }
    let winner = trials.iter().find(|trial| trial.honest);
    Ok(Search {
        candidates: all.len(),
        admissible: admissible.len(),
        by_committee: by_committee(&all),
        neighbours: winner.map_or_else(Vec::new, |trial| neighbours(&all, trial.candidate)),
        checks: checks(base, effort)?,
        defaults: assess(Candidate::of(&base.params)),
        trials,
        demands,
    })
}

/// Tries a set against every strategy with a promise of the protocol.
fn attempt(
    base: &Setting,
    candidate: Candidate,
    finding: Finding,
    effort: Effort,
) -> Result<Trial> {
    let usual = Setting {
        params: candidate.apply(&base.params),
        tasks: effort.tasks,
        ..base.clone()
    };
    let dear = usual.dear();
    let entries: Vec<zoo::Entry> = zoo::entries(candidate.committee_size as usize)
        .into_iter()
        .filter(|entry| entry.promise.covers(true))
        .collect();
    let rows = zoo::compare(&[usual, dear], &entries, effort)?;
    Ok(Trial {
        candidate,
        finding,
        honest: rows.iter().all(Row::keeps_promise),
        rows,
    })
}

fn by_committee(all: &[(Candidate, Finding)]) -> Vec<(Candidate, Finding)> {
    COMMITTEES
        .iter()
        .filter_map(|size| {
            let of_size = all.iter().filter(|(set, _)| set.committee_size == *size);
            of_size
                .min_by(|(_, one), (_, other)| {
                    let fewest = one.misses.len().cmp(&other.misses.len());
                    fewest.then(one.cost.total_cmp(&other.cost))
                })
                .cloned()
        })
        .collect()
}

/// The sets that differ from `winner` in one value.
fn neighbours(all: &[(Candidate, Finding)], winner: Candidate) -> Vec<(Candidate, Finding)> {
    let differences = |set: &Candidate| {
        [
            set.committee_size != winner.committee_size,
            set.slash_audit != winner.slash_audit,
            set.audit_margin != winner.audit_margin,
            set.min_audit_rate != winner.min_audit_rate,
            set.score_tolerance != winner.score_tolerance,
            set.slash_no_reveal != winner.slash_no_reveal,
        ]
        .into_iter()
        .filter(|differs| *differs)
        .count()
    };
    let near = all.iter().filter(|(set, _)| differences(set) == 1);
    near.cloned().collect()
}

/// The lone lazy evaluator without audits, in closed form and on the state machine.
fn checks(base: &Setting, effort: Effort) -> Result<Vec<Check>> {
    let sizes = [3, 5, 9];
    let total = |size: u32| 2 * size as usize + 2;
    let mut cases = Vec::new();
    for size in sizes {
        let setting = Setting {
            params: Params {
                committee_size: size,
                ..base.params.clone()
            },
            audits: false,
            tasks: effort.tasks,
            ..base.clone()
        };
        let lying = evaluators(Evaluator::PriorMean, 1, total(size));
        for cast in [honest(&lying), lying] {
            let setting = setting.clone();
            cases.push(Case { setting, cast });
        }
    }
    let figures = run_all(&cases, effort)?;
    let check = |(size, pair): (u32, &[Vec<_>])| {
        let params = Params {
            committee_size: size,
            ..base.params.clone()
        };
        let seats = f64::from(size) / total(size) as f64;
        Check {
            committee_size: size,
            predicted: seats * lazy_advantage(&params, &base.world),
            measured: Comparison::of(&pair[0], &pair[1]),
        }
    };
    Ok(sizes
        .into_iter()
        .zip(figures.chunks(2))
        .map(check)
        .collect())
}
