//! The tables.

use std::fmt;
use std::time::Duration;

use super::measure::{BlockTime, Time};

/// Milliseconds on the clock, and of CPU.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        write!(f, "{:.0} ({:.0})", millis(self.wall), millis(self.cpu))
    }
}

/// How much longer than another time, on the clock and of CPU.
fn ratio(large: Time, small: Time) -> String {
    format!(
        "{:.2} ({:.2})",
        large.wall.div_duration_f64(small.wall),
        large.cpu.div_duration_f64(small.cpu)
    )
}

/// Blocks of transfers on one chain.
pub struct Transfers {
    /// In a block.
    pub count: u64,
    /// Of the chain.
    pub accounts: u64,
    /// Of blocks whose transactions the mempool saw.
    pub seen: BlockTime,
    /// Of blocks whose transactions nobody saw before.
    pub unseen: BlockTime,
}

/// Explains the table of transfers.
pub fn print_transfers_header() {
    println!("\nBlocks of transfers; ms on the clock, and of CPU in brackets:\n");
    println!(
        "| transfers | accounts | checks before | FinalizeBlock | Commit | together | written behind | µs per transfer | ratio | together without checks before | ratio |"
    );
    println!("|{}", " --- |".repeat(11));
}

impl Transfers {
    /// Prints a row, with the ratios to the same blocks on the small chain, seen and unseen.
    pub fn print(&self, [small_seen, small_unseen]: &[BlockTime; 2]) {
        let (whole, unseen) = (self.seen.whole(), self.unseen.whole());
        let micros = whole.wall.as_secs_f64() * 1e6 / self.count as f64;
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {micros:.0} | {} | {unseen} | {} |",
            self.count,
            self.accounts,
            self.seen.check,
            self.seen.finalize,
            self.seen.commit,
            whole,
            self.seen.behind,
            ratio(whole, small_seen.whole()),
            ratio(unseen, small_unseen.whole()),
        );
    }
}

/// Explains the table of growth.
pub fn print_growth_header() {
    println!("\nFinalizeBlock and Commit together; ms on the clock, and of CPU in brackets:\n");
    println!("| what grows | from | to | block | small | large | ratio |");
    println!("|{}", " --- |".repeat(7));
}

/// Prints a row of it.
pub fn print_growth(what: &str, [from, to]: [u64; 2], block: &str, [small, large]: [Time; 2]) {
    println!(
        "| {what} | {from} | {to} | {block} | {small} | {large} | {} |",
        ratio(large, small)
    );
}
