/// Prefix of the language models; the id follows.
pub(super) const MODELS: &str = "models/model/";
/// Prefix of the evaluator models; the id follows.
pub(super) const EVALUATOR_MODELS: &str = "models/evaluator-model/";

/// `poq.v1.Model`.
pub(super) fn model(id: &str) -> String {
    format!("{MODELS}{id}")
}

/// `poq.v1.EvaluatorModel`.
pub(super) fn evaluator_model(id: &str) -> String {
    format!("{EVALUATOR_MODELS}{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_should_not_change() {
        insta::assert_snapshot!(model("m"), @"models/model/m");
        insta::assert_snapshot!(evaluator_model("e"), @"models/evaluator-model/e");
    }
}
