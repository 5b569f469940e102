//! Denoms, and amounts of coins as transactions and genesis carry them.

use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use poq_proto::code;

use crate::error::{Result, ensure, reject};

/// The most denoms in one list of coins.
const MAX_COINS: usize = 16;

/// A denom as the Cosmos SDK defines it: a letter, then 2 to 127 letters, digits or `/:._-`.
pub fn validate_denom(denom: &str) -> Result<()> {
    let mut bytes = denom.bytes();
    let valid = (3..=128).contains(&denom.len())
        && bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"/:._-".contains(&byte));
    ensure!(valid, code::INVALID_COINS, "invalid denom {denom:?}");
    Ok(())
}

/// A decimal amount of base units: digits without sign or leading zeros, below 2^128.
pub fn parse_amount(text: &str) -> Result<u128> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(amount) if canonical && digits => Ok(amount),
        _ => reject!(
            code::INVALID_COINS,
            "amount {text:?} is not a whole number below 2^128"
        ),
    }
}

/// Coins as the Cosmos SDK requires them: not empty, sorted by denom, no duplicates, no zeros.
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
