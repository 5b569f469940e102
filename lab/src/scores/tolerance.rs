//! How far ONNX Runtime's scores are from the reference evaluator's, and the audit tolerance that
//! follows.

mod difference;
mod pairs;
mod settings;

pub use difference::{Derivation, Differences};
pub use pairs::{OwnedPair, built_in, of_file};
pub use settings::compare;
