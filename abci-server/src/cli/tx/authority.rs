//! `poqd tx poq`: commands of the authority.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use poq_client::any;
use poq_judge::Judge;
use poq_proto::v1::{
    EvaluatorModel, Model, MsgEnableVoteExtensions, MsgSetEvaluatorModel, MsgSetModel,
    MsgSetValidatorPower, MsgUpdateParams, Params,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::account::Account;
use crate::cli::input::read_bytes;
use crate::home::Home;
use crate::home::settings::AppSettings;

/// Commands of the authority.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Authority {
    /// Authority: set a validator's voting power; 0 takes it out of consensus.
    SetValidatorPower {
        /// Address of the validator's operator.
        operator: String,
        /// Voting power.
        power: u64,
    },
    /// Authority: register a language model, or replace its entry for future tasks.
    SetModel {
        /// File with proto3 JSON, as `poqd query poq model ID --output json` prints it; - is standard
        /// input.
        file: PathBuf,
    },
    /// Authority: register an evaluator model, or replace its entry for future scores.
    SetEvaluatorModel {
        /// File with proto3 JSON, as `poqd query poq evaluator-model ID --output json` prints it; - is
        /// standard input.
        file: PathBuf,
        /// Folder with the model's files, which are tested before the transaction is signed; default:
        /// as for `start`.
        #[arg(long, value_name = "DIR")]
        evaluator_models: Option<PathBuf>,
        /// Do not test the files. If audits cannot compute a model, they cannot find false scores.
        #[arg(long, conflicts_with = "evaluator_models")]
        without_files: bool,
    },
    /// Authority: set the height from which votes carry VRF outputs. Every validator with power needs a
    /// VRF key.
    EnableVoteExtensions {
        /// Height, at least two blocks after the one with this transaction.
        height: u64,
    },
    /// Authority: change parameters.
    UpdateParams {
        /// File with all parameters as proto3 JSON, as `poqd query poq params --output json` prints
        /// them; - is standard input.
        #[arg(required_unless_present = "set", conflicts_with = "set")]
        file: Option<PathBuf>,
        /// Change one parameter and keep the others, for example answer_window=20,
        /// sessions.leaf_window=60 or sessions={…} with all fields as JSON; may be repeated.
        #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
        set: Vec<(String, String)>,
    },
}

impl Authority {
    pub(super) async fn run(self, account: &Account, home: &Home) -> anyhow::Result<()> {
        let authority = account.address().to_owned();
        let message = match self {
            Self::SetValidatorPower { operator, power } => any(&MsgSetValidatorPower {
                authority,
                operator,
                power,
            }),
            Self::EnableVoteExtensions { height } => {
                any(&MsgEnableVoteExtensions { authority, height })
            }
            Self::SetModel { file } => {
                let model: Model = read_message(&file, Some("model"))?;
                any(&MsgSetModel {
                    authority,
                    model: Some(model),
                })
            }
            Self::SetEvaluatorModel {
                file,
                evaluator_models,
                without_files,
            } => {
                let model: EvaluatorModel = read_message(&file, Some("evaluator_model"))?;
                if !without_files && !model.deprecated {
                    let mut settings = AppSettings::load(home)?;
                    settings.evaluator_models = evaluator_models.or(settings.evaluator_models);
                    Judge::new(settings.evaluator_models_folder(home))
                        .load(&model)
                        .context(
                            "audits could not compute this model; --without-files sends it anyway",
                        )?;
                }
                any(&MsgSetEvaluatorModel {
                    authority,
                    evaluator_model: Some(model),
                })
            }
            Self::UpdateParams { file, set } => {
                let params = match file {
                    Some(file) => read_message(&file, Some("params"))?,
                    None => changed(&account.params, set)?,
                };
                any(&MsgUpdateParams {
                    authority,
                    params: Some(params),
                })
            }
        };
        account.execute(message).await
    }
}

/// Reads a message as proto3 JSON. The file may also be a whole query response that has the message in
/// `field`.
pub(in crate::cli) fn read_message<M: DeserializeOwned>(
    file: &Path,
    field: Option<&str>,
) -> anyhow::Result<M> {
    let name = file.display();
    let json = read_bytes(file).with_context(|| format!("cannot read {name}"))?;
    parse_message(&json, field).with_context(|| format!("{name} is not valid"))
}

fn parse_message<M: DeserializeOwned>(json: &[u8], field: Option<&str>) -> anyhow::Result<M> {
    let mut value: Value = serde_json::from_slice(json)?;
    if let (Some(fields), Some(field)) = (value.as_object_mut(), field)
        && fields.len() == 1
        && let Some(inner) = fields.remove(field)
    {
        value = inner;
    }
    Ok(serde_json::from_value(value)?)
}

/// Applies changes to the parameters.
fn changed(params: &Params, set: Vec<(String, String)>) -> anyhow::Result<Params> {
    let mut value = serde_json::to_value(params)?;
    let Some(fields) = value.as_object_mut() else {
        bail!("the parameters are not a JSON object");
    };
    for (name, text) in set {
        let (fields, name) = match name.split_once('.') {
            None => (&mut *fields, name.as_str()),
            Some((group, name)) => match fields.get_mut(group) {
                Some(Value::Object(inner)) => (inner, name),
                _ => bail!("--set {group}.{name} cannot be used: the chain has no {group} yet"),
            },
        };
        let value = match serde_json::from_str(&text) {
            Ok(object @ Value::Object(_)) => object,
            // Numbers and enum names are also read from text.
            _ => Value::String(text),
        };
        fields.insert(name.to_owned(), value);
    }
    serde_json::from_value(value).context("--set cannot be used")
}

fn assignment(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .ok_or_else(|| "expected NAME=VALUE, for example answer_window=20".into())
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::{Aggregation, SessionParams};

    use super::*;

    #[test]
    fn named_parameters_change_and_the_others_stay() {
        let params = Params {
            denom: "upoq".into(),
            answer_window: 10,
            committee_size: 5,
            ..Params::default()
        };
        let set = [
            "answer_window=20",
            "aggregation=AGGREGATION_MEAN",
            "committee_size=7",
        ];
        let set = set.map(|text| assignment(text).unwrap()).into();
        let expected = Params {
            answer_window: 20,
            committee_size: 7,
            aggregation: Aggregation::Mean.into(),
            ..params.clone()
        };
        assert_eq!(changed(&params, set).unwrap(), expected);
        for wrong in [
            "answer_windows=1",
            "answer_window=soon",
            "committee_size=-1",
        ] {
            let set = vec![assignment(wrong).unwrap()];
            let error = format!("{:#}", changed(&params, set).unwrap_err());
            assert!(error.contains("--set"), "{error}");
        }
        assert!(assignment("answer_window").is_err());
    }

    #[test]
    fn groups_of_parameters_are_set_as_json_and_changed_by_field() {
        let change = |params: &Params, text: &str| changed(params, vec![assignment(text).unwrap()]);
        let off = Params::default();
        let error = change(&off, "sessions.leaf_window=60")
            .unwrap_err()
            .to_string();
        assert!(error.contains("no sessions yet"), "{error}");
        let on = change(&off, r#"sessions={"leaf_window": "7", "min_samples": 8}"#).unwrap();
        let expected = SessionParams {
            leaf_window: 7,
            min_samples: 8,
            ..SessionParams::default()
        };
        assert_eq!(on.sessions, Some(expected));
        let changed = change(&on, "sessions.leaf_window=60").unwrap();
        let expected = SessionParams {
            leaf_window: 60,
            ..expected
        };
        assert_eq!(changed.sessions, Some(expected));
        assert!(change(&on, "sessions.leaf_windows=60").is_err());
    }

    #[test]
    fn a_message_may_be_wrapped_as_in_an_answer() {
        for json in [r#"{"id": "m"}"#, r#"{"model": {"id": "m"}}"#] {
            let model: Model = parse_message(json.as_bytes(), Some("model")).unwrap();
            assert_eq!(model.id, "m");
        }
        let wrong = parse_message::<Model>(br#"{"model": {"name": "m"}}"#, Some("model"));
        assert!(wrong.is_err());
    }
}
