//! The cost of tasks, and its table.

use std::ops::AddAssign;
use std::time::Duration;

/// CPU time of a number of tasks.
#[derive(Clone, Copy, Default)]
pub(crate) struct Costs {
    /// Number of finished tasks.
    pub tasks: u32,
    /// Submissions and draws of inference nodes.
    pub submit: Duration,
    /// Answers and draws of committees.
    pub answer: Duration,
    /// Commitments of all seats.
    pub commit: Duration,
    /// Reveals of all seats, aggregation and settlement.
    pub reveal: Duration,
    /// Payouts and updates of reputations.
    pub payout: Duration,
    /// Verification of the signatures of commits and reveals alone. Blocks do not repeat it, because the
    /// mempool has checked the transactions.
    pub signatures: Duration,
    /// Number of transactions with commits and reveals.
    pub transactions: u32,
    /// Mempool checks of commits and reveals.
    pub checks: Duration,
    /// Part of the blocks' time spent in other threads, which write rows after the commit.
    pub elsewhere: Duration,
    /// Other threads' time between the blocks, in which the store writes and compacts files.
    pub background: Duration,
}

impl AddAssign for Costs {
    fn add_assign(&mut self, other: Self) {
        self.tasks += other.tasks;
        self.submit += other.submit;
        self.answer += other.answer;
        self.commit += other.commit;
        self.reveal += other.reveal;
        self.payout += other.payout;
        self.signatures += other.signatures;
        self.transactions += other.transactions;
        self.checks += other.checks;
        self.elsewhere += other.elsewhere;
        self.background += other.background;
    }
}

const COLUMNS: [&str; 12] = [
    "K",
    "submit, draw",
    "answer, seat",
    "commit",
    "reveal, settle",
    "pay",
    "background",
    "**consensus**",
    "tasks/s and core",
    "signatures in it",
    "transactions",
    "checks before",
];

/// Prints the head of the table; all times are microseconds per task.
pub(crate) fn print_header() {
    println!("| {} |", COLUMNS.join(" | "));
    println!("|{}", " --- |".repeat(COLUMNS.len()));
}

impl Costs {
    /// Prints the row of a committee size.
    pub(crate) fn print(&self, committee_size: u32) {
        let consensus = self.consensus();
        let cells = [
            committee_size.to_string(),
            self.per_task(self.submit),
            self.per_task(self.answer),
            self.per_task(self.commit),
            self.per_task(self.reveal),
            self.per_task(self.payout),
            self.per_task(self.background),
            format!("**{}**", self.per_task(consensus)),
            format!("{:.0}", f64::from(self.tasks) / consensus.as_secs_f64()),
            format!(
                "{} ({:.0} %)",
                self.per_task(self.signatures),
                100.0 * self.signatures.div_duration_f64(consensus)
            ),
            format!(
                "{:.1}",
                f64::from(self.transactions) / f64::from(self.tasks)
            ),
            self.per_task(self.checks),
        ];
        println!("| {} |", cells.join(" | "));
    }

    /// Time from the committee's first commit to the payout, with one verification of every signature. All
    /// background work counts, although other phases cause some of it.
    fn consensus(&self) -> Duration {
        self.commit + self.reveal + self.payout + self.background + self.signatures
    }

    fn per_task(&self, time: Duration) -> String {
        let micros = time.as_secs_f64() * 1e6 / f64::from(self.tasks);
        format!("{micros:.0}")
    }
}
