//! The laboratory's experiments, each on many seeds and in parallel.

pub mod parameters;
pub mod published;
pub mod sessions;
pub mod sweep;
pub mod texts;
pub mod zoo;

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use serde::Serialize;

use crate::episode::{Cast, Episode, Setting, run};
use crate::error::Result;
use crate::statistics::Estimate;

/// Distance (ppm) from which a quality counts as moved.
pub const MOVED: u32 = 50_000;

/// Fraction of the honest profit below which an advantage counts as rounding: payouts are integers.
const NEGLIGIBLE: f64 = 1e-3;

/// The size of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Effort {
    /// Tasks per run.
    pub tasks: u32,
    /// Runs of each case; two compared runs share their seed.
    pub runs: u32,
    /// Seed of the first run; the others follow.
    pub seed: u64,
}

/// A case of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The conditions.
    pub setting: Setting,
    /// The participants.
    pub cast: Cast,
}

/// The figures kept of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// See [`Episode::studied_profit`].
    pub profit: f64,
    /// See [`Episode::moved`].
    pub moved: f64,
    /// See [`Episode::moved_at_payout`].
    pub moved_at_payout: f64,
    /// See [`Episode::payout_for_lies`].
    pub payout_for_lies: f64,
    /// See [`Episode::refunded`].
    pub refunded: f64,
    /// Fraction of the tasks that were audited.
    pub audited: f64,
    /// See [`Episode::spent`].
    pub spent: f64,
    /// See [`Episode::competitors_profit`].
    pub competitors: f64,
    /// See [`Episode::taken_back`].
    pub taken_back: f64,
}

impl From<Episode> for Figures {
    fn from(episode: Episode) -> Self {
        Self {
            profit: episode.studied_profit(),
            moved: episode.moved(MOVED),
            moved_at_payout: episode.moved_at_payout(MOVED),
            payout_for_lies: episode.payout_for_lies(),
            refunded: episode.refunded(),
            audited: f64::from(episode.audits) / episode.tasks.len().max(1) as f64,
            spent: episode.spent(),
            competitors: episode.competitors_profit(),
            taken_back: episode.taken_back(),
        }
    }
}

/// Runs every case on every seed, on all cores; equal cases run once. Results are in the order of
/// the cases, then of the seeds. Progress and speed go to standard error.
pub fn run_all<T: From<Episode> + Clone + Send + Sync>(
    cases: &[Case],
    effort: Effort,
) -> Result<Vec<Vec<T>>> {
    let mut distinct: Vec<&Case> = Vec::new();
    let places: Vec<usize> = cases
        .iter()
        .map(|case| {
            let known = distinct.iter().position(|other| *other == case);
            known.unwrap_or_else(|| {
                distinct.push(case);
                distinct.len() - 1
            })
        })
        .collect();
    let jobs: Vec<(&Case, u64)> = distinct
        .iter()
        .flat_map(|case| (0..u64::from(effort.runs)).map(|run| (*case, effort.seed + run)))
        .collect();
    let progress = progress(jobs.len() as u64, "runs");
    let results = jobs
        .par_iter()
        .map(|(case, seed)| {
            let result = run(&case.setting, &case.cast, *seed).map(T::from);
            progress.inc(1);
            result
        })
        .collect::<Result<Vec<T>>>()?;
    progress.finish_and_clear();
    report_speed(&jobs, progress.elapsed());
    let per_case: Vec<Vec<T>> = results
        .chunks(effort.runs.max(1) as usize)
        .map(<[T]>::to_vec)
        .collect();
    Ok(places
        .into_iter()
        .map(|place| per_case[place].clone())
        .collect())
}

/// Prints the state machine's speed to standard error.
fn report_speed(jobs: &[(&Case, u64)], time: Duration) {
    let tasks: u64 = jobs
        .iter()
        .map(|(case, _)| u64::from(case.setting.tasks))
        .sum();
    let seconds = time.as_secs_f64();
    eprintln!(
        "{} runs, {tasks} tasks in {seconds:.1} s: {:.0} tasks per second",
        jobs.len(),
        tasks as f64 / seconds.max(1e-9)
    );
}

/// A progress bar on standard error; hidden unless that is a terminal.
fn progress(jobs: u64, unit: &str) -> ProgressBar {
    let bar = ProgressBar::new(jobs);
    let template = format!("{{wide_bar}} {{pos}}/{{len}} {unit}, {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

/// The effects of lying.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Total honest profit of the studied participants, in base units per task asked.
    pub honest: Estimate,
    /// Their profit when they lie, minus the honest one, by seed.
    pub advantage: Estimate,
    /// Fraction of the tasks whose committee was off the truth by more than [`MOVED`].
    pub moved: Estimate,
    /// The same after audits.
    pub moved_at_payout: Estimate,
    /// Mean payout for an answer that is not from the registered model, in base units.
    pub payout_for_lies: Estimate,
    /// Fraction of the tasks that ended without a quality.
    pub refunded: Estimate,
    /// Fraction of the tasks that were audited.
    pub audited: Estimate,
    /// Payments of studied users, in base units per task asked.
    pub spent: Estimate,
    /// Additional earnings of the other inference nodes compared with the honest runs, in the same
    /// units.
    pub competitors: Estimate,
    /// Cancellations per question asked.
    pub taken_back: Estimate,
}

impl Comparison {
    /// Compares runs with equal seeds.
    pub fn of(honest: &[Figures], lying: &[Figures]) -> Self {
        let pick = |runs: &[Figures], figure: fn(&Figures) -> f64| {
            runs.iter().map(figure).collect::<Vec<f64>>()
        };
        let lying_figure = |figure| Estimate::of(&pick(lying, figure));
        let more = |figure| Estimate::of_difference(&pick(lying, figure), &pick(honest, figure));
        Self {
            honest: Estimate::of(&pick(honest, |figures| figures.profit)),
            advantage: more(|figures| figures.profit),
            moved: lying_figure(|figures| figures.moved),
            moved_at_payout: lying_figure(|figures| figures.moved_at_payout),
            payout_for_lies: lying_figure(|figures| figures.payout_for_lies),
            refunded: lying_figure(|figures| figures.refunded),
            audited: lying_figure(|figures| figures.audited),
            spent: lying_figure(|figures| figures.spent),
            competitors: more(|figures| figures.competitors),
            taken_back: lying_figure(|figures| figures.taken_back),
        }
    }

    /// Whether lying paid, in one word; see [`verdict`].
    pub fn verdict(&self) -> &'static str {
        verdict(&self.honest, &self.advantage)
    }
}

/// Whether an advantage over an honest profit is one, in one word: lying gains or loses if the whole
/// confidence interval says so and it exceeds rounding.
pub fn verdict(honest: &Estimate, advantage: &Estimate) -> &'static str {
    if advantage.mean.abs() <= NEGLIGIBLE * honest.mean.abs() {
        "even"
    } else if advantage.is_below_zero() {
        "loses"
    } else if advantage.is_above_zero() {
        "GAINS"
    } else {
        "open"
    }
}
