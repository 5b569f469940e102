//! `MsgMultiSend`.

use cosmos_sdk_proto::cosmos::bank::v1beta1::{Input, MsgMultiSend, Output};
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use poq_proto::code;

use crate::support::{self, Chain, FUNDS, Wallet, any, coin};
use crate::{check, run, user};

fn message(from: &Wallet, paid: u64, outputs: &[(&str, u64)]) -> MsgMultiSend {
    MsgMultiSend {
        inputs: vec![Input {
            address: from.address.clone(),
            coins: vec![coin(paid)],
        }],
        outputs: outputs
            .iter()
            .map(|(address, amount)| Output {
                address: (*address).to_owned(),
                coins: vec![coin(*amount)],
            })
            .collect(),
    }
}

#[test]
fn one_account_pays_many() {
    let mut chain = Chain::new(2, 1);
    let [first, second] = [0, 1].map(|index| chain.inference[index].address.clone());
    let before = [&first, &second].map(|address| chain.balance(address));
    let payments = [(first.as_str(), 5), (&second, 7), (&first, 1)];
    let good = message(&chain.user, 13, &payments);
    run(&mut chain, user, any(&good));
    assert_eq!(chain.balance(&first), before[0] + 6);
    assert_eq!(chain.balance(&second), before[1] + 7);
    chain.assert_money_is_conserved();
}

#[test]
fn sums_must_match_and_nothing_overflows() {
    let chain = Chain::new(2, 1);
    let to = chain.inference[0].address.as_str();
    let with = |change: fn(&mut MsgMultiSend)| {
        let mut bad = message(&chain.user, 10, &[(to, 4), (to, 6)]);
        change(&mut bad);
        any(&bad)
    };
    let huge = |amount: u128| Coin {
        denom: "upoq".into(),
        amount: amount.to_string(),
    };
    let mut overflowing = message(&chain.user, 1, &[(to, 1), (to, 1)]);
    overflowing.inputs[0].coins = vec![huge(1)];
    overflowing.outputs[0].coins = vec![huge(u128::MAX)];
    overflowing.outputs[1].coins = vec![huge(2)];
    for (bad, expected) in [
        (
            with(|m| m.outputs[0].coins[0].amount = "5".into()),
            code::INVALID_COINS,
        ),
        (
            with(|m| m.outputs[0].coins[0].denom = "uatom".into()),
            code::INVALID_COINS,
        ),
        (with(|m| m.outputs[0].coins.clear()), code::INVALID_COINS),
        (with(|m| m.outputs.clear()), code::INVALID_REQUEST),
        (
            with(|m| m.inputs.push(m.inputs[0].clone())),
            code::INVALID_REQUEST,
        ),
        (with(|m| m.inputs.clear()), code::INVALID_ADDRESS),
        (
            with(|m| m.outputs[1].address = "poq1".into()),
            code::INVALID_ADDRESS,
        ),
        (any(&overflowing), code::INVALID_COINS),
        (
            any(&message(&chain.user, 2 * FUNDS, &[(to, 2 * FUNDS)])),
            code::INSUFFICIENT_FUNDS,
        ),
    ] {
        assert_eq!(check(&chain, &chain.user, bad), expected);
    }
    // Another account's money.
    let theirs = any(&message(
        &chain.inference[0],
        1,
        &[(&chain.user.address, 1)],
    ));
    assert_eq!(check(&chain, &chain.user, theirs), code::INVALID_PUBKEY);
}

#[test]
fn nobody_pays_the_protocols_own_account_by_mistake() {
    let chain = Chain::new(1, 1);
    let account = poq_app::Address::of_module("protocol", "poq").unwrap();
    let message = support::send(&chain.user, &account.to_string(), 5);
    assert_eq!(check(&chain, &chain.user, message), code::UNAUTHORIZED);
}
