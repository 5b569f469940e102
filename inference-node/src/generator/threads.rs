//! Makes mistral.rs's engine thread a member of the thread pool that it computes with.
//!
//! The engine runs on a thread of its own, outside of rayon's pool. Each of the 200-odd matrix
//! products of a token is then handed to the pool while the engine sleeps until it is woken:
//! with small matrices that takes longer than the product. As a member of a pool the engine
//! computes itself and others help. The README has the measurement.

use std::cell::Cell;

use mistralrs::{CustomLogitsProcessor, Result, Tensor};
use rayon::ThreadPoolBuilder;
use tracing::warn;

/// A logits processor that changes nothing: being called on the engine's thread, once per token,
/// it can enrol that thread.
pub struct Enrolment {
    threads: usize,
}

impl Enrolment {
    /// For a pool of `threads` threads, the engine's own included; 0 is one per core.
    pub fn new(threads: usize) -> Self {
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
        // The pool lives as long as the thread that is in it.
        Ok(pool) => std::mem::forget(pool),
        Err(error) => warn!("the language model stays slower than it could be: {error}"),
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
