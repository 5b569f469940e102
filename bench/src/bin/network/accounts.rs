//! Accounts of the genesis with this program's keys, and their transactions.

use anyhow::Context;
use cosmos_sdk_proto::cosmos::bank::v1beta1::MsgSend;
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use futures::stream::{self, StreamExt, TryStreamExt};
use poq_client::tx::{self, Signer, Unsigned};
use poq_client::{Any, Client, Key, any};
use poq_proto::v1::Params;
use serde_json::{Value, json};

use crate::load::Lanes;
use crate::patience::insist;

/// Balance of each account, more than all its transactions cost.
const BALANCE: &str = "1000000000000";
/// Factor from simulated gas to the gas limit.
const GAS_ADJUSTMENT: f64 = 1.3;

/// Largest number of parallel queries.
const QUESTIONS: usize = 16;

/// The accounts that send transactions.
pub(crate) struct Accounts {
    keys: Vec<Key>,
    prefix: String,
}

impl Accounts {
    /// Creates `count` accounts with keys that are equal in every run.
    ///
    /// # Errors
    /// Never, because every number except 0 is a key.
    pub(crate) fn new(count: u32, prefix: &str) -> anyhow::Result<Self> {
        let key = |index: u32| {
            let mut secret = [7; 32];
            secret[28..].copy_from_slice(&index.to_be_bytes());
            Key::from_bytes(&secret)
        };
        Ok(Self {
            keys: (0..count).map(key).collect::<Result<_, _>>()?,
            prefix: prefix.to_owned(),
        })
    }

    /// The entries of the accounts in the genesis.
    ///
    /// # Errors
    /// If the prefix is invalid.
    pub(crate) fn genesis(&self, denom: &str) -> anyhow::Result<Vec<Value>> {
        let entry = |key: &Key| -> anyhow::Result<Value> {
            let address = key.address(&self.prefix)?;
            Ok(json!({"address": address, "coins": [{"denom": denom, "amount": BALANCE}]}))
        };
        self.keys.iter().map(entry).collect()
    }

    /// Signs `count` transactions of every account with the message that `make` returns for its address.
    ///
    /// # Errors
    /// If the node cannot be reached or refuses the message.
    pub(crate) async fn sign(
        &self,
        client: &Client,
        count: usize,
        make: impl Fn(&str) -> Any,
    ) -> anyhow::Result<Lanes> {
        let params = insist(async || client.params().await).await?;
        let chain_id = insist(async || client.status().await).await?.chain_id;
        let first = self.keys.first().context("no accounts")?;
        let fee = fee(client, &params, first, make(&first.address(&self.prefix)?)).await?;
        let lanes = self.keys.iter().map(|key| async {
            let address = key.address(&self.prefix)?;
            let account = insist(async || client.account(&address).await).await?;
            let message = make(&address);
            let signer = |index: u64| Signer {
                chain_id: chain_id.clone(),
                account_number: account.account_number,
                sequence: account.sequence + index,
            };
            let unsigned = fee.around(message);
            let txs = (0..count as u64).map(|index| tx::sign(&unsigned, &signer(index), key));
            anyhow::Ok(txs.collect::<Result<Vec<_>, _>>()?)
        });
        stream::iter(lanes).buffered(QUESTIONS).try_collect().await
    }
}

/// A transfer of one base unit.
pub(crate) fn transfer(from: &str, to: &str, denom: &str) -> Any {
    any(&MsgSend {
        from_address: from.into(),
        to_address: to.into(),
        amount: vec![Coin {
            denom: denom.into(),
            amount: "1".into(),
        }],
    })
}

/// Gas limit and fee of every transaction of a kind.
struct Fee {
    gas: u64,
    denom: String,
    amount: u128,
}

impl Fee {
    fn around(&self, message: Any) -> Unsigned {
        Unsigned {
            messages: vec![message],
            gas_limit: self.gas,
            fee: Some((self.denom.clone(), self.amount)),
            memo: String::new(),
            timeout_height: 0,
        }
    }
}

async fn fee(client: &Client, params: &Params, key: &Key, message: Any) -> anyhow::Result<Fee> {
    let unknown = Fee {
        gas: 0,
        denom: params.denom.clone(),
        amount: 0,
    };
    let address = key.address(&params.bech32_prefix)?;
    let account = insist(async || client.account(&address).await).await?;
    let unsigned = unknown.around(message);
    let simulated = tx::simulated(&unsigned, &params.denom, key.public_key(), account.sequence)?;
    let gas = tx::adjusted(
        insist(async || client.simulate(simulated.clone()).await).await?,
        GAS_ADJUSTMENT,
    )?;
    let amount = (u128::from(gas) * u128::from(params.gas_price)).div_ceil(1_000_000);
    Ok(Fee {
        gas,
        amount,
        ..unknown
    })
}
