//! `poqd tx bank`.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::Context;
use cosmos_sdk_proto::cosmos::bank::v1beta1::{Input, MsgMultiSend, MsgSend, Output};
use poq_client::any;

use super::account::Account;
use crate::cli::coin::{Coin, Coins};

/// Commands of `tx bank`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Bank {
    /// Send coins to an account.
    Send {
        /// Address of the receiver.
        to: String,
        /// Coins, separated by commas, for example 1000upoq.
        amount: Coins,
    },
    /// Send coins to several accounts, all or none.
    MultiSend {
        /// Receiver and coins, for example poq1…=1000upoq.
        #[arg(required = true, value_name = "ADDRESS=COINS")]
        transfers: Vec<Transfer>,
    },
}

/// A receiver and its coins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    to: String,
    coins: Coins,
}

impl FromStr for Transfer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (to, coins) = text
            .split_once('=')
            .ok_or("expected ADDRESS=COINS, for example poq1…=1000upoq")?;
        Ok(Self {
            to: to.to_owned(),
            coins: coins.parse()?,
        })
    }
}

impl Bank {
    pub(super) async fn run(self, account: &Account) -> anyhow::Result<()> {
        let message = match self {
            Self::Send { to, amount } => any(&MsgSend {
                from_address: account.address().to_owned(),
                to_address: to,
                amount: amount.0.into_iter().map(Into::into).collect(),
            }),
            Self::MultiSend { transfers } => any(&multi_send(account.address(), transfers)?),
        };
        account.execute(message).await
    }
}

/// Creates a message whose single input is the sum of the outputs.
fn multi_send(from: &str, transfers: Vec<Transfer>) -> anyhow::Result<MsgMultiSend> {
    let mut total: BTreeMap<&str, u128> = BTreeMap::new();
    for coin in transfers.iter().flat_map(|transfer| &transfer.coins.0) {
        let sum = total.entry(&coin.denom).or_default();
        *sum = sum
            .checked_add(coin.amount)
            .with_context(|| format!("the sum of {} exceeds 128 bits", coin.denom))?;
    }
    let coins = total.into_iter().map(|(denom, amount)| Coin {
        amount,
        denom: denom.to_owned(),
    });
    Ok(MsgMultiSend {
        inputs: vec![Input {
            address: from.to_owned(),
            coins: coins.map(Into::into).collect(),
        }],
        outputs: transfers
            .into_iter()
            .map(|transfer| Output {
                address: transfer.to,
                coins: transfer.coins.0.into_iter().map(Into::into).collect(),
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_is_the_sum_of_the_outputs() {
        let transfers = ["a=5upoq,1atom", "b=7upoq"].map(|text| text.parse().unwrap());
        let message = multi_send("me", transfers.into()).unwrap();
        let coins = |coins: &[cosmos_sdk_proto::cosmos::base::v1beta1::Coin]| {
            let texts = coins
                .iter()
                .map(|coin| format!("{}{}", coin.amount, coin.denom));
            texts.collect::<Vec<_>>().join(",")
        };
        assert_eq!(message.inputs.len(), 1);
        assert_eq!(coins(&message.inputs[0].coins), "1atom,12upoq");
        assert_eq!(coins(&message.outputs[0].coins), "1atom,5upoq");
        assert_eq!(message.outputs[1].address, "b");
        let huge = format!("a={}upoq", u128::MAX);
        let transfers = vec![huge.parse().unwrap(), "b=1upoq".parse().unwrap()];
        assert!(multi_send("me", transfers).is_err());
        assert!("a".parse::<Transfer>().is_err());
    }
}
