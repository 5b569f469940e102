//! A chain's state as the genesis of another chain (ADR 42).

mod support;

use std::sync::Arc;

use poq_app::block::Block;
use poq_app::genesis::Exported;
use poq_app::{App, NoReference, Options};
use poq_proto::v1::*;
use proptest::prelude::*;
use support::{Chain, DENOM, STAKE, Wallet, any, challenge_message, is_over, params};
use tendermint_proto::google::protobuf::Any;

/// Micro-logits whose quality is the model's target.
const GOOD: i32 = 4_000_000;
const DEPOSIT: u64 = 1_000_000;

/// The phase that a task reaches.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Submitted,
    Answered,
    Committed,
    Settled,
    Challenged,
    Final,
}

fn advance(chain: &mut Chain, phase: Phase) {
    if phase == Phase::Final || phase == Phase::Settled || phase == Phase::Challenged {
        let id = chain.settle("4000000", GOOD);
        if phase == Phase::Challenged {
            let challenge = challenge_message(&chain.inference[0], id, DEPOSIT);
            run(chain, |chain| &mut chain.inference[0], challenge);
        }
        if phase == Phase::Final {
            while !is_over(&chain.task(id)) {
                chain.blocks(1);
            }
        }
        return;
    }
    let id = chain.submit();
    if phase != Phase::Submitted {
        chain.answer(id, "4000000");
    }
    if phase == Phase::Committed {
        chain.commit(id, GOOD, &[]);
    }
}

fn run(chain: &mut Chain, wallet: fn(&mut Chain) -> &mut Wallet, message: Any) {
    let tx = wallet(chain).sign(vec![message]);
    let result = chain.block(&[tx]).remove(0);
    assert_eq!(result.code, 0, "{}", result.log);
}

fn user(chain: &mut Chain) -> &mut Wallet {
    &mut chain.user
}

/// Begins a chain with an export and returns that chain's export after its first block. The block
/// has no signatures, so it pays no fees.
fn reborn(exported: &Exported) -> Exported {
    let folder = tempfile::tempdir().unwrap();
    let app = App::open(folder.path(), Options::default(), Arc::new(NoReference)).unwrap();
    let json = serde_json::to_vec(&exported.app_state).unwrap();
    let (powers, extensions) = (&exported.validators, exported.vote_extensions_height);
    app.init_chain("poq-test-2", &json, powers, extensions)
        .unwrap();
    app.finalize_block(&Block::new(1, &[1; 32], &[] as &[Vec<u8>]))
        .unwrap();
    app.commit().unwrap();
    app.export(None).unwrap()
}

/// The chain's export, which a new chain must export again unchanged.
fn export(chain: &Chain) -> Exported {
    let exported = chain.app.export(None).unwrap();
    let again = reborn(&exported);
    assert_eq!(again.app_state, exported.app_state);
    assert_eq!(again.validators, exported.validators);
    assert_eq!(
        again.vote_extensions_height,
        exported.vote_extensions_height
    );
    assert!(again.notes.is_empty(), "{:?}", again.notes);
    exported
}

fn balance(exported: &Exported, address: &str) -> u128 {
    let mut accounts = exported.app_state.accounts.iter();
    let account = accounts.find(|account| account.address == address).unwrap();
    account.coins[0].amount.parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_chain_begins_with_an_export_and_exports_it_again(
        ended in prop::collection::vec(prop::sample::select(vec![
            Phase::Settled,
            Phase::Challenged,
            Phase::Final,
        ]), 0..3),
        // Only the last: a task that is left alone costs stake and may jail its nodes.
        left in prop::option::of(prop::sample::select(vec![
            Phase::Submitted,
            Phase::Answered,
            Phase::Committed,
        ])),
        (inference, evaluators) in (1u8..3, 5u8..8),
        unbonded in prop::option::of(1..STAKE / 4),
        silent_blocks in 0u64..12,
    ) {
        let params = Params {
            min_inference_stake: STAKE / 2,
            min_evaluator_stake: STAKE / 2,
            ..params()
        };
        let mut chain = Chain::with_params(params, inference, evaluators);
        for phase in ended.into_iter().chain(left) {
            advance(&mut chain, phase);
        }
        if let Some(amount) = unbonded {
            let operator = chain.evaluators[0].address.clone();
            let unbond = MsgUnbond { operator, role: Role::Evaluator.into(), amount };
            run(&mut chain, |chain| &mut chain.evaluators[0], any(&unbond));
        }
        chain.blocks(silent_blocks);
        let exported = export(&chain);
        prop_assert_eq!(exported.app_state.models.len(), 1);
        prop_assert_eq!(exported.app_state.validators.len(), 2);
    }
}

#[test]
fn open_tasks_end_in_favour_of_those_whose_money_they_hold() {
    for phase in [Phase::Submitted, Phase::Answered, Phase::Committed] {
        let mut chain = Chain::new(1, 5);
        advance(&mut chain, phase);
        let task = chain.tasks().remove(0);
        let before = chain.balance(&task.user);
        let exported = export(&chain);
        assert_eq!(
            exported.notes,
            [format!("task 1 is over and refunded to {}", task.user)]
        );
        assert_eq!(
            balance(&exported, &task.user),
            before + u128::from(task.escrow)
        );
    }

    let mut chain = Chain::new(1, 5);
    advance(&mut chain, Phase::Settled);
    let task = chain.tasks().remove(0);
    let settlement = task.settlement.unwrap();
    let node = settlement.inference.unwrap();
    let (user, operator) = (chain.balance(&task.user), chain.balance(&node.payout));
    let exported = export(&chain);
    assert_eq!(exported.notes, ["task 1 is paid as settled"]);
    assert_eq!(
        balance(&exported, &task.user),
        user + u128::from(settlement.refund)
    );
    assert_eq!(
        balance(&exported, &node.payout),
        operator + u128::from(node.amount)
    );
}

#[test]
fn a_task_that_is_audited_is_refunded_and_the_deposit_returns() {
    let mut chain = Chain::new(1, 5);
    advance(&mut chain, Phase::Challenged);
    let task = chain.tasks().remove(0);
    let challenger = task.audit.unwrap().challenger;
    let (user, other) = (chain.balance(&task.user), chain.balance(&challenger));
    let exported = export(&chain);
    assert_eq!(exported.notes.len(), 2, "{:?}", exported.notes);
    assert_eq!(
        balance(&exported, &task.user),
        user + u128::from(task.escrow)
    );
    assert_eq!(balance(&exported, &challenger), other + u128::from(DEPOSIT));
}

#[test]
fn a_node_that_could_not_register_gets_its_stake_back() {
    let mut chain = Chain::new(2, 5);
    let dearer = MsgUpdateParams {
        authority: chain.user.address.clone(),
        params: Some(Params {
            min_evaluator_stake: STAKE + 1,
            ..params()
        }),
    };
    run(&mut chain, user, any(&dearer));
    let unbond = MsgUnbond {
        operator: chain.inference[1].address.clone(),
        role: Role::Inference.into(),
        amount: STAKE,
    };
    run(&mut chain, |chain| &mut chain.inference[1], any(&unbond));
    let evaluator = chain.evaluators[0].address.clone();
    let before = (chain.balance(&evaluator), chain.balance(&unbond.operator));
    let exported = export(&chain);
    let nodes = &exported.app_state.nodes;
    assert_eq!(nodes.len(), 1);
    assert_eq!(nodes[0].operator, chain.inference[0].address);
    assert_eq!(balance(&exported, &evaluator), before.0 + u128::from(STAKE));
    assert_eq!(
        balance(&exported, &unbond.operator),
        before.1 + u128::from(STAKE)
    );
}

#[test]
fn a_deprecated_model_takes_its_nodes_along() {
    let mut chain = Chain::new(1, 5);
    let deprecated = MsgSetModel {
        authority: chain.user.address.clone(),
        model: Some(Model {
            deprecated: true,
            ..support::model()
        }),
    };
    run(&mut chain, user, any(&deprecated));
    let exported = export(&chain);
    let nodes = &exported.app_state.nodes;
    assert!(nodes.iter().all(|node| node.role() == Role::Evaluator));
    assert!(exported.app_state.models[0].deprecated);
}

#[test]
fn only_validators_with_power_stay() {
    let mut chain = Chain::new(1, 5);
    let wallet = chain.evaluators[0].address.clone();
    let register = MsgRegisterValidator {
        operator: wallet.clone(),
        public_key: chain.evaluators[0].consensus_key(),
        stake: STAKE,
        ..MsgRegisterValidator::default()
    };
    run(&mut chain, |chain| &mut chain.evaluators[0], any(&register));
    let before = chain.balance(&wallet);
    let exported = export(&chain);
    assert_eq!(exported.validators.len(), 2);
    assert_eq!(balance(&exported, &wallet), before + u128::from(STAKE));
    assert_eq!(exported.vote_extensions_height, 1);
}

#[test]
fn without_vrf_keys_votes_carry_no_outputs() {
    let chain = Chain::without_outputs(params(), 1, 5);
    let mut exported = export(&chain);
    for validator in &mut exported.app_state.validators {
        validator.vrf_key.clear();
    }
    exported.vote_extensions_height = 0;
    let again = reborn(&exported);
    assert_eq!(again.vote_extensions_height, 0);
    assert_eq!(
        again.notes,
        ["votes will carry no outputs: a validator has no VRF key"]
    );
}

#[test]
fn a_height_that_does_not_exist_is_refused() {
    let chain = Chain::new(1, 5);
    assert!(chain.app.export(Some(chain.height + 1)).is_err());
    let supply = chain.supply();
    let exported = chain.app.export(Some(1)).unwrap();
    let accounts = exported.app_state.accounts.iter();
    let coins = accounts.flat_map(|account| &account.coins);
    let coins = coins.filter(|coin| coin.denom == DENOM);
    let stakes = exported.app_state.nodes.iter().map(|node| node.stake);
    let stakes = stakes.chain(exported.app_state.validators.iter().map(|one| one.stake));
    let sum: u128 = coins.map(|coin| coin.amount.parse::<u128>().unwrap()).sum();
    assert_eq!(sum + stakes.map(u128::from).sum::<u128>(), supply);
}
