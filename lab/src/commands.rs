//! The commands of `poq-lab scores`.

mod attack;
mod bench;
mod calibrate;
mod card;
mod tolerance;
mod validity;

use anyhow::Result;

use crate::options::scores::Scores;
use crate::report::Report;

/// Labels and values for display.
type Lines = Vec<(&'static str, String)>;

/// Runs a command of `scores`.
pub(crate) fn measure(scores: &Scores, seed: u64, output: &Report) -> Result<()> {
    match scores {
        Scores::Validity(options) => validity::validity(options, seed, output),
        Scores::Calibrate(options) => calibrate::calibrate(options, seed, output),
        Scores::Attack(options) => attack::attack(options, seed, output),
        Scores::Card(options) => card::card(options, seed),
        Scores::Tolerance(options) => tolerance::tolerance(options, output),
    }
}

fn table(lines: &Lines) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("{name:width$}  {value}\n");
    lines.iter().map(line).collect()
}
