//! Validators: owners, power, fees and evidence.

use poq_app::modules::validators::{ValidatorPower, consensus_address};
use poq_app::{Address, App, Options};
use poq_proto::v1::*;
use poq_proto::{code, event};
use tendermint_proto::google::protobuf::Any;

use crate::nodes::{add_stake, short_unbonding, unbond};
use crate::support::{
    self, CHAIN_ID, Chain, GAS, POWER, STAKE, Wallet, any, params, powers, send, vote,
};
use crate::{check, code_of, run, user, validator};

fn register(wallet: &Wallet, public_key: Vec<u8>, stake: u64) -> Any {
    any(&MsgRegisterValidator {
        operator: wallet.address.clone(),
        public_key,
        stake,
        ..MsgRegisterValidator::default()
    })
}

fn set_power(chain: &Chain, operator: &Wallet, power: u64) -> Any {
    any(&MsgSetValidatorPower {
        authority: chain.user.address.clone(),
        operator: operator.address.clone(),
        power,
    })
}

fn update(wallet: &Wallet, power: u64) -> ValidatorPower {
    ValidatorPower {
        public_key: wallet.consensus_key(),
        power,
    }
}

fn accuse(chain: &mut Chain, wallet: usize) {
    let key = chain.validators[wallet].consensus_key();
    chain.offenders.push(consensus_address(&key).to_vec());
}

fn pool(chain: &Chain) -> u128 {
    chain.balance(Address::of_module("protocol", "poq").unwrap().as_str())
}

#[test]
fn a_key_is_registered_and_gets_power_from_the_authority() {
    let mut chain = Chain::without_outputs(crate::support::params(), 1, 5);
    let newcomer = &chain.inference[0];
    let key = newcomer.consensus_key();
    let taken = chain.validators[0].consensus_key();
    for (message, expected) in [
        (
            register(newcomer, key.clone(), STAKE - 1),
            code::STAKE_TOO_LOW,
        ),
        (
            register(newcomer, key[1..].to_vec(), STAKE),
            code::INVALID_PUBKEY,
        ),
        (register(newcomer, taken, STAKE), code::KEY_TAKEN),
        (
            register(newcomer, key.clone(), 100 * STAKE),
            code::INSUFFICIENT_FUNDS,
        ),
    ] {
        assert_eq!(check(&chain, newcomer, message), expected);
    }
    let unknown = set_power(&chain, &chain.inference[0], 5);
    assert_eq!(check(&chain, &chain.user, unknown), code::NOT_REGISTERED);

    let message = register(&chain.inference[0], key.clone(), STAKE);
    run(&mut chain, crate::inference, message.clone());
    assert!(chain.updates.is_empty());
    assert_eq!(chain.validator(&chain.inference[0].address).power, 0);
    assert_eq!(chain.validators().len(), 3);
    assert_eq!(
        check(&chain, &chain.inference[0], message),
        code::ALREADY_REGISTERED
    );
    chain.assert_money_is_conserved();

    let message = set_power(&chain, &chain.inference[0], 5);
    run(&mut chain, user, message);
    assert_eq!(chain.updates, [update(&chain.inference[0], 5)]);
    assert_eq!(chain.validator(&chain.inference[0].address).power, 5);
    chain.block(&[]);
    assert!(chain.updates.is_empty());
}

#[test]
fn consensus_hears_of_a_key_once_and_only_of_changes() {
    let mut chain = Chain::without_outputs(crate::support::params(), 1, 5);
    let messages = [7, 3, 4].map(|power| set_power(&chain, &chain.validators[0], power));
    let tx = chain.user.sign(messages.to_vec());
    assert_eq!(chain.block(&[tx])[0].code, 0);
    assert_eq!(chain.updates, [update(&chain.validators[0], 4)]);
    // Removed and added again: CometBFT must not be told to remove an unknown validator.
    let key = chain.inference[0].consensus_key();
    let message = register(&chain.inference[0], key, STAKE);
    run(&mut chain, crate::inference, message);
    let messages = [5, 0].map(|power| set_power(&chain, &chain.inference[0], power));
    let tx = chain.user.sign(messages.to_vec());
    assert_eq!(chain.block(&[tx])[0].code, 0);
    assert!(chain.updates.is_empty());
    // A failed transaction changes nothing.
    let broke = send(&chain.user, &chain.inference[0].address, u64::MAX);
    let tx = chain
        .user
        .sign(vec![set_power(&chain, &chain.validators[0], 9), broke]);
    assert_ne!(chain.block(&[tx])[0].code, 0);
    assert!(chain.updates.is_empty());
}

#[test]
fn some_validator_keeps_power_and_none_gets_too_much() {
    let mut chain = Chain::without_outputs(crate::support::params(), 1, 5);
    let limit = i64::MAX.unsigned_abs() / 8;
    let message = set_power(&chain, &chain.validators[0], limit - POWER + 1);
    assert_eq!(check(&chain, &chain.user, message), code::INVALID_REQUEST);
    let message = set_power(&chain, &chain.validators[0], u64::MAX);
    assert_eq!(check(&chain, &chain.user, message), code::INVALID_REQUEST);
    let message = set_power(&chain, &chain.validators[0], limit - POWER);
    run(&mut chain, user, message);
    let message = set_power(&chain, &chain.validators[0], 0);
    run(&mut chain, user, message);
    assert_eq!(chain.updates, [update(&chain.validators[0], 0)]);
    let message = set_power(&chain, &chain.validators[1], 0);
    assert_eq!(check(&chain, &chain.user, message), code::LAST_VALIDATOR);
}

#[test]
fn a_validator_with_power_keeps_the_minimum() {
    let mut chain = Chain::without_outputs(short_unbonding(), 1, 5);
    let wallet = chain.validators[0].address.clone();
    let message = add_stake(&chain.validators[0], Role::Validator, 5);
    run(&mut chain, validator, message);
    let message = unbond(&chain.validators[0], Role::Validator, 6);
    assert_eq!(
        check(&chain, &chain.validators[0], message),
        code::STAKE_TOO_LOW
    );
    let message = unbond(&chain.validators[0], Role::Validator, 5);
    run(&mut chain, validator, message);
    let message = set_power(&chain, &chain.validators[0], 0);
    run(&mut chain, user, message);
    let message = unbond(&chain.validators[0], Role::Validator, 10);
    run(&mut chain, validator, message);
    let message = set_power(&chain, &chain.validators[0], 5);
    assert_eq!(check(&chain, &chain.user, message), code::STAKE_TOO_LOW);
    let message = unbond(&chain.validators[0], Role::Validator, STAKE - 10);
    run(&mut chain, validator, message);
    chain.assert_money_is_conserved();
    chain.blocks(110);
    // The account and the key are available again.
    assert!(
        chain
            .validators()
            .iter()
            .all(|found| found.operator != wallet)
    );
    chain.assert_money_is_conserved();
    let key = chain.validators[0].consensus_key();
    let message = register(&chain.validators[0], key, STAKE);
    run(&mut chain, validator, message);
    chain.assert_money_is_conserved();
}

#[test]
fn fees_are_shared_by_power_among_those_who_signed() {
    let mut chain = Chain::without_outputs(crate::support::params(), 1, 5);
    let [first, second] = [0, 1].map(|index| chain.validators[index].address.clone());
    let balances = |chain: &Chain| [&first, &second].map(|address| chain.balance(address));
    chain.votes = vec![vote(&chain.validators[0], 2), vote(&chain.validators[1], 1)];
    let before = balances(&chain);
    let message = send(&chain.user, &chain.inference[0].address, 1);
    run(&mut chain, user, message.clone());
    let fee = u128::from(GAS / 100);
    assert_eq!((pool(&chain), balances(&chain)), (fee, before));
    chain.block(&[]);
    // 4,000 · 2/3 and 4,000 · 1/3; one base unit stays.
    let shared = [before[0] + 2_666, before[1] + 1_333];
    assert_eq!((fee, pool(&chain), balances(&chain)), (4_000, 1, shared));
    assert_eq!(chain.validator(&first).earned, 2_666);
    let paid = chain
        .events
        .iter()
        .filter(|found| found.r#type == event::VALIDATOR_PAID);
    assert_eq!(paid.count(), 2);

    // An unknown or absent validator gets nothing, and its part waits.
    chain.votes = vec![vote(&chain.validators[0], 1), vote(&chain.inference[0], 1)];
    run(&mut chain, user, message.clone());
    chain.block(&[]);
    assert_eq!(pool(&chain), 4_001 - 2_000);
    chain.votes.clear();
    chain.blocks(3);
    assert_eq!(pool(&chain), 2_001);
    chain.assert_money_is_conserved();
}

#[test]
fn a_share_goes_to_the_payout_account() {
    let mut chain = Chain::without_outputs(crate::support::params(), 1, 5);
    let wallet = &chain.inference[0];
    let message = any(&MsgRegisterValidator {
        operator: wallet.address.clone(),
        payout: chain.evaluators[0].address.clone(),
        public_key: wallet.consensus_key(),
        stake: STAKE,
        ..MsgRegisterValidator::default()
    });
    let before = chain.balance(&chain.evaluators[0].address);
    chain.votes = vec![vote(wallet, 1)];
    run(&mut chain, crate::inference, message);
    chain.block(&[]);
    assert_eq!(
        chain.balance(&chain.evaluators[0].address),
        before + u128::from(GAS / 100)
    );
}

#[test]
fn who_signs_twice_is_slashed_and_never_comes_back() {
    let mut chain = Chain::without_outputs(short_unbonding(), 1, 5);
    let wallet = chain.validators[0].address.clone();
    let message = add_stake(&chain.validators[0], Role::Validator, STAKE);
    run(&mut chain, validator, message);
    let message = unbond(&chain.validators[0], Role::Validator, STAKE);
    run(&mut chain, validator, message);
    chain.block(&[]);
    accuse(&mut chain, 0);
    chain.offenders.push(vec![7; 20]);
    chain.offenders.push(Vec::new());
    let burnt = chain.burnt();
    chain.block(&[]);
    let found = chain.validator(&wallet);
    assert!(found.tombstoned);
    assert_eq!((found.power, found.slashed), (0, STAKE / 10));
    assert_eq!(found.stake, STAKE - STAKE / 20);
    assert_eq!(found.unbonding[0].amount, STAKE - STAKE / 20);
    assert_eq!(chain.burnt() - burnt, u128::from(STAKE / 10));
    assert_eq!(chain.updates, [update(&chain.validators[0], 0)]);
    let told = chain
        .events
        .iter()
        .find(|found| found.r#type == event::VALIDATOR_SLASHED);
    assert!(told.is_some(), "{:?}", chain.events);
    chain.assert_money_is_conserved();

    // The same evidence again changes nothing.
    accuse(&mut chain, 0);
    chain.block(&[]);
    assert_eq!(chain.validator(&wallet).slashed, STAKE / 10);
    assert!(chain.updates.is_empty());
    for (sender, message) in [
        (&chain.user, set_power(&chain, &chain.validators[0], 1)),
        (
            &chain.validators[0],
            add_stake(&chain.validators[0], Role::Validator, STAKE),
        ),
    ] {
        assert_eq!(check(&chain, sender, message), code::TOMBSTONED);
    }
    // The validator may unbond the rest, but its key stays banned.
    let rest = chain.validator(&wallet).stake;
    let message = unbond(&chain.validators[0], Role::Validator, rest);
    run(&mut chain, validator, message);
    chain.blocks(111);
    let key = chain.validators[0].consensus_key();
    let message = register(&chain.inference[0], key, STAKE);
    assert_eq!(check(&chain, &chain.inference[0], message), code::KEY_TAKEN);
    chain.assert_money_is_conserved();
}

#[test]
fn the_last_validator_keeps_its_power() {
    let mut chain = Chain::without_outputs(crate::support::params(), 1, 5);
    accuse(&mut chain, 0);
    accuse(&mut chain, 1);
    chain.block(&[]);
    assert_eq!(chain.updates, [update(&chain.validators[0], 0)]);
    let last = chain.validator(&chain.validators[1].address);
    assert_eq!((last.tombstoned, last.power), (true, POWER));
    // A tombstoned validator earns nothing.
    let message = send(&chain.user, &chain.inference[0].address, 1);
    run(&mut chain, user, message);
    chain.blocks(2);
    assert_eq!(pool(&chain), u128::from(GAS / 100));
    // Once another validator has power, the authority removes this one's.
    let key = chain.inference[0].consensus_key();
    let message = register(&chain.inference[0], key, STAKE);
    run(&mut chain, crate::inference, message);
    let messages = vec![
        set_power(&chain, &chain.inference[0], 5),
        set_power(&chain, &chain.validators[1], 0),
    ];
    let tx = chain.user.sign(messages);
    assert_eq!(chain.block(&[tx])[0].code, 0);
    assert_eq!(chain.updates.len(), 2);
    chain.assert_money_is_conserved();
}

/// The error of InitChain for a changed genesis of two validators.
fn start(change: impl FnOnce(&mut GenesisState, &mut Vec<ValidatorPower>)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let app = App::open(
        folder.path(),
        Options::default(),
        std::sync::Arc::new(support::TextScorer),
    )
    .unwrap();
    let people = support::People {
        user: Wallet::new(1, 0),
        inference: vec![Wallet::new(50, 1), Wallet::new(51, 2)],
        evaluators: Vec::new(),
        validators: vec![Wallet::new(30, 3), Wallet::new(31, 4)],
    };
    let mut genesis = people.genesis(params());
    let mut powers = powers(&people.validators);
    change(&mut genesis, &mut powers);
    let json = serde_json::to_vec(&genesis).unwrap();
    match app.init_chain(CHAIN_ID, &json, &powers, 0) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn genesis_and_consensus_start_with_the_same_validators() {
    assert_eq!(start(|_, _| {}), "");
    let error = start(|_, powers| powers.clear());
    assert!(error.contains("genesis.json has no validators"), "{error}");
    let error = start(|genesis, _| genesis.validators.truncate(1));
    assert!(error.contains("has no owner"), "{error}");
    let error = start(|_, powers| powers.truncate(1));
    assert!(
        error.contains("is not a validator of genesis.json"),
        "{error}"
    );
    let error = start(|_, powers| powers[1] = powers[0].clone());
    assert!(error.contains("twice"), "{error}");
    let error = start(|_, powers| powers[0].power = 0);
    assert!(error.contains("without power"), "{error}");
    let error = start(|_, powers| powers[0].power = u64::MAX);
    assert!(error.contains("CometBFT allows"), "{error}");
}

#[test]
fn genesis_has_nothing_twice_and_no_wrong_sums() {
    let error = start(|genesis, _| {
        genesis.validators[1].public_key = genesis.validators[0].public_key.clone()
    });
    assert!(error.contains("another validator"), "{error}");
    let error =
        start(|genesis, _| genesis.validators[1].operator = genesis.validators[0].operator.clone());
    assert!(error.contains("already"), "{error}");
    let error = start(|genesis, _| genesis.validators[0].stake = 1);
    assert!(error.contains("below the minimum"), "{error}");
    let error = start(|genesis, _| genesis.models.push(support::model()));
    assert!(error.contains("model llm twice"), "{error}");
    let error = start(|genesis, _| genesis.evaluator_models.push(support::scorer()));
    assert!(
        error.contains("evaluator model cross-encoder twice"),
        "{error}"
    );
    let error = start(|genesis, _| genesis.accounts.push(genesis.accounts[0].clone()));
    assert!(error.contains("twice"), "{error}");
    let error = start(|genesis, _| genesis.nodes.push(genesis.nodes[0].clone()));
    assert!(error.contains("already"), "{error}");
    let error = start(|genesis, _| genesis.nodes[1].payout = genesis.nodes[0].operator.clone());
    assert!(error.contains("another inference node"), "{error}");
    let error = start(|genesis, _| genesis.nodes[0].role = Role::Validator.into());
    assert!(error.contains("expected the role"), "{error}");
    let error = start(|genesis, _| genesis.accounts[0].coins[0].amount = u128::MAX.to_string());
    assert!(error.contains("exceeds 128 bits"), "{error}");
    // Sums of prices and stakes have 64 bits.
    let error = start(|genesis, _| genesis.accounts[0].coins[0].amount = (1u128 << 64).to_string());
    assert!(error.contains("more than 2^64 - 1"), "{error}");
    let error = start(|genesis, _| genesis.models[0].evaluator_models[0].id = "none".into());
    assert!(error.contains("none"), "{error}");
    let error = start(|genesis, _| genesis.params = None);
    assert!(error.contains("no params"), "{error}");
}

#[test]
fn genesis_says_of_denoms_what_wallets_can_show() {
    let of_denom =
        |change: fn(&mut DenomMetadata)| start(|genesis, _| change(&mut genesis.denom_metadata[0]));
    assert_eq!(of_denom(|m| m.symbol = "Q".into()), "");
    let units = "the units of upoq must ascend";
    type Case = (fn(&mut DenomMetadata), &'static str);
    let cases: [Case; 8] = [
        (|m| m.denom_units.clear(), "the first unit of \"upoq\""),
        (|m| m.base = "poq".into(), "the first unit of \"poq\""),
        (|m| m.denom_units[0].exponent = 1, "the first unit"),
        (|m| m.denom_units[1].exponent = 0, units),
        (|m| m.denom_units[1].exponent = 39, units),
        (
            |m| m.display = "mpoq".into(),
            "which is not one of the units",
        ),
        (|m| m.name = " ".into(), "need a name"),
        (|m| m.denom_units[1].denom = "!".into(), "invalid denom"),
    ];
    for (change, words) in cases {
        let error = of_denom(change);
        assert!(error.contains(words), "{error}");
    }
    let twice = start(|genesis, _| {
        genesis
            .denom_metadata
            .push(genesis.denom_metadata[0].clone())
    });
    assert!(twice.contains("metadata of upoq twice"), "{twice}");
}

#[test]
fn an_unknown_validator_is_not_found() {
    let chain = Chain::without_outputs(crate::support::params(), 1, 1);
    let request = QueryValidatorRequest {
        operator: chain.user.address.clone(),
    };
    let data = prost::Message::encode_to_vec(&request);
    let answer = chain.app.query("/poq.v1.Query/Validator", &data, None);
    assert_eq!(code_of(answer), code::NOT_REGISTERED);
}
