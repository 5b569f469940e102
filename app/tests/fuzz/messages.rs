//! Messages that can succeed, on a chain with tasks and sessions in every phase.

use poq_proto::v1::*;
use tendermint_proto::google::protobuf::Any;

use crate::sessions;
use crate::support::{
    self, Chain, STAKE, Wallet, any, challenge_message, commit_message, duty_message, find,
    reveal_message, send, submit_message,
};

const SCORE: i32 = 4_000_000;

/// Every query path.
pub(crate) const QUERIES: &[&str] = &[
    "/poq.v1.Query/Params",
    "/poq.v1.Query/Model",
    "/poq.v1.Query/Models",
    "/poq.v1.Query/EvaluatorModel",
    "/poq.v1.Query/EvaluatorModels",
    "/poq.v1.Query/Node",
    "/poq.v1.Query/Nodes",
    "/poq.v1.Query/Task",
    "/poq.v1.Query/Tasks",
    "/poq.v1.Query/Payload",
    "/poq.v1.Query/Duties",
    "/poq.v1.Query/Audits",
    "/poq.v1.Query/Session",
    "/poq.v1.Query/Sessions",
    "/poq.v1.Query/Validator",
    "/poq.v1.Query/Validators",
    "/poq.v1.Query/Beacon",
    "/cosmos.auth.v1beta1.Query/Account",
    "/cosmos.auth.v1beta1.Query/AccountInfo",
    "/cosmos.auth.v1beta1.Query/ModuleAccounts",
    "/cosmos.auth.v1beta1.Query/ModuleAccountByName",
    "/cosmos.auth.v1beta1.Query/Params",
    "/cosmos.bank.v1beta1.Query/Balance",
    "/cosmos.bank.v1beta1.Query/AllBalances",
    "/cosmos.bank.v1beta1.Query/SpendableBalances",
    "/cosmos.bank.v1beta1.Query/SpendableBalanceByDenom",
    "/cosmos.bank.v1beta1.Query/TotalSupply",
    "/cosmos.bank.v1beta1.Query/SupplyOf",
    "/cosmos.tx.v1beta1.Service/Simulate",
    "/no.such/Path",
];

/// Tasks 1 to 4 are settled, revealing, committing and assigned.
pub(crate) fn chain(params: Params) -> Chain {
    let params = Params {
        answer_window: 60,
        commit_window: 30,
        reveal_window: 20,
        audit_window: 30,
        sessions: Some(sessions::params()),
        ..params
    };
    let mut chain = Chain::with_params(params, 2, 6);
    sessions::begin(&mut chain);
    for _ in 0..4 {
        chain.submit();
    }
    for id in 1..=3 {
        chain.answer(id, "Paris.");
    }
    for id in 1..=2 {
        chain.commit(id, SCORE, &[]);
    }
    chain.reveal(1, SCORE, &[]);
    chain
}

/// All signers, in the order of the indices in [`messages`].
pub(crate) fn signers(chain: &Chain) -> Vec<Wallet> {
    let mut wallets = vec![chain.user.clone()];
    wallets.extend(chain.inference.iter().cloned());
    wallets.extend(chain.evaluators.iter().cloned());
    wallets.extend(chain.validators.iter().cloned());
    wallets
}

/// Messages that succeed, each with the index of its signer.
pub(crate) fn messages(chain: &mut Chain) -> Vec<(usize, Any)> {
    let user = chain.user.address.clone();
    let authority = user.clone();
    let mut messages = vec![
        (0, any(&submit_message(&chain.user))),
        (0, send(&chain.user, &chain.inference[0].address, 5)),
        (0, challenge_message(&chain.user, 1, 1_000_000)),
        (
            0,
            any(&MsgSetModel {
                authority: authority.clone(),
                model: Some(support::model()),
            }),
        ),
        (
            0,
            any(&MsgSetEvaluatorModel {
                authority: authority.clone(),
                evaluator_model: Some(support::scorer()),
            }),
        ),
        (
            0,
            any(&MsgRegisterEvaluator {
                operator: user.clone(),
                evaluator_models: vec![support::SCORER.into()],
                stake: STAKE,
                ..MsgRegisterEvaluator::default()
            }),
        ),
        (
            0,
            any(&MsgRegisterInferenceNode {
                operator: user.clone(),
                models: vec![support::MODEL.into()],
                stake: STAKE,
                ..MsgRegisterInferenceNode::default()
            }),
        ),
        (
            0,
            any(&MsgAddStake {
                operator: user.clone(),
                role: Role::Inference.into(),
                amount: STAKE,
            }),
        ),
        (
            0,
            any(&MsgUnbond {
                operator: user.clone(),
                role: Role::Inference.into(),
                amount: STAKE,
            }),
        ),
        (
            0,
            any(&MsgUpdateNode {
                operator: user,
                role: Role::Inference.into(),
                models: vec![support::MODEL.into()],
                ..MsgUpdateNode::default()
            }),
        ),
    ];
    let signers: Vec<String> = signers(chain)
        .iter()
        .map(|wallet| wallet.address.clone())
        .collect();
    let index = |address: &str| signers.iter().position(|signer| signer == address).unwrap();
    let assigned = chain.task(4).assignments[0].operator.clone();
    let duties = chain.duties(Role::Inference, &assigned);
    let wallet = find(&mut chain.inference, &assigned);
    let answer = duty_message(wallet, &duties, "Paris.", SCORE);
    messages.push((index(&assigned), answer));
    for (signer, message) in sessions::messages(chain) {
        messages.push((index(&signer), message));
    }
    for id in [2, 3] {
        let seats = chain.task(id).committees[0].seats.clone();
        for seat in seats {
            let wallet = find(&mut chain.evaluators, &seat.operator);
            let message = match id {
                2 => any(&reveal_message(wallet, id, SCORE)),
                _ => any(&commit_message(wallet, id, 0, SCORE)),
            };
            messages.push((index(&seat.operator), message));
        }
    }
    messages
}

/// A transaction for each message, in an order in which all of them succeed.
pub(crate) fn transactions(chain: &mut Chain) -> Vec<Vec<u8>> {
    let messages = messages(chain);
    let mut signers = signers(chain);
    messages
        .into_iter()
        .map(|(signer, message)| signers[signer].sign(vec![message]))
        .collect()
}
