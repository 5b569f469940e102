use cosmos_sdk_proto::cosmos::bank::v1beta1::{MsgSend, MsgSendResponse};
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use poq_proto::code;

use super::{parse_amount, transfer, validate_denom};
use crate::address::Address;
use crate::error::{Result, ensure};
use crate::execution::Execution;

/// Most denoms in one list of coins.
const MAX_COINS: usize = 16;

/// `cosmos.bank.v1beta1.MsgSend`.
pub fn send(x: &mut Execution<'_>, message: MsgSend) -> Result<MsgSendResponse> {
    let prefix = &x.block.params.bech32_prefix;
    let from = Address::parse(&message.from_address, prefix)?;
    let to = Address::parse(&message.to_address, prefix)?;
    for (denom, amount) in parse_coins(&message.amount)? {
        transfer(x.state, &from, &to, denom, amount)?;
        let coin = format!("{amount}{denom}");
        x.emit(
            "transfer",
            &[("sender", &from), ("recipient", &to), ("amount", &coin)],
        );
    }
    Ok(MsgSendResponse {})
}

/// Coins as the Cosmos SDK wants them: not empty, sorted by denom, no duplicates, no zeros.
pub fn parse_coins(coins: &[Coin]) -> Result<Vec<(&str, u128)>> {
    ensure!(
        (1..=MAX_COINS).contains(&coins.len()),
        code::INVALID_COINS,
        "expected 1 to {MAX_COINS} coins, got {}",
        coins.len()
    );
    ensure!(
        coins.is_sorted_by(|a, b| a.denom < b.denom),
        code::INVALID_COINS,
        "coins must be sorted by denom, without duplicates"
    );
    coins
        .iter()
        .map(|coin| {
            validate_denom(&coin.denom)?;
            let amount = parse_amount(&coin.amount)?;
            ensure!(
                amount > 0,
                code::INVALID_COINS,
                "amount of {} must be positive",
                coin.denom
            );
            Ok((coin.denom.as_str(), amount))
        })
        .collect()
}
