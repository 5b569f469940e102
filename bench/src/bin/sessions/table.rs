//! The results as tables.

use poq_bench::figures::print_table;

use super::costs::Costs;
use super::path::Kind;

/// The results of a kind.
pub(crate) struct Row {
    /// How answers were paid.
    pub kind: Kind,
    /// CPU time, and bytes in blocks.
    pub costs: Costs,
    /// Compact state, bytes per answer.
    pub state: f64,
}

impl Row {
    fn name(&self) -> String {
        match self.kind {
            Kind::Task => "a task each".into(),
            Kind::Session { answers, .. } => format!("sessions of {answers}"),
        }
    }

    fn per_answer(&self, amount: f64) -> f64 {
        amount / f64::from(self.costs.answers)
    }

    /// CPU time per answer, µs.
    fn micros(&self) -> f64 {
        self.per_answer(self.costs.whole().as_secs_f64() * 1e6)
    }

    /// Bytes in blocks per answer.
    fn in_blocks(&self) -> f64 {
        self.per_answer(self.costs.bytes as f64)
    }

    /// Bytes in blocks and in the compact state, per answer.
    fn bytes(&self) -> f64 {
        self.in_blocks() + self.state
    }

    fn cpu_cells(&self, task: &Self) -> Vec<String> {
        let costs = &self.costs;
        let parts = costs
            .phases
            .iter()
            .chain([&costs.background, &costs.signatures]);
        let parts = parts.map(|time| {
            let micros = self.per_answer(time.as_secs_f64() * 1e6);
            format!("{micros:.1}")
        });
        let whole = self.micros();
        [self.name(), self.scored()]
            .into_iter()
            .chain(parts)
            .chain([
                format!("**{whole:.0}**"),
                format!("{:.0}", 1e6 / whole),
                format!("{:.3}", whole / task.micros()),
            ])
            .collect()
    }

    fn byte_cells(&self, task: &Self) -> Vec<String> {
        vec![
            self.name(),
            self.scored(),
            format!("{:.0}", self.in_blocks()),
            format!("{:.0}", self.state),
            format!("**{:.0}**", self.bytes()),
            format!("{:.3}", self.bytes() / task.bytes()),
        ]
    }

    /// The part of the answers that was scored.
    fn scored(&self) -> String {
        format!("{:.3}", self.per_answer(self.costs.scored.into()))
    }
}

const CPU: [&str; 13] = [
    "answers",
    "scored",
    "open or ask, draw",
    "settle, draw",
    "answer or reveal leaves, seat",
    "commit",
    "reveal, settle",
    "pay",
    "background",
    "signatures",
    "**together**",
    "answers/s and core",
    "of a task",
];
const BYTES: [&str; 6] = [
    "answers",
    "scored",
    "in blocks",
    "compact state",
    "**together**",
    "of a task",
];

/// Prints all rows; the first is that of tasks.
pub(crate) fn print(rows: &[Row]) {
    let Some(task) = rows.first() else {
        return;
    };
    let cells = |of: fn(&Row, &Row) -> Vec<String>| {
        let cells = rows.iter().map(|row| of(row, task));
        cells.collect::<Vec<_>>()
    };
    println!("\nCPU time in µs per answer:\n");
    print_table(&CPU, &cells(Row::cpu_cells));
    println!("\nBytes per answer:\n");
    print_table(&BYTES, &cells(Row::byte_cells));
}
