//! Distance of ONNX Runtime's scores from the reference evaluator's, and the resulting audit
//! tolerance.

mod difference;
mod pairs;
mod settings;

pub use difference::{Derivation, Differences};
pub use pairs::{OwnedPair, built_in, of_file};
pub use settings::compare;
