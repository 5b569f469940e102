use std::time::Duration;

use poq_proto::code;
use tokio::sync::Mutex;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::tx::{self, Signer, Unsigned};
use crate::{Account, Any, Client, Error, Key, Result, TxHash, TxOutcome};

/// Broadcasts of one transaction before its sender gives up on a wrong sequence.
const SEQUENCE_ATTEMPTS: u32 = 4;
/// Broadcasts of one transaction before its sender gives up on a full mempool.
const MEMPOOL_ATTEMPTS: u32 = 8;
/// First and longest pause before a full mempool is tried again.
const MEMPOOL_PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// Gas limit of [`Fee::Auto`] and [`Fee::Free`] over the simulated gas: state can change between
/// the simulation and the block.
const GAS_ADJUSTMENT: f64 = 1.3;

/// How a transaction's gas limit and fee are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fee {
    /// Gas limit from a simulation, no fee: for duty messages, alone in their transaction.
    Free,
    /// Gas limit from a simulation times 1.3, fee at the chain's gas price.
    Auto,
    /// Gas limit from a simulation times this factor (at least 1), fee at the chain's gas price.
    Adjusted(f64),
    /// This gas limit, fee at the chain's gas price.
    Gas(u64),
    /// This gas limit and this fee in base units of the chain's denom.
    Fixed {
        /// Gas limit.
        gas: u64,
        /// Base units.
        amount: u128,
    },
}

/// What a transaction has beside its messages.
#[derive(Clone, Debug, PartialEq)]
pub struct TxOptions {
    /// Gas limit and fee.
    pub fee: Fee,
    /// A note for people.
    pub memo: String,
    /// Last height whose block may have the transaction; 0 is no limit.
    pub timeout_height: u64,
}

impl From<Fee> for TxOptions {
    fn from(fee: Fee) -> Self {
        Self {
            fee,
            memo: String::new(),
            timeout_height: 0,
        }
    }
}

/// Signs and broadcasts for one account.
///
/// Concurrent callers take turns, so that sequences never collide within a process. The sequence
/// is counted locally: several transactions can wait in the mempool at once.
pub struct Sender {
    client: Client,
    key: Key,
    address: String,
    chain_id: String,
    denom: String,
    /// The account as it will be after everything that was broadcast; `None` until it is read.
    account: Mutex<Option<Account>>,
}

impl Sender {
    /// A sender on the chain that the node is on, which must be `chain_id` if that is given. The
    /// account need not exist before the first transaction.
    pub async fn new(client: Client, key: Key, chain_id: Option<&str>) -> Result<Self> {
        let actual = client.status().await?.chain_id;
        if let Some(expected) = chain_id.filter(|expected| *expected != actual) {
            return Err(Error::ChainId {
                url: client.url().into(),
                expected: expected.into(),
                actual,
            });
        }
        let params = client.params().await?;
        Ok(Self {
            address: key.address(&params.bech32_prefix)?,
            client,
            key,
            chain_id: actual,
            denom: params.denom,
            account: Mutex::new(None),
        })
    }

    /// The account's bech32 address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The account's 20 address bytes.
    pub fn address_bytes(&self) -> [u8; 20] {
        self.key.address_bytes()
    }

    /// The chain's id.
    pub fn chain_id(&self) -> &str {
        &self.chain_id
    }

    /// Denom of fees and stakes.
    pub fn denom(&self) -> &str {
        &self.denom
    }

    /// The node that transactions go to.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Signs and broadcasts; returns once the mempool has the transaction.
    pub async fn send(&self, messages: Vec<Any>, options: impl Into<TxOptions>) -> Result<TxHash> {
        let _ = (messages, options.into());
        todo!()
    }

    /// Signs, broadcasts and waits for the block. A failed execution is [`Error::Tx`].
    pub async fn send_and_wait(
        &self,
        messages: Vec<Any>,
        options: impl Into<TxOptions>,
        timeout: Duration,
    ) -> Result<TxOutcome> {
        let hash = self.send(messages, options).await?;
        self.client.wait(hash, timeout).await?.success()
    }
}
