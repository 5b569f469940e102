//! Ends an answer early in the way that the engine ends every answer: by its last token.
//!
//! mistral.rs also gives up a sequence whose reader is gone, but some steps later, and a
//! sequence that begins meanwhile would meet it in the engine (see `engine.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mistralrs::{CustomLogitsProcessor, Device, Result, Tensor};

/// A logits processor that leaves only the end token possible once it was asked to.
#[derive(Clone)]
pub struct Ending {
    end_token: u32,
    requested: Arc<AtomicBool>,
}

impl Ending {
    /// For one answer of a model whose answers end with `end_token`.
    pub fn new(end_token: u32) -> Self {
        Self {
            end_token,
            requested: Arc::default(),
        }
    }

    /// Makes the next token the last one.
    pub fn request(&self) {
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
