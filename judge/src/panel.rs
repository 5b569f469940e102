//! The evaluator models that judge a language model's answers.

use poq_client::Client;
use poq_proto::calibrate;
use poq_proto::v1::{EvaluatorModel, Model};

use crate::{Error, Judge};

/// The evaluator models of a language model with their weights: how often each is drawn for a seat.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel(Vec<(EvaluatorModel, u64)>);

impl Panel {
    /// A panel of these models.
    pub fn new(models: impl IntoIterator<Item = (EvaluatorModel, u64)>) -> Self {
        Self(models.into_iter().collect())
    }

    /// The panel that the chain's registry names for a language model.
    ///
    /// # Errors
    /// Those of the node.
    pub async fn read(client: &Client, model: &Model) -> poq_client::Result<Self> {
        let mut models = Vec::new();
        for share in &model.evaluator_models {
            let entry = client.evaluator_model(&share.id).await?;
            models.push((entry, share.weight.into()));
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
        let (mut sum, mut weights) = (0_u128, 0_u128);
        for (model, weight) in &self.0 {
            let raw = judge.score(model, prompt, answer)?;
            let quality = calibrate(&model.calibration, raw);
            sum += u128::from(quality) * u128::from(*weight);
            weights += u128::from(*weight);
        }
        let mean = sum.checked_div(weights).unwrap_or(0);
        Ok(u32::try_from(mean).unwrap_or(u32::MAX))
    }
}
