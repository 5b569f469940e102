use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tendermint::Hash;
use tendermint::abci::types::ExecTxResult;

use crate::{Error, Result};

/// SHA-256 of a transaction's bytes; displayed as upper-case hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TxHash(pub [u8; 32]);

impl TxHash {
    /// The hash of these transaction bytes.
    pub fn of(tx: &[u8]) -> Self {
        Self(Sha256::digest(tx).into())
    }
}

impl fmt::Display for TxHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode_upper(self.0))
    }
}

impl FromStr for TxHash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mut hash = [0; 32];
        hex::decode_to_slice(digits, &mut hash)
            .map(|()| Self(hash))
            .map_err(|_| {
                Error::InvalidTx(format!(
                    "`{text}` is not a transaction hash; expected 64 hex digits"
                ))
            })
    }
}

impl From<TxHash> for String {
    fn from(hash: TxHash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for TxHash {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<TxHash> for Hash {
    fn from(hash: TxHash) -> Self {
        Hash::Sha256(hash.0)
    }
}

/// A node's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The chain's id.
    pub chain_id: String,
    /// Height of the newest block; 0 before the first.
    pub latest_height: u64,
    /// Time of the newest block, RFC 3339.
    pub latest_block_time: String,
    /// Application hash in the newest block's header: that of the state after the previous block.
    pub app_hash: String,
    /// Whether the node is still catching up with the chain.
    pub catching_up: bool,
    /// Peer-to-peer id, 40 hex digits.
    pub node_id: String,
    /// The node's name.
    pub moniker: String,
    /// Version of CometBFT.
    pub version: String,
    /// Address of the node's validator key, 40 hex digits.
    pub validator_address: String,
    /// The validator's public key, base64.
    pub validator_public_key: String,
    /// Power of that validator; 0 if the node is not a validator.
    pub voting_power: u64,
}

impl From<tendermint_rpc::endpoint::status::Response> for Status {
    fn from(status: tendermint_rpc::endpoint::status::Response) -> Self {
        Self {
            chain_id: status.node_info.network.to_string(),
            latest_height: status.sync_info.latest_block_height.value(),
            latest_block_time: status.sync_info.latest_block_time.to_rfc3339(),
            app_hash: status.sync_info.latest_app_hash.to_string(),
            catching_up: status.sync_info.catching_up,
            node_id: status.node_info.id.to_string(),
            moniker: status.node_info.moniker.to_string(),
            version: status.node_info.version.to_string(),
            validator_address: status.validator_info.address.to_string(),
            validator_public_key: BASE64.encode(status.validator_info.pub_key.to_bytes()),
            voting_power: status.validator_info.power.value(),
        }
    }
}

/// An event of a transaction or of a block; names are in [`poq_proto::event`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// For example `poq_task_settled`.
    #[serde(rename = "type")]
    pub kind: String,
    /// In the application's order.
    pub attributes: Vec<Attribute>,
}

/// One attribute of an [`Event`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// For example `task`.
    pub key: String,
    /// Always text.
    pub value: String,
}

impl Event {
    /// The value of the first attribute with this key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|attribute| attribute.key == key)
            .map(|attribute| attribute.value.as_str())
    }
}

impl From<tendermint::abci::Event> for Event {
    fn from(event: tendermint::abci::Event) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            kind: event.kind,
            attributes: event
                .attributes
                .iter()
                .map(|attribute| Attribute {
                    key: text(attribute.key_bytes()),
                    value: text(attribute.value_bytes()),
                })
                .collect(),
        }
    }
}

/// The result of a transaction in a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TxOutcome {
    /// Its hash.
    pub hash: TxHash,
    /// The block that includes it.
    pub height: u64,
    /// Its position in the block.
    pub index: u32,
    /// 0 if it succeeded.
    pub code: u32,
    /// The code's namespace; empty if it succeeded.
    pub codespace: String,
    /// Why it failed, for people.
    pub log: String,
    /// The gas limit that was signed.
    pub gas_wanted: i64,
    /// The gas used.
    pub gas_used: i64,
    /// In the order of execution.
    pub events: Vec<Event>,
    /// An encoded `cosmos.base.abci.v1beta1.TxMsgData`, see [`crate::tx::responses`].
    #[serde(serialize_with = "crate::types::as_hex")]
    pub data: Vec<u8>,
}

impl TxOutcome {
    /// This outcome, or [`Error::Tx`] if the transaction failed.
    pub fn success(self) -> Result<Self> {
        if self.code == 0 {
            return Ok(self);
        }
        Err(Error::Tx {
            code: self.code,
            codespace: self.codespace,
            log: self.log,
            hash: self.hash,
        })
    }

    /// `result` is from the node's JSON; the `tendermint` crate leaves its `data` in base64.
    pub(crate) fn new(hash: TxHash, height: u64, index: u32, result: ExecTxResult) -> Result<Self> {
        let data = BASE64.decode(&result.data).map_err(|error| Error::Decode {
            what: format!("the data of transaction {hash}"),
            reason: error.to_string(),
        })?;
        Ok(Self {
            hash,
            height,
            index,
            code: result.code.value(),
            codespace: result.codespace,
            log: result.log,
            gas_wanted: result.gas_wanted,
            gas_used: result.gas_used,
            events: result.events.into_iter().map(Event::from).collect(),
            data,
        })
    }
}

/// One page of a transaction search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TxPage {
    /// Matches on all pages.
    pub total: u32,
    /// The matches on this page.
    pub txs: Vec<TxOutcome>,
}

/// The results of executing one block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BlockOutcome {
    /// The block.
    pub height: u64,
    /// Result code of each transaction, in order; 0 is success.
    pub tx_codes: Vec<u32>,
    /// Events of each transaction, in order, including failed ones.
    pub tx_events: Vec<Vec<Event>>,
    /// Events of the block itself.
    pub events: Vec<Event>,
    /// Application hash after the block, hex.
    pub app_hash: String,
}

impl From<tendermint_rpc::endpoint::block_results::Response> for BlockOutcome {
    fn from(results: tendermint_rpc::endpoint::block_results::Response) -> Self {
        let events = |events: Vec<tendermint::abci::Event>| -> Vec<Event> {
            events.into_iter().map(Event::from).collect()
        };
        let txs = results.txs_results.unwrap_or_default();
        Self {
            height: results.height.value(),
            tx_codes: txs.iter().map(|result| result.code.value()).collect(),
            tx_events: txs
                .into_iter()
                .map(|result| events(result.events))
                .collect(),
            events: events(results.finalize_block_events),
            app_hash: results.app_hash.to_string(),
        }
    }
}

/// Serializes bytes as hex text.
pub(crate) fn as_hex<S: serde::Serializer>(
    bytes: &[u8],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Client;
    use crate::fake_node::FakeNode;

    #[tokio::test]
    async fn a_block_says_which_of_its_transactions_failed() {
        let result = |code: u32| {
            serde_json::json!({"code": code, "data": "", "log": "", "info": "", "gas_wanted": "2",
                "gas_used": "1", "events": [], "codespace": ""})
        };
        let node = FakeNode::start(move |_, _| {
            Ok(serde_json::json!({
                "height": "12",
                "txs_results": [result(0), result(7), result(0)],
                "finalize_block_events": [],
                "validator_updates": [],
                "consensus_param_updates": null,
                "app_hash": ""
            }))
        })
        .await;
        let client = Client::new(&node.url).unwrap();
        let outcome = client.block_results(Some(12)).await.unwrap();
        assert_eq!((outcome.height, outcome.tx_codes), (12, vec![0, 7, 0]));
    }

    #[test]
    fn data_of_a_transaction_is_decoded() {
        let result = |data: &str| {
            let json =
                serde_json::json!({"code": 0, "data": data, "gas_wanted": "2", "gas_used": "1"});
            let result = serde_json::from_value(json).unwrap();
            TxOutcome::new(TxHash([0; 32]), 1, 0, result)
        };
        assert_eq!(result("EgA=").unwrap().data, [0x12, 0]);
        assert!(result("").unwrap().data.is_empty());
        assert!(matches!(result("?"), Err(Error::Decode { .. })));
    }
}
