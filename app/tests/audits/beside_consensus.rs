//! Reference scores are computed in the background, and a block waits only for those that it uses.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use poq_app::{Error, NoReference, ReferenceScorer, ScoreError};
use poq_proto::v1::*;

use crate::support::{Chain, TextScorer};
use crate::*;

/// Counts its computations, and blocks until it is released.
#[derive(Default)]
struct Held {
    computed: AtomicUsize,
    may: Mutex<bool>,
    changed: Condvar,
}

impl Held {
    fn release(&self) {
        *self.may.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

impl ReferenceScorer for Held {
    fn score(&self, model: &EvaluatorModel, prompt: &str, text: &str) -> Result<i32, ScoreError> {
        let mut may = self.may.lock().unwrap();
        while !*may {
            may = self.changed.wait(may).unwrap();
        }
        self.computed.fetch_add(1, Ordering::SeqCst);
        TextScorer.score(model, prompt, text)
    }
}

#[test]
fn a_restart_in_the_middle_of_an_audit_changes_nothing() {
    let params = Params {
        audit_delay: 3,
        ..audited(1_000_000)
    };
    // The number of blocks between the settlement and the restart; the audit ends in the fourth.
    for restart_after in 0..=4 {
        let mut chain = Chain::with_params(params.clone(), 1, 5);
        let mut twin = Chain::with_params(params.clone(), 1, 5);
        assert_eq!(chain.settle(JUNK, LIE), twin.settle(JUNK, LIE));
        for block in 0..6 {
            if block == restart_after {
                // A block that was finalized but not committed is finalized again.
                let hash = twin.next_hash();
                let none = twin.carrying(&[]);
                twin.app.finalize_block(&twin.next(&hash, &none)).unwrap();
                twin.restart(Arc::new(TextScorer));
            }
            chain.block(&[]);
            twin.block(&[]);
            assert_eq!(chain.app_hash, twin.app_hash, "{restart_after}, {block}");
            assert_eq!(chain.events, twin.events);
        }
        assert_eq!(result_of(&twin, 1).penalties.len(), 5);
        assert_eq!(chain.task(1), twin.task(1));
    }
}

/// Blocks before the one that uses the result do not wait for it.
#[test]
fn only_the_block_that_uses_a_score_waits_for_it() {
    let params = Params {
        audit_delay: 3,
        ..audited(1_000_000)
    };
    let mut chain = Chain::with_params(params, 1, 5);
    let id = chain.settle(JUNK, LIE);
    let scorer = Arc::new(Held::default());
    chain.restart(scorer.clone());
    chain.blocks(3);
    assert_eq!(scorer.computed.load(Ordering::SeqCst), 0);
    assert_eq!(chain.audits()[0].due_height, chain.height + 1);
    // Accepting the proposal does not wait either.
    let none = chain.carrying(&[]);
    let hash = chain.next_hash();
    chain
        .app
        .process_proposal(&chain.next(&hash, &none))
        .unwrap();
    thread::scope(|scope| {
        let last = scope.spawn(|| chain.block(&[]));
        scorer.release();
        last.join().unwrap();
    });
    assert_eq!(scorer.computed.load(Ordering::SeqCst), 1);
    assert_eq!(result_of(&chain, id).penalties.len(), 5);
}

/// A restarted node starts with the audits that its state has scheduled.
#[test]
fn a_restarted_node_computes_before_it_is_asked() {
    let params = Params {
        audit_delay: 3,
        ..audited(1_000_000)
    };
    let mut chain = Chain::with_params(params, 1, 5);
    chain.settle(JUNK, LIE);
    chain.blocks(1);
    let scorer = Arc::new(Held::default());
    scorer.release();
    chain.restart(scorer.clone());
    while scorer.computed.load(Ordering::SeqCst) == 0 {
        thread::yield_now();
    }
    chain.blocks(3);
    assert_eq!(scorer.computed.load(Ordering::SeqCst), 1);
}

#[test]
fn a_node_without_the_model_stops_at_the_audit_and_says_why() {
    let mut chain = Chain::with_params(audited(1_000_000), 1, 5);
    chain.settle(JUNK, LIE);
    chain.restart(Arc::new(NoReference));
    chain.blocks(1);
    let none = chain.carrying(&[]);
    let block = chain.next(&[1; 32], &none);
    chain.app.process_proposal(&block).unwrap();
    let error = chain.app.finalize_block(&block).unwrap_err();
    assert!(matches!(error, Error::Audit { task: 1, .. }), "{error}");
    assert!(error.to_string().contains("cross-encoder"), "{error}");
    // With the model the node continues.
    chain.restart(Arc::new(TextScorer));
    chain.blocks(1);
    assert_eq!(result_of(&chain, 1).penalties.len(), 5);
}
