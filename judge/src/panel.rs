//! The evaluator models that judge a language model's answers.

use poq_client::Client;
use poq_proto::calibrate;
use poq_proto::v1::EvaluatorModel;

use crate::{Error, Judge};

/// The evaluator models of a language model with their weights: how often each is drawn for a seat.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel(Vec<(EvaluatorModel, u32)>);

impl Panel {
    /// The panel that the chain's registry names for the language model with this id.
    ///
    /// # Errors
    /// Those of the node.
    pub async fn read(client: &Client, model: &str) -> poq_client::Result<Self> {
        let mut models = Vec::new();
        for share in &client.model(model).await?.evaluator_models {
            let entry = client.evaluator_model(&share.id).await?;
            models.push((entry, share.weight));
        }
        Ok(Self(models))
    }

    /// The models' ids.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(model, _)| model.id.as_str())
    }

    /// Reads the files of all models.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn load(&self, judge: &Judge) -> Result<(), Error> {
        let mut models = self.0.iter();
        models.try_for_each(|(model, _)| judge.load(model).map(drop))
    }

    /// The quality that a committee can be expected to find, ppm: the mean over the seats. It is the
    /// chain's own if there is one evaluator model; committees of several kinds vary around it. 0 if
    /// there is none. `prompt` is the text that is judged: of a chat its scoring text.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn quality(&self, judge: &Judge, prompt: &str, answer: &str) -> Result<u32, Error> {
        let mut qualities = Vec::new();
        for (model, weight) in &self.0 {
            let raw = judge.score(model, prompt, answer)?;
            qualities.push((calibrate(&model.calibration, raw), *weight));
        }
        Ok(mean(&qualities))
    }
}

/// The mean of qualities by their weights, rounded down; 0 without weights.
fn mean(qualities: &[(u32, u32)]) -> u32 {
    let product = |(quality, weight): &(u32, u32)| u128::from(*quality) * u128::from(*weight);
    let weights: u128 = qualities
        .iter()
        .map(|(_, weight)| u128::from(*weight))
        .sum();
    let sum: u128 = qualities.iter().map(product).sum();
    let mean = sum.checked_div(weights).unwrap_or(0);
    u32::try_from(mean).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_count_by_their_weights() {
        assert_eq!(mean(&[]), 0);
        assert_eq!(mean(&[(700_001, 0)]), 0);
        assert_eq!(mean(&[(700_001, 9)]), 700_001);
        assert_eq!(mean(&[(900_000, 1), (100_000, 3)]), 300_000);
        assert_eq!(mean(&[(1, 1), (2, 1)]), 1);
        assert_eq!(mean(&[(u32::MAX, u32::MAX), (u32::MAX, 1)]), u32::MAX);
    }
}
