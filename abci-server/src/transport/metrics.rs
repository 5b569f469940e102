//! Metrics of the application; the README lists them.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tendermint_proto::v0_38::abci::{
    Event, ResponseFinalizeBlock, request::Value as Asked, response::Value as Answered,
};

/// Prefix of the names of events about tasks.
const TASK_EVENTS: &str = "poq_task_";

/// The height of the block that a request executes, if it executes one.
pub(super) fn executed_height(asked: &Asked) -> Option<i64> {
    match asked {
        Asked::FinalizeBlock(request) => Some(request.height),
        _ => None,
    }
}

/// Records an answer of the application. `height` is the height of the executed block.
pub(super) fn record(height: Option<i64>, answered: &Answered, elapsed: Duration) {
    let Some(method) = method(answered) else {
        return;
    };
    histogram!("poqd_abci_seconds", "method" => method).record(elapsed);
    match answered {
        Answered::FinalizeBlock(response) => {
            gauge!("poqd_height").set(height.unwrap_or_default() as f64);
            record_block(response);
        }
        Answered::CheckTx(response) => {
            result("poqd_check_tx_total", response.code, &response.codespace);
        }
        _ => {}
    }
}

fn record_block(block: &ResponseFinalizeBlock) {
    for tx in &block.tx_results {
        result("poqd_txs_total", tx.code, &tx.codespace);
        tx.events.iter().for_each(record_event);
    }
    block.events.iter().for_each(record_event);
}

fn record_event(event: &Event) {
    if let Some(transition) = event.r#type.strip_prefix(TASK_EVENTS) {
        let transition = transition.to_owned();
        counter!("poqd_task_events_total", "event" => transition).increment(1);
    }
}

fn result(name: &'static str, code: u32, codespace: &str) {
    let (code, codespace) = (code.to_string(), codespace.to_owned());
    counter!(name, "code" => code, "codespace" => codespace).increment(1);
}

/// The name of the method, if its time is measured.
fn method(answered: &Answered) -> Option<&'static str> {
    Some(match answered {
        Answered::InitChain(_) => "init_chain",
        Answered::Query(_) => "query",
        Answered::CheckTx(_) => "check_tx",
        Answered::PrepareProposal(_) => "prepare_proposal",
        Answered::ProcessProposal(_) => "process_proposal",
        Answered::FinalizeBlock(_) => "finalize_block",
        Answered::Commit(_) => "commit",
        _ => return None,
    })
}
