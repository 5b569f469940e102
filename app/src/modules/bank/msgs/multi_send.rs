//! `cosmos.bank.v1beta1.MsgMultiSend`.

use std::collections::BTreeMap;

use cosmos_sdk_proto::cosmos::bank::v1beta1::{MsgMultiSend, MsgMultiSendResponse, Output};
use poq_proto::code;

use super::{emit_spent, emit_transfer, refuse_module};
use crate::address::Address;
use crate::coin::parse_coins;
use crate::error::{Error, Result, ensure, reject};
use crate::execution::Execution;
use crate::modules::bank::{credit, debit};

/// The most outputs of one message.
const MAX_OUTPUTS: usize = 500;

/// The account that pays, and signs, a `MsgMultiSend`.
pub fn payer(message: &MsgMultiSend) -> &str {
    message
        .inputs
        .first()
        .map_or("", |input| input.address.as_str())
}

/// `cosmos.bank.v1beta1.MsgMultiSend`: one input, as in the Cosmos SDK since 0.47, and up to 500
/// outputs whose coins sum up to the input's.
pub fn multi_send(ctx: &mut Execution<'_>, message: MsgMultiSend) -> Result<MsgMultiSendResponse> {
    let prefix = &ctx.block.params.bech32_prefix;
    let [input] = message.inputs.as_slice() else {
        reject!(
            code::INVALID_REQUEST,
            "a multi-send has one input, got {}",
            message.inputs.len()
        );
    };
    ensure!(
        (1..=MAX_OUTPUTS).contains(&message.outputs.len()),
        code::INVALID_REQUEST,
        "a multi-send has 1 to {MAX_OUTPUTS} outputs, got {}",
        message.outputs.len()
    );
    let from = Address::parse(&input.address, prefix)?;
    let paid: BTreeMap<_, _> = parse_coins(&input.coins)?.into_iter().collect();
    ensure!(
        paid == sum_of(&message.outputs)?,
        code::INVALID_COINS,
        "the coins of the input are not the sum of the outputs"
    );
    for (denom, amount) in paid {
        debit(ctx.state, &from, denom, amount)?;
        emit_spent(ctx, &from, denom, amount);
    }
    for output in &message.outputs {
        let to = Address::parse(&output.address, prefix)?;
        refuse_module(&to)?;
        for (denom, amount) in parse_coins(&output.coins)? {
            credit(ctx.state, &to, denom, amount)?;
            emit_transfer(ctx, &from, &to, denom, amount);
        }
    }
    Ok(MsgMultiSendResponse {})
}

fn sum_of(outputs: &[Output]) -> Result<BTreeMap<&str, u128>> {
    let mut sums = BTreeMap::new();
    for output in outputs {
        for (denom, amount) in parse_coins(&output.coins)? {
            let sum: &mut u128 = sums.entry(denom).or_default();
            *sum = sum.checked_add(amount).ok_or_else(|| {
                let log = format!("the sum of the outputs in {denom} exceeds 128 bits");
                Error::rejected(code::INVALID_COINS, log)
            })?;
        }
    }
    Ok(sums)
}
