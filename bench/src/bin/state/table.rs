//! Prints the tables.

use std::fmt;
use std::time::Duration;

use super::measure::{Before, BlockTime, Time};

/// Milliseconds on the clock, with CPU time in brackets.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        write!(f, "{:.0} ({:.0})", millis(self.wall), millis(self.cpu))
    }
}

/// The ratio of two times, on the clock and, in brackets, of CPU time.
fn ratio(large: Time, small: Time) -> String {
    format!(
        "{:.2} ({:.2})",
        large.wall.div_duration_f64(small.wall),
        large.cpu.div_duration_f64(small.cpu)
    )
}

/// Blocks of transfers on one chain.
pub(crate) struct Transfers {
    /// Transfers per block.
    pub count: u64,
    /// Accounts of the chain.
    pub accounts: u64,
    /// Times of blocks whose transactions were checked, checked and accepted in a proposal, and never seen.
    pub times: [BlockTime; 3],
    /// The same times on the small chain.
    pub small: [BlockTime; 3],
}

/// Prints the tables of transfers.
pub(crate) fn print_transfers(rows: &[Transfers]) {
    println!("\nBlocks of transfers; ms on the clock, and of CPU in brackets:\n");
    println!(
        "| transfers | accounts | checks before | FinalizeBlock | Commit | together | written behind | µs per transfer | ratio |"
    );
    println!("|{}", " --- |".repeat(9));
    rows.iter().for_each(Transfers::print_checked);
    println!("\nWhat a validator waits for beside the votes:\n");
    println!(
        "| transfers | accounts | ProcessProposal | FinalizeBlock | Commit | together | µs per transfer | ratio |"
    );
    println!("|{}", " --- |".repeat(8));
    rows.iter().for_each(Transfers::print_accepted);
    println!("\nWhat a node waits for that catches up:\n");
    println!(
        "| transfers | accounts | FinalizeBlock | Commit | together | µs per transfer | ratio |"
    );
    println!("|{}", " --- |".repeat(7));
    rows.iter().for_each(Transfers::print_unseen);
}

impl Transfers {
    fn print_checked(&self) {
        let ([time, ..], [small, ..]) = (&self.times, &self.small);
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            self.count,
            self.accounts,
            time.check,
            time.finalize,
            time.commit,
            time.whole(),
            time.behind,
            self.micros(time),
            ratio(time.whole(), small.whole()),
        );
    }

    fn print_accepted(&self) {
        let ([_, time, _], [_, small, _]) = (&self.times, &self.small);
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            self.count,
            self.accounts,
            time.process,
            time.finalize,
            time.commit,
            time.whole(),
            self.micros(time),
            ratio(time.whole(), small.whole()),
        );
    }

    fn print_unseen(&self) {
        let ([.., time], [.., small]) = (&self.times, &self.small);
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            self.count,
            self.accounts,
            time.finalize,
            time.commit,
            time.whole(),
            self.micros(time),
            ratio(time.whole(), small.whole()),
        );
    }

    fn micros(&self, time: &BlockTime) -> String {
        let micros = time.whole().wall.as_secs_f64() * 1e6 / self.count as f64;
        format!("{micros:.0}")
    }
}

/// Prints the head of the table of growth.
pub(crate) fn print_growth_header() {
    println!("\nWhat consensus waits for; ms on the clock, and of CPU in brackets:\n");
    println!("| what grows | from | to | block | transactions | small | large | ratio |");
    println!("|{}", " --- |".repeat(8));
}

/// Prints a row of the table of growth.
pub(crate) fn print_growth(
    what: &str,
    [from, to]: [u64; 2],
    block: impl fmt::Display,
    before: Before,
    [small, large]: [Time; 2],
) {
    let before = match before {
        Before::Checked => "checked",
        Before::Accepted => "checked, accepted",
        Before::Nothing => "never seen",
    };
    println!(
        "| {what} | {from} | {to} | {block} | {before} | {small} | {large} | {} |",
        ratio(large, small)
    );
}
