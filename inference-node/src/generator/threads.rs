//! Makes mistral.rs's engine thread a member of the thread pool that it computes with.
//!
//! The engine runs on its own thread, outside rayon's pool. It would hand each of the 200-odd
//! matrix products of a token to the pool and sleep until it is woken; with small matrices that
//! takes longer than the product. As a member of the pool, the engine computes too and the others
//! help. The README has the measurement.

use std::cell::Cell;

use mistralrs::{CustomLogitsProcessor, Result, Tensor};
use rayon::ThreadPoolBuilder;
use tracing::warn;

/// A logits processor that changes nothing. It is called on the engine's thread, once per token, so
/// it can enrol that thread.
pub(super) struct Enrolment {
    threads: usize,
}

impl Enrolment {
    /// For a pool of `threads` threads, including the engine's own; 0 means one per core.
    pub(super) fn new(threads: usize) -> Self {
        Self { threads }
    }
}

impl CustomLogitsProcessor for Enrolment {
    fn apply(&self, logits: &Tensor, _context: &[u32]) -> Result<Tensor> {
        enrol_current_thread(self.threads);
        Ok(logits.clone())
    }
}

fn enrol_current_thread(threads: usize) {
    thread_local! {
        static ASKED: Cell<bool> = const { Cell::new(false) };
    }
    if ASKED.replace(true) || rayon::current_thread_index().is_some() {
        return;
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .use_current_thread();
    match pool.build() {
        // The pool lives as long as the enrolled thread.
        Ok(pool) => std::mem::forget(pool),
        Err(error) => warn!("cannot enrol the engine's thread, generation will be slower: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_runs_on_the_enrolled_thread_itself() {
        std::thread::spawn(|| {
            assert_eq!(rayon::current_thread_index(), None);
            let logits = Tensor::new(&[1f32], &mistralrs::Device::Cpu).unwrap();
            for _ in 0..2 {
                Enrolment::new(3).apply(&logits, &[]).unwrap();
            }
            assert_eq!(rayon::current_num_threads(), 3);
            assert_eq!(rayon::current_thread_index(), Some(0));
            let thread = std::thread::current().id();
            assert_eq!(rayon::join(|| std::thread::current().id(), || ()).0, thread);
        })
        .join()
        .unwrap();
    }
}
