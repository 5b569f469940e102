//! Ends an answer early the way the engine ends every answer: with the end token.
//!
//! mistral.rs also drops a sequence whose reader is gone, but only some steps later. A sequence
//! that starts in between would then share the engine with it (see `engine.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mistralrs::{CustomLogitsProcessor, Device, Result, Tensor};

/// A logits processor that, once triggered, leaves only the end token possible.
#[derive(Clone)]
pub(super) struct Ending {
    end_token: u32,
    requested: Arc<AtomicBool>,
}

impl Ending {
    /// For one answer of a model whose end token is `end_token`.
    pub(super) fn new(end_token: u32) -> Self {
        Self {
            end_token,
            requested: Arc::default(),
        }
    }

    /// Makes the next token the last one.
    pub(super) fn request(&self) {
        self.requested.store(true, Ordering::Relaxed);
    }
}

impl CustomLogitsProcessor for Ending {
    fn apply(&self, logits: &Tensor, _context: &[u32]) -> Result<Tensor> {
        if !self.requested.load(Ordering::Relaxed) {
            return Ok(logits.clone());
        }
        let length = logits.elem_count();
        let mut only_end = vec![f32::NEG_INFINITY; length];
        if let Some(end) = only_end.get_mut(self.end_token as usize) {
            *end = 0.0;
        }
        Tensor::from_vec(only_end, length, &Device::Cpu)
    }
}
