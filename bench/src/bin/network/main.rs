//! Measures a network of real nodes under load, as its clients see it.
//!
//! The nodes are processes of poqd, each with its CometBFT. Accounts send transfers, or submit tasks, at
//! a rate that does not wait for the chain. This program simulates inference nodes and evaluators with
//! ready answers and scores. CometBFT's kvstore gets the same load of transactions of the same size, in
//! nodes with the same settings. Transactions are signed in advance.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod accounts;
mod compare;
mod cpu;
mod kvstore;
mod ledger;
mod load;
mod observer;
mod options;
mod patience;
mod step;
mod workers;

use std::process::ExitCode;

use clap::Parser;
use poq_bench::figures::print_table;
use poq_worker::program::shutdown_on_signals;

use options::{Options, Output};
use step::{Figures, Kind};

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let machine = poq_client::machine();
    let shutdown = shutdown_on_signals()?;
    let figures = compare::run(options, &shutdown).await?;
    match options.output {
        Output::Text => print_text(options, &machine, &figures),
        Output::Json => println!(
            "{}",
            serde_json::json!({
                "machine": machine,
                "validators": options.validators,
                "accounts": options.accounts,
                "seconds": options.seconds,
                "tx_bytes": figures.tx_bytes,
                "loads": figures.loads,
            })
        ),
    }
    Ok(())
}

fn print_text(options: &Options, machine: &str, figures: &compare::Compared) {
    println!(
        "{machine}; {} validators, {} accounts, loads of {} s",
        options.validators, options.accounts, options.seconds
    );
    let titles = [
        (
            Kind::Transfers,
            format!(
                "Transactions of {} bytes, until in a block",
                figures.tx_bytes
            ),
        ),
        (
            Kind::Tasks,
            format!(
                "Tasks, until paid; {} inference nodes, {} evaluators",
                options.inference_nodes, options.evaluators
            ),
        ),
    ];
    for (kind, title) in titles {
        let rows = figures.loads.iter().filter(|row| row.load == kind);
        let rows: Vec<_> = rows.map(Figures::row).collect();
        if !rows.is_empty() {
            println!("\n{title}:\n");
            print_table(&Figures::COLUMNS, &rows);
        }
    }
    println!("\n{} at the end", poq_client::machine());
}
