//! What the laboratory asks, each on many seeds and in parallel.

pub mod parameters;
pub mod published;
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

/// Part of the honest profit below which an advantage is rounding: payouts are integers.
const NEGLIGIBLE: f64 = 1e-3;

/// How long an experiment runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Effort {
    /// Tasks of each run.
    pub tasks: u32,
    /// Runs of each case; two runs that are compared share their seed.
    pub runs: u32,
    /// Seed of the first run; the others follow.
    pub seed: u64,
}

/// A case of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What all meet.
    pub setting: Setting,
    /// Who takes part.
    pub cast: Cast,
}

/// What experiments keep of a run.
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
    /// Part of the tasks that were audited.
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

/// Runs every case on every seed, on all cores; cases that are equal run once. The results are in
/// the order of the cases, then of the seeds. Progress and speed go to standard error.
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

/// Says on standard error how fast the state machine was.
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

/// On standard error; not drawn where that is no terminal.
fn progress(jobs: u64, unit: &str) -> ProgressBar {
    let bar = ProgressBar::new(jobs);
    let template = format!("{{wide_bar}} {{pos}}/{{len}} {unit}, {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

/// What lying brought and did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Honest profit of the studied together, base units per task asked.
    pub honest: Estimate,
    /// Their profit when they lie, minus the honest one, seed by seed.
    pub advantage: Estimate,
    /// Part of the tasks whose committee was off the truth by more than [`MOVED`].
    pub moved: Estimate,
    /// The same after audits.
    pub moved_at_payout: Estimate,
    /// Payout for an answer that is not of the registered model, base units.
    pub payout_for_lies: Estimate,
    /// Part of the tasks that ended without a quality.
    pub refunded: Estimate,
    /// Part of the tasks that were audited.
    pub audited: Estimate,
    /// What studied users paid, base units per task asked.
    pub spent: Estimate,
    /// What the other inference nodes earned more than in the honest runs, in the same units.
    pub competitors: Estimate,
    /// How often a question was taken back, for each that was asked.
    pub taken_back: Estimate,
}

impl Comparison {
    /// Of runs with equal seeds.
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

    /// In one word whether lying paid: it gains or loses if the whole confidence interval says so
    /// and it is more than rounding.
    pub fn verdict(&self) -> &'static str {
        if self.advantage.mean.abs() < NEGLIGIBLE * self.honest.mean.abs() {
            "even"
        } else if self.advantage.is_below_zero() {
            "loses"
        } else if self.advantage.is_above_zero() {
            "GAINS"
        } else {
            "open"
        }
    }
}
