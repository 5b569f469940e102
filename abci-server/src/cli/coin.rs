//! Amounts of money on the command line: `1000upoq`, `0.025upoq`.

use std::str::FromStr;

use cosmos_sdk_proto::cosmos::base::v1beta1;

/// An amount of one denom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Base units.
    pub amount: u128,
    /// For example `upoq`.
    pub denom: String,
}

/// Comma-separated coins with distinct denoms, sorted by denom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coins(pub Vec<Coin>);

/// A price of one unit of gas: `digits / 10^decimals` base units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GasPrice {
    digits: u128,
    decimals: u32,
    /// For example `upoq`.
    pub denom: String,
}

/// Largest number of decimals of a price, as in the Cosmos SDK.
const MAX_DECIMALS: usize = 18;

impl FromStr for Coin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, denom) = split(text);
        match number.parse() {
            Ok(amount) if is_denom(denom) => Ok(Self {
                amount,
                denom: denom.to_owned(),
            }),
            _ => Err("expected a whole number and a denom, for example 1000upoq".into()),
        }
    }
}

impl From<Coin> for v1beta1::Coin {
    fn from(coin: Coin) -> Self {
        Self {
            amount: coin.amount.to_string(),
            denom: coin.denom,
        }
    }
}

impl FromStr for GasPrice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || "expected a number and a denom, for example 0.025upoq".to_owned();
        let (number, denom) = split(text);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if !is_denom(denom) || whole.is_empty() || fraction.len() > MAX_DECIMALS {
            return Err(invalid());
        }
        Ok(Self {
            digits: format!("{whole}{fraction}")
                .parse()
                .map_err(|_| invalid())?,
            decimals: u32::try_from(fraction.len()).map_err(|_| invalid())?,
            denom: denom.to_owned(),
        })
    }
}

impl GasPrice {
    /// The price of a million units of gas; `None` unless it is a whole number of at most 64 bits.
    pub(super) fn of_million(&self) -> Option<u64> {
        let scale = 10_u128.checked_pow(self.decimals)?;
        let product = self.digits.checked_mul(1_000_000)?;
        let is_whole = product.checked_rem(scale) == Some(0);
        let price = u64::try_from(product.checked_div(scale)?).ok()?;
        is_whole.then_some(price)
    }

    /// The price of `gas`, rounded up; `None` beyond 128 bits.
    pub(super) fn of(&self, gas: u64) -> Option<u128> {
        let product = self.digits.checked_mul(gas.into())?;
        Some(product.div_ceil(10_u128.checked_pow(self.decimals)?))
    }
}

impl FromStr for Coins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut coins = text
            .split(',')
            .map(|coin| coin.trim().parse())
            .collect::<Result<Vec<Coin>, _>>()?;
        coins.sort_by(|a, b| a.denom.cmp(&b.denom));
        match coins.windows(2).find(|pair| pair[0].denom == pair[1].denom) {
            Some(pair) => Err(format!("`{}` is given twice", pair[0].denom)),
            None => Ok(Self(coins)),
        }
    }
}

/// Splits a text into its leading number and the rest.
fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    text.split_at(end)
}

fn is_denom(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coins() {
        let Coins(coins) = "7upoq, 1000atom".parse().unwrap();
        assert_eq!(coins[0].denom, "atom");
        assert_eq!(coins[1].amount, 7);
        for bad in [
            "",
            "upoq",
            "7",
            "-7upoq",
            "1.5upoq",
            "7 upoq",
            "1upoq,2upoq",
            "7upoq,",
        ] {
            assert!(bad.parse::<Coins>().is_err(), "{bad}");
        }
    }

    #[test]
    fn gas_prices_round_up() {
        let price = |text: &str| text.parse::<GasPrice>().unwrap();
        assert_eq!(price("0.025upoq").of(100_001), Some(2_501));
        assert_eq!(price("2upoq").of(100), Some(200));
        assert_eq!(price("0upoq").of(u64::MAX), Some(0));
        assert_eq!(price(&format!("{}upoq", u128::MAX)).of(2), None);
        assert_eq!(price("0.025upoq").of_million(), Some(25_000));
        assert_eq!(price("0upoq").of_million(), Some(0));
        assert_eq!(price("0.0000005upoq").of_million(), None);
        assert_eq!(price(&format!("{}upoq", u64::MAX)).of_million(), None);
        for bad in [
            "",
            "upoq",
            "0.025",
            ".5upoq",
            "1.2.3upoq",
            "0.0000000000000000001upoq",
        ] {
            assert!(bad.parse::<GasPrice>().is_err(), "{bad}");
        }
    }
}
