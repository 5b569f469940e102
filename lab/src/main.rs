//! `poq-lab`: attacks the production state machine and measures what the attackers gain.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod commands;
mod document;
mod options;
mod report;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use poq_lab::episode::Setting;
use poq_lab::experiments::published::{aggregation, costs, earnings};
use poq_lab::experiments::zoo::Row;
use poq_lab::experiments::{parameters, sessions, sweep, texts, zoo};

use options::{Command, Options, Published};
use report::Report;

fn main() -> ExitCode {
    let options = Options::parse();
    let start = Instant::now();
    match run(&options) {
        Ok(success) => {
            let seconds = start.elapsed().as_secs_f64();
            eprintln!("{seconds:.0} s on {} threads", rayon::current_num_threads());
            if success {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every promise of the protocol held.
fn run(options: &Options) -> Result<bool> {
    let base = options.setting();
    let effort = options.effort();
    let report = Report::new(options);
    match &options.command {
        Command::Zoo(zoo_options) => {
            let settings = zoo_options.settings(&base);
            let mut entries = zoo::entries(zoo_options.committee as usize);
            entries.retain(|entry| entry.name.contains(&zoo_options.only));
            let rows = zoo::compare(&settings, &entries, effort)?;
            report.zoo(&rows)?;
            Ok(rows.iter().all(Row::keeps_promise))
        }
        Command::Sweep(sweep_options) => {
            let grid = sweep_options.grid()?;
            report.sweep(&grid, &sweep::run(&grid, &base, effort)?)?;
            Ok(true)
        }
        Command::Published { claim } => {
            match claim {
                Published::Earnings => report.earnings(&earnings::run(&base, effort)?)?,
                Published::Aggregation { shares, committees } => {
                    let rows = aggregation::run(&base, shares, committees, effort)?;
                    report.aggregation(&rows)?;
                }
                Published::Costs => report.costs(&costs::run(&base, effort)?)?,
            }
            Ok(true)
        }
        Command::Sessions(sessions_options) => {
            let mut entries = sessions::entries(&base, effort);
            entries.retain(|entry| entry.name.contains(&sessions_options.only));
            let rows = sessions::compare(&entries, effort)?;
            let points = sessions::search(&sessions_options.grid(), &base, effort)?;
            let costs = sessions::costs(&base, effort)?;
            let results = report::sessions::Results {
                rows,
                points,
                costs,
            };
            match &sessions_options.write {
                Some(folder) => document::sessions::write(folder, &results, effort)?,
                None => report.sessions(&results)?,
            }
            Ok(results.rows.iter().all(sessions::Row::keeps_promise))
        }
        Command::Texts(texts_options) => {
            let plan = texts_options.plan(effort.seed)?;
            let base = Setting {
                world: base.world.paying(texts_options.floor, texts_options.target),
                ..base
            };
            report.texts(&texts::run(&plan, &base, effort)?)?;
            Ok(true)
        }
        Command::Scores { measure } => {
            commands::measure(measure, options.seed, &report)?;
            Ok(true)
        }
        Command::Parameters { finalists, write } => {
            let search = parameters::search(&base, *finalists, effort)?;
            match write {
                Some(folder) => document::write(folder, &search, &base, effort)?,
                None => report.parameters(&search)?,
            }
            Ok(search.winner().is_some())
        }
    }
}
