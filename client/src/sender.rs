use std::time::Duration;

use poq_proto::code;
use tokio::sync::{Mutex, watch};
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::tx::{self, Signer, Unsigned};
use crate::{Account, Any, Client, Error, Key, Result, TxHash, TxOutcome, found};

/// Broadcasts of one transaction before the sender gives up on a wrong sequence. Another program
/// that uses the same account can win a few races.
const SEQUENCE_ATTEMPTS: u32 = 8;
/// Broadcasts of one transaction before the sender gives up on a full mempool.
const MEMPOOL_ATTEMPTS: u32 = 8;
/// First and longest pause before retrying with a full mempool.
const MEMPOOL_PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// Gas limit of [`Fee::Auto`] relative to the simulated gas: a message's gas may grow until its
/// block.
const GAS_ADJUSTMENT: f64 = 1.3;

/// How a transaction's gas limit and fee are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fee {
    /// No gas limit and no fee: for transactions that consist of one duty message.
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
        /// In base units.
        amount: u128,
    },
}

/// A transaction's options besides its messages.
#[derive(Clone, Debug, PartialEq)]
pub struct TxOptions {
    /// Gas limit and fee.
    pub fee: Fee,
    /// Free text.
    pub memo: String,
    /// Last height whose block may include the transaction; 0 means no limit.
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
/// Concurrent calls are serialized, so that sequences never collide within a process. The sequence
/// is counted locally, so several transactions can wait in the mempool.
pub struct Sender {
    client: Client,
    key: Key,
    address: String,
    chain_id: String,
    denom: String,
    /// The account's state after everything that was broadcast; `None` until it is read.
    account: Mutex<Option<Account>>,
}

impl Sender {
    /// A sender on the node's chain, which must be `chain_id` if given. The account need not exist
    /// before the first transaction.
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

    /// The client that broadcasts.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// [`Key::mac`] with the account's key.
    pub fn mac(&self, message: &[u8]) -> [u8; 32] {
        self.key.mac(message)
    }

    /// Signs and broadcasts; returns once the transaction is in the mempool. A full mempool is
    /// retried except for [`Fee::Free`], which would hold up the account's other transactions. If
    /// the error leaves open whether the mempool has the transaction, check the chain before
    /// sending it again.
    pub async fn send(&self, messages: Vec<Any>, options: impl Into<TxOptions>) -> Result<TxHash> {
        let options = options.into();
        // Held to the end: the next sequence is known once the mempool has this transaction.
        let mut account = self.account.lock().await;
        let mut retries = Retries::new(options.fee);
        loop {
            let current = match account.take() {
                Some(account) => account,
                None => self.read_account().await?,
            };
            let error = match self.attempt(&messages, &options, &current).await {
                Ok(hash) => {
                    let sequence = current.sequence + 1;
                    *account = Some(Account {
                        sequence,
                        ..current
                    });
                    return Ok(hash);
                }
                Err(error) => error,
            };
            if error.is(code::WRONG_SEQUENCE) {
                // The node counts transactions in its mempool, the state does not.
                *account = expected_sequence(&error).map(|sequence| Account {
                    sequence,
                    ..current
                });
            } else if !matches!(error, Error::Unreachable { .. } | Error::Rpc { .. }) {
                *account = Some(current);
            }
            retries.pause(error).await?;
        }
    }

    /// Signs, broadcasts and waits for the block. A failed execution is [`Error::Tx`].
    pub async fn send_and_wait(
        &self,
        messages: Vec<Any>,
        options: impl Into<TxOptions>,
        timeout: Duration,
    ) -> Result<TxOutcome> {
        let hash = self.send(messages, options).await?;
        let outcome = self.client.wait(hash, timeout).await;
        self.concluded(outcome).await
    }

    /// Signs, broadcasts and waits for the block, following the chain's `heights`. Returns
    /// [`Error::NotInBlocks`] after `blocks` more blocks, or after the last block that may include
    /// the transaction. A failed execution is [`Error::Tx`].
    pub async fn send_and_wait_blocks(
        &self,
        messages: Vec<Any>,
        options: impl Into<TxOptions>,
        blocks: u64,
        heights: watch::Receiver<u64>,
    ) -> Result<TxOutcome> {
        let options = options.into();
        let timeout_height = options.timeout_height;
        let hash = self.send(messages, options).await?;
        let outcome = self
            .client
            .wait_blocks(hash, blocks, timeout_height, heights)
            .await;
        self.concluded(outcome).await
    }

    async fn concluded(&self, outcome: Result<TxOutcome>) -> Result<TxOutcome> {
        let result = outcome.and_then(TxOutcome::success);
        if let Err(error) = &result
            && error.is_retryable()
        {
            // The transaction may be lost, which would make the local count wrong.
            *self.account.lock().await = None;
        }
        result
    }

    async fn read_account(&self) -> Result<Account> {
        found(self.client.account(&self.address).await)?.ok_or_else(|| Error::NoAccount {
            address: self.address.clone(),
        })
    }

    async fn attempt(
        &self,
        messages: &[Any],
        options: &TxOptions,
        account: &Account,
    ) -> Result<TxHash> {
        let signer = Signer {
            chain_id: self.chain_id.clone(),
            account_number: account.account_number,
            sequence: account.sequence,
        };
        let mut unsigned = Unsigned {
            messages: messages.to_vec(),
            gas_limit: 0,
            fee: None,
            memo: options.memo.clone(),
            timeout_height: options.timeout_height,
        };
        let (gas, fee) = self.price(options.fee, &unsigned, &signer).await?;
        unsigned.gas_limit = gas;
        unsigned.fee = fee.map(|amount| (self.denom.clone(), amount));
        let hash = self
            .client
            .broadcast(tx::sign(&unsigned, &signer, &self.key)?)
            .await?;
        debug!(%hash, sequence = account.sequence, gas, "transaction broadcast");
        Ok(hash)
    }

    /// Gas limit and fee of a transaction.
    async fn price(
        &self,
        fee: Fee,
        unsigned: &Unsigned,
        signer: &Signer,
    ) -> Result<(u64, Option<u128>)> {
        let gas = match fee {
            Fee::Free => 0,
            Fee::Gas(gas) | Fee::Fixed { gas, .. } => gas,
            Fee::Auto => self.simulate(unsigned, signer, GAS_ADJUSTMENT).await?,
            Fee::Adjusted(factor) => self.simulate(unsigned, signer, factor).await?,
        };
        let amount = match fee {
            Fee::Free => None,
            Fee::Fixed { amount, .. } => Some(amount),
            Fee::Auto | Fee::Adjusted(_) | Fee::Gas(_) => {
                let price = self.client.params().await?.gas_price;
                Some(fee_for(gas, price))
            }
        };
        Ok((gas, amount.filter(|amount| *amount > 0)))
    }

    /// The gas limit for a transaction. The simulation runs on the state, which does not include
    /// the mempool, so it uses the sequence that the state expects.
    async fn simulate(&self, unsigned: &Unsigned, signer: &Signer, factor: f64) -> Result<u64> {
        let mut sequence = signer.sequence;
        let mut attempts = 0;
        let used = loop {
            let tx = tx::simulated(unsigned, &self.denom, self.key.public_key(), sequence)?;
            attempts += 1;
            match self.client.simulate(tx).await {
                Ok(used) => break used,
                Err(error) if attempts < SEQUENCE_ATTEMPTS => match expected_sequence(&error) {
                    Some(expected) => sequence = expected,
                    None => return Err(error),
                },
                Err(error) => return Err(error),
            }
        };
        tx::adjusted(used, factor)
    }
}

/// The attempts that a transaction has left.
struct Retries {
    sequence: u32,
    mempool: u32,
    mempool_attempts: u32,
}

impl Retries {
    fn new(fee: Fee) -> Self {
        Self {
            sequence: 0,
            mempool: 0,
            mempool_attempts: match fee {
                // Workers check at every block whether their duties are still wanted.
                Fee::Free => 1,
                _ => MEMPOOL_ATTEMPTS,
            },
        }
    }

    /// Returns when the transaction should be retried; returns the error if it should not.
    async fn pause(&mut self, error: Error) -> Result<()> {
        if error.is(code::WRONG_SEQUENCE) && self.sequence + 1 < SEQUENCE_ATTEMPTS {
            self.sequence += 1;
            debug!(%error, "sequence re-read");
            return Ok(());
        }
        let is_full = matches!(error, Error::MempoolFull { .. }) || error.is(code::MEMPOOL_FULL);
        if is_full && self.mempool + 1 < self.mempool_attempts {
            let (first, longest) = MEMPOOL_PAUSE;
            let pause = (first * (1 << self.mempool)).min(longest);
            self.mempool += 1;
            warn!(%error, ?pause, "the mempool is full; retrying");
            sleep(pause).await;
            return Ok(());
        }
        Err(error)
    }
}

/// `ceil(gas * price / 1_000_000)`; `price` is per million gas.
fn fee_for(gas: u64, price: u64) -> u128 {
    (u128::from(gas) * u128::from(price)).div_ceil(1_000_000)
}

/// E of "account sequence mismatch, expected E, got G", if `error` is that error.
fn expected_sequence(error: &Error) -> Option<u64> {
    let (Error::Tx { log, .. } | Error::Query { log, .. }) = error else {
        return None;
    };
    if !error.is(code::WRONG_SEQUENCE) {
        return None;
    }
    let (_, rest) = log.split_once("expected ")?;
    rest.split(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
