//! Metrics of sessions, which operators read; their table is in docs/sessions.md.

use std::time::Duration;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use poq_client::session::RefusalCode;
use poq_proto::v1::{Finish, Session, SessionStatus};

use super::orders::Desk;

const ACCEPTED: &str = "poq_inference_stream_accepted_total";
const REFUSED: &str = "poq_inference_stream_refused_total";
const RECEIPTS: &str = "poq_inference_stream_receipts_total";
const FIRST_TEXT: &str = "poq_inference_stream_first_text_seconds";
const COMMIT: &str = "poq_inference_stream_commit_seconds";
const SESSIONS: &str = "poq_inference_stream_sessions";
const UNACKNOWLEDGED: &str = "poq_inference_stream_unacknowledged_price";
const SETTLED: &str = "poq_inference_stream_settled_price_total";
const BURNT: &str = "poq_inference_stream_burnt_price_total";
const EARNED: &str = "poq_inference_stream_earned_total";
const REVEALED: &str = "poq_inference_stream_revealed_total";
const PAY: &str = "poq_inference_stream_pay";
const ENDED: &str = "poq_inference_stream_ended_total";

/// The statuses that a session of this node can have before it ends.
const RUNNING: [SessionStatus; 5] = [
    SessionStatus::Open,
    SessionStatus::Closing,
    SessionStatus::Drawing,
    SessionStatus::Revealing,
    SessionStatus::Scoring,
];

/// Tells the process's collector of metrics what each one means.
pub(super) fn describe() {
    describe_counter!(ACCEPTED, "Orders whose voucher is on disk");
    describe_counter!(REFUSED, "Refused calls, by code");
    describe_counter!(RECEIPTS, "Answers added to a log, by how they ended");
    describe_histogram!(
        FIRST_TEXT,
        Unit::Seconds,
        "From an order to its first text, the queue included"
    );
    describe_histogram!(COMMIT, Unit::Seconds, "Commits of the journal");
    describe_gauge!(SESSIONS, "Sessions on the chain, by status");
    describe_gauge!(
        UNACKNOWLEDGED,
        "Base units for answers that could be settled and are not acknowledged"
    );
    describe_counter!(SETTLED, "Base units of the amounts that were settled");
    describe_counter!(
        BURNT,
        "Base units that were burnt for answers that users did not acknowledge"
    );
    describe_counter!(EARNED, "Base units that sessions have paid to this node");
    describe_counter!(REVEALED, "Drawn answers that the chain has");
    describe_histogram!(
        PAY,
        "Part of full pay that an answer earns by the node's own score, 0 to 1"
    );
    describe_counter!(ENDED, "Sessions that are over, by status");
}

/// An order's voucher is on disk.
pub(super) fn accepted() {
    counter!(ACCEPTED).increment(1);
}

/// A call was refused.
pub(super) fn refused(code: RefusalCode) {
    // The codes are words in JSON.
    let code = serde_json::to_value(code).unwrap_or_default();
    let code = code.as_str().unwrap_or_default().to_owned();
    counter!(REFUSED, "code" => code).increment(1);
}

/// An answer was added to the log.
pub(super) fn receipt(finish: Finish) {
    let finish = label(finish.as_str_name(), "FINISH_");
    counter!(RECEIPTS, "finish" => finish).increment(1);
}

/// An answer has begun so long after its order.
pub(super) fn first_text(after: Duration) {
    histogram!(FIRST_TEXT).record(after);
}

/// An answer earns this part of full pay, ppm, by the node's own score.
pub(super) fn pay(part: u32) {
    histogram!(PAY).record(f64::from(part) / poq_proto::PPM as f64);
}

/// The journal has committed.
pub(super) fn committed(time: Duration) {
    histogram!(COMMIT).record(time);
}

/// What the sessions of this node are doing.
pub(super) fn sessions(desk: &Desk) {
    let records = desk.records.all();
    for status in RUNNING {
        let count = records
            .iter()
            .filter(|record| record.status() == status)
            .count();
        gauge!(SESSIONS, "status" => name(status)).set(count as f64);
    }
    let unacknowledged = records
        .iter()
        .filter(|record| {
            matches!(
                record.status(),
                SessionStatus::Open | SessionStatus::Closing
            )
        })
        .filter_map(|record| desk.find(record.id))
        .map(|session| {
            let log = &session.lock().log;
            log.amount(log.count()) - log.amount(log.acknowledged())
        });
    gauge!(UNACKNOWLEDGED).set(unacknowledged.sum::<u64>() as f64);
}

/// What the chain has done with a session between two copies of its record.
pub(super) fn progress(old: &Session, new: &Session) {
    let Progress {
        settled,
        burnt,
        earned,
        revealed,
        ended,
    } = Progress::between(old, new);
    counter!(SETTLED).increment(settled);
    counter!(BURNT).increment(burnt);
    counter!(EARNED).increment(earned);
    counter!(REVEALED).increment(revealed);
    if let Some(status) = ended {
        counter!(ENDED, "status" => name(status)).increment(1);
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Progress {
    /// Base units.
    settled: u64,
    /// Base units.
    burnt: u64,
    /// Base units.
    earned: u64,
    /// Leaves.
    revealed: u64,
    ended: Option<SessionStatus>,
}

impl Progress {
    fn between(old: &Session, new: &Session) -> Self {
        let settlement = new.settlement.as_ref();
        let is_new = old.settlement.is_none();
        let (settled, burnt) = settlement
            .filter(|_| is_new)
            .map_or((0, 0), |all| (all.amount, all.unacknowledged));
        let leaves = |record: &Session| {
            let settlement = record.settlement.as_ref();
            settlement.map_or(0, |settlement| settlement.leaves.len() as u64)
        };
        let payment = new.payment.filter(|_| old.payment.is_none());
        Self {
            settled,
            burnt,
            earned: payment.map_or(0, |payment| payment.node),
            revealed: leaves(new).saturating_sub(leaves(old)),
            ended: Some(new.status()).filter(|status| {
                let is_over = |status| !RUNNING.contains(&status);
                is_over(*status) && !is_over(old.status())
            }),
        }
    }
}

fn name(status: SessionStatus) -> String {
    label(status.as_str_name(), "SESSION_STATUS_")
}

/// The name of a value in Protobuf without its type.
fn label(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase()
}

#[cfg(test)]
mod tests;
