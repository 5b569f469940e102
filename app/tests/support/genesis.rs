//! The genesis of test chains.

use poq_app::modules::bank::default_metadata;
use poq_app::modules::validators::ValidatorPower;
use poq_proto::v1::*;

use super::{CAPACITY, DENOM, FUNDS, MODEL, POWER, SCORER, STAKE, Wallet};

/// Short windows and no minimum audit rate; the user is the authority.
pub(crate) fn params() -> Params {
    Params {
        authority: Wallet::new(1, 0).address,
        answer_window: 4,
        commit_window: 3,
        reveal_window: 3,
        audit_window: 2,
        audit_delay: 1,
        min_audit_rate: 0,
        model_activation_delay: 0,
        ..poq_app::modules::params::default_params()
    }
}

/// The wallets of a chain's genesis. Account numbers are in this order, from 0.
pub(crate) struct People {
    pub user: Wallet,
    pub inference: Vec<Wallet>,
    pub evaluators: Vec<Wallet>,
    pub validators: Vec<Wallet>,
}

impl People {
    pub(crate) fn new(inference: u8, evaluators: u8) -> Self {
        let wallets = |first: u8, count: u8, number: u8| {
            (0..count)
                .map(|index| Wallet::new(first + index, (number + index).into()))
                .collect::<Vec<_>>()
        };
        Self {
            user: Wallet::new(1, 0),
            inference: wallets(50, inference, 1),
            evaluators: wallets(100, evaluators, 1 + inference),
            validators: wallets(30, 2, 1 + inference + evaluators),
        }
    }

    pub(crate) fn genesis(&self, params: Params) -> GenesisState {
        let account = |wallet: &Wallet| GenesisAccount {
            address: wallet.address.clone(),
            coins: vec![GenesisCoin {
                denom: DENOM.into(),
                amount: FUNDS.to_string(),
            }],
        };
        let node = |role: Role, model: &str, wallet: &Wallet| GenesisNode {
            role: role.into(),
            operator: wallet.address.clone(),
            models: vec![model.into()],
            stake: STAKE,
            capacity: CAPACITY,
            ..GenesisNode::default()
        };
        let validator = |wallet: &Wallet| GenesisValidator {
            operator: wallet.address.clone(),
            public_key: wallet.consensus_key(),
            stake: STAKE,
            vrf_key: super::secret(wallet).public_key().to_vec(),
            ..GenesisValidator::default()
        };
        let inference = self.inference.iter();
        let evaluators = self.evaluators.iter();
        GenesisState {
            params: Some(params),
            accounts: [&self.user]
                .into_iter()
                .chain(inference.clone())
                .chain(evaluators.clone())
                .chain(&self.validators)
                .map(account)
                .collect(),
            models: vec![model()],
            evaluator_models: vec![scorer()],
            nodes: inference
                .map(|wallet| node(Role::Inference, MODEL, wallet))
                .chain(evaluators.map(|wallet| node(Role::Evaluator, SCORER, wallet)))
                .collect(),
            validators: self.validators.iter().map(validator).collect(),
            denom_metadata: vec![default_metadata(DENOM)],
        }
    }
}

/// CometBFT's initial voting powers.
pub(crate) fn powers(validators: &[Wallet]) -> Vec<ValidatorPower> {
    let power = |wallet: &Wallet| ValidatorPower {
        public_key: wallet.consensus_key(),
        power: POWER,
    };
    validators.iter().map(power).collect()
}

/// The language model.
pub(crate) fn model() -> Model {
    Model {
        deprecated: false,
        id: MODEL.into(),
        architecture: "llama".into(),
        weights_sha256: "ab".repeat(32),
        context_tokens: 8192,
        base_price: 1_000,
        price_per_prompt_byte: 10,
        price_per_answer_byte: 40,
        quality_floor: 200_000,
        quality_target: 700_000,
        evaluator_models: vec![WeightedEvaluatorModel {
            id: SCORER.into(),
            weight: 1,
        }],
        max_prompt_bytes: 0,
    }
}

/// The evaluator model: quality rises from 0 at -10 logits to 1 at 10.
pub(crate) fn scorer() -> EvaluatorModel {
    EvaluatorModel {
        deprecated: false,
        id: SCORER.into(),
        kind: EvaluatorKind::CrossEncoder.into(),
        weights_sha256: "cd".repeat(32),
        tokenizer_sha256: "ef".repeat(32),
        max_tokens: 512,
        calibration: vec![
            CalibrationPoint {
                raw_score: -10_000_000,
                quality: 0,
            },
            CalibrationPoint {
                raw_score: 10_000_000,
                quality: 1_000_000,
            },
        ],
        audit_tolerance: 1_000,
        max_windows: 0,
        caps_junk: false,
        licence: String::new(),
        registered_height: 0,
    }
}
