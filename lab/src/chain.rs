//! The production state machine in this process: blocks of signed transactions in, events out.

mod genesis;

use std::collections::BTreeMap;
use std::sync::Arc;

use cosmos_sdk_proto::cosmos::bank::v1beta1::{QuerySupplyOfRequest, QuerySupplyOfResponse};
use poq_app::block::Block;
use poq_app::modules::beacon::{LastCommit, OwnValidator, Secret, Secrets, encode};
use poq_app::modules::validators::{ValidatorPower, Vote, consensus_address};
use poq_app::{App, Options, ReferenceScorer};
use poq_client::tx::{Signer, Unsigned, adjusted, sign, simulated};
use poq_client::{Any, Key};
use poq_proto::v1::{
    EvaluatorModel, Model, MsgVoteOutputs, Node, Params, QueryNodesRequest, QueryNodesResponse,
    QuerySessionRequest, QuerySessionResponse, QueryTaskRequest, QueryTaskResponse, Role, Session,
    Task, VoteOutput,
};
use poq_proto::{PPM, code};
use prost::Message;
use tendermint_proto::v0_38::abci::Event;

use crate::error::{Error, Result};
use crate::random;

/// Id of the laboratory's chains; commitments include it.
pub const CHAIN_ID: &str = "poq-lab-1";
/// Base units of every account in genesis; the most expensive run spends less.
pub const FUNDS: u64 = 1_000_000_000_000_000;
const VALIDATOR_STAKE: u64 = 100_000_000;
/// Number of old state versions to keep; nothing reads them.
const KEPT_VERSIONS: u64 = 2;
/// Power of the only validator.
const POWER: u64 = 1;
const GAS_LIMIT: u64 = 1 << 39;
const PAGE: u32 = 1_000;
/// Gas limit relative to the gas that a transaction needs, as the client library sets it by default.
const GAS_ADJUSTMENT: f64 = 1.3;

/// A node in genesis, or a user, who has no role.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// `None` for a user.
    pub role: Option<Role>,
    /// The models that a node serves.
    pub model: &'static str,
    /// Base units, in addition to [`FUNDS`].
    pub stake: u64,
}

struct Wallet {
    key: Key,
    number: u64,
    sequence: u64,
    /// Whether it sends more than duties, which are free: a user's.
    pays: bool,
    /// Base units that its transactions cost so far.
    fees: u128,
}

/// The genesis of a chain.
pub struct Beginning {
    /// Valid parameters. Users pay the gas price, if there is one.
    pub params: Params,
    /// The only language model.
    pub model: Model,
    /// Its evaluator model.
    pub evaluator_model: EvaluatorModel,
    /// Accounts, in the order of their numbers.
    pub members: Vec<Member>,
}

/// A chain in one process. Equal geneses, seeds and transactions give equal blocks.
pub struct Chain {
    app: App,
    height: u64,
    seed: u64,
    /// Consensus address of the only validator.
    validator: Vec<u8>,
    /// The extension of its vote for the last block.
    extension: Option<Vec<u8>>,
    params: Params,
    wallets: Vec<Wallet>,
    addresses: Vec<String>,
    indices: BTreeMap<String, usize>,
    genesis_money: u128,
    _folder: tempfile::TempDir,
}

impl Chain {
    /// Opens a new store in the folder for temporary files and runs genesis.
    pub fn begin(
        beginning: Beginning,
        reference: Arc<dyn ReferenceScorer>,
        seed: u64,
    ) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(Error::io("the folder of a chain"))?;
        let options = Options {
            keep_versions: KEPT_VERSIONS,
        };
        let app = App::open(folder.path(), options, reference)?;
        let prefix = beginning.params.bech32_prefix.clone();
        let keys = (0..=beginning.members.len() as u64)
            .map(|index| Key::from_bytes(&random::bytes(0, "key", index, 0)))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let addresses = keys
            .iter()
            .map(|key| key.address(&prefix))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let public_key = random::bytes(0, "validator", 0, 0).to_vec();
        let secret = Secret::from_seed(&random::bytes(seed, "vrf", 0, 0))
            .ok_or_else(|| Error::unreadable("VRF key", "the seed is not a valid key"))?;
        let genesis = genesis::genesis(&beginning, &keys, &addresses, &public_key, &secret);
        let validator = consensus_address(&public_key).to_vec();
        let app = app.voting_for(OwnValidator {
            address: validator.clone(),
            secrets: Secrets::new(vec![secret]),
        });
        let powers = [ValidatorPower {
            public_key,
            power: POWER,
        }];
        // The beacon is derived from the validator's VRF outputs, and these from the seed.
        app.init_chain(CHAIN_ID, &serde_json::to_vec(&genesis)?, &powers, 1)?;
        let staked: u128 = beginning
            .members
            .iter()
            .map(|member| u128::from(member.stake))
            .sum();
        let mut chain = Self {
            app,
            height: 0,
            seed,
            validator,
            extension: None,
            params: beginning.params,
            genesis_money: staked
                + u128::from(VALIDATOR_STAKE)
                + u128::from(FUNDS) * addresses.len() as u128,
            indices: addresses.iter().cloned().zip(0..).collect(),
            wallets: keys
                .into_iter()
                .zip(0..)
                .map(|(key, number)| Wallet {
                    key,
                    number,
                    sequence: 0,
                    pays: beginning
                        .members
                        .get(number as usize)
                        .is_some_and(|member| member.role.is_none()),
                    fees: 0,
                })
                .collect(),
            addresses,
            _folder: folder,
        };
        chain.block(Vec::new())?;
        Ok(chain)
    }

    /// Height of the last block.
    pub fn height(&self) -> u64 {
        self.height
    }

    /// Address of a member.
    pub fn address(&self, member: usize) -> &str {
        &self.addresses[member]
    }

    /// The 20 bytes of a member's address.
    pub fn address_bytes(&self, member: usize) -> [u8; 20] {
        self.wallets[member].key.address_bytes()
    }

    /// A member's key.
    pub fn key(&self, member: usize) -> &Key {
        &self.wallets[member].key
    }

    /// The member with this address.
    pub fn member(&self, address: &str) -> Result<usize> {
        let index = self.indices.get(address).copied();
        index.ok_or_else(|| {
            Error::unreadable("event", format!("{address} is not a member's address"))
        })
    }

    /// Base units that a member's transactions cost so far.
    pub fn fees(&self, member: usize) -> u128 {
        self.wallets[member].fees
    }

    /// Signs a transaction of each entry, executes them as one block and commits it. Returns all
    /// events, those of the transactions first.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if a question is refused because no nodes are free; an error if any other
    /// transaction fails.
    pub fn block(&mut self, sent: Vec<(usize, Vec<Any>)>) -> Result<Vec<Event>> {
        let height = self.height + 1;
        let senders: Vec<usize> = sent.iter().map(|(sender, _)| *sender).collect();
        let mut txs: Vec<Vec<u8>> = self.outputs().into_iter().collect();
        let entries = txs.len();
        for (sender, messages) in sent {
            txs.push(self.sign(sender, messages)?);
        }
        let hash = random::bytes(self.seed, "block", height, 0);
        let block = Block {
            last_commit: self.last_commit(),
            ..Block::new(height, &hash, &txs)
        };
        self.extension = Some(self.app.extend_vote(height)?);
        let (outcome, _) = self.app.finalize_block(&block)?;
        self.app.commit()?;
        self.height = height;
        let mut events = Vec::new();
        let results = outcome.results.into_iter().skip(entries);
        for (result, sender) in results.zip(senders) {
            if result.code == code::NO_NODES.number {
                return Err(Error::NoRoom);
            }
            if result.code != 0 {
                return Err(Error::Transaction {
                    sender: self.addresses[sender].clone(),
                    height,
                    log: result.log,
                });
            }
            events.extend(result.events);
        }
        events.extend(outcome.events);
        Ok(events)
    }

    /// The next block's entry with the VRF output of the vote for the last block.
    fn outputs(&self) -> Option<Vec<u8>> {
        let extension = self.extension.clone()?;
        let output = VoteOutput {
            validator: self.validator.clone(),
            extension,
        };
        Some(encode(&MsgVoteOutputs {
            outputs: vec![output],
        }))
    }

    /// The only validator signs every block.
    fn last_commit(&self) -> LastCommit {
        LastCommit {
            votes: vec![Vote {
                address: self.validator.clone(),
                power: POWER,
            }],
            total_power: POWER,
        }
    }

    fn sign(&mut self, sender: usize, messages: Vec<Any>) -> Result<Vec<u8>> {
        let (gas_limit, fee) = self.fee(sender, &messages)?;
        let wallet = &mut self.wallets[sender];
        let signer = Signer {
            chain_id: CHAIN_ID.into(),
            account_number: wallet.number,
            sequence: wallet.sequence,
        };
        wallet.sequence += 1;
        wallet.fees += fee;
        let unsigned = Unsigned {
            messages,
            gas_limit,
            fee: (fee > 0).then(|| (self.params.denom.clone(), fee)),
            memo: String::new(),
            timeout_height: 0,
        };
        Ok(sign(&unsigned, &signer, &wallet.key)?)
    }

    /// Gas limit and fee of a transaction, as the client library chooses them.
    fn fee(&self, sender: usize, messages: &[Any]) -> Result<(u64, u128)> {
        let wallet = &self.wallets[sender];
        if self.params.gas_price == 0 || !wallet.pays {
            return Ok((GAS_LIMIT, 0));
        }
        let unsigned = Unsigned {
            messages: messages.to_vec(),
            gas_limit: 0,
            fee: None,
            memo: String::new(),
            timeout_height: 0,
        };
        let (key, denom) = (wallet.key.public_key(), &self.params.denom);
        let bytes = simulated(&unsigned, denom, key, wallet.sequence)?;
        let needed = poq_app::tx::decode(&bytes, &self.params)?.gas_needed();
        let limit = adjusted(needed, GAS_ADJUSTMENT)?;
        let fee = u128::from(limit) * u128::from(self.params.gas_price);
        Ok((limit, fee.div_ceil(PPM.into())))
    }

    /// Balance plus stake of each member in base units, in genesis order.
    ///
    /// # Errors
    /// [`Error::Money`] unless supply = balances + stakes and supply + burnt = genesis. All tasks
    /// must be over, so that nothing is in escrow.
    pub fn wealth(&self) -> Result<Vec<u128>> {
        let mut wealth = vec![0u128; self.wallets.len()];
        let mut held = u128::from(VALIDATOR_STAKE);
        for role in [Role::Inference, Role::Evaluator] {
            for node in self.nodes(role)? {
                let unbonding = node.unbonding.iter().map(|part| u128::from(part.amount));
                let stake = u128::from(node.stake) + unbonding.sum::<u128>();
                wealth[self.member(&node.operator)?] += stake;
                held += stake;
            }
        }
        let mut balances = 0;
        for (address, _, amount) in self.app.balances(None)? {
            balances += amount;
            if let Some(index) = self.indices.get(&address) {
                wealth[*index] += amount;
            }
        }
        let (supply, burnt) = (self.supply()?, self.burnt()?);
        if supply != balances + held || supply + burnt != self.genesis_money {
            return Err(Error::Money(format!(
                "supply {supply}, balances {balances}, stakes {held}, burnt {burnt}, genesis {}",
                self.genesis_money
            )));
        }
        Ok(wealth)
    }

    /// The inference node that a member runs.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if it runs none.
    pub fn inference_node(&self, member: usize) -> Result<Node> {
        let operator = self.address(member);
        let mut nodes = self.nodes(Role::Inference)?.into_iter();
        let found = nodes.find(|node| node.operator == operator);
        found.ok_or_else(|| Error::unreadable("node", format!("{operator} runs none")))
    }

    /// A session.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if there is none with this id.
    pub fn session(&self, id: u64) -> Result<Session> {
        let request = QuerySessionRequest { id };
        let answer: QuerySessionResponse = self.query("/poq.v1.Query/Session", &request)?;
        let missing = || Error::unreadable("session", format!("{id} does not exist"));
        answer.session.ok_or_else(missing)
    }

    /// A task.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if there is none with this id.
    pub fn task(&self, id: u64) -> Result<Task> {
        let request = QueryTaskRequest { id };
        let answer: QueryTaskResponse = self.query("/poq.v1.Query/Task", &request)?;
        let missing = || Error::unreadable("task", format!("{id} does not exist"));
        answer.task.ok_or_else(missing)
    }

    fn nodes(&self, role: Role) -> Result<Vec<Node>> {
        let request = QueryNodesRequest {
            role: role.into(),
            limit: PAGE,
            ..QueryNodesRequest::default()
        };
        let answer: QueryNodesResponse = self.query("/poq.v1.Query/Nodes", &request)?;
        Ok(answer.nodes)
    }

    fn supply(&self) -> Result<u128> {
        let request = QuerySupplyOfRequest {
            denom: self.params.denom.clone(),
        };
        let path = "/cosmos.bank.v1beta1.Query/SupplyOf";
        let answer: QuerySupplyOfResponse = self.query(path, &request)?;
        let amount = answer.amount.unwrap_or_default().amount;
        amount
            .parse()
            .map_err(|error| Error::unreadable("supply", error))
    }

    fn burnt(&self) -> Result<u128> {
        let key = format!("bank/burnt/{}", self.params.denom);
        let (proven, _) = self.app.prove(key.as_bytes(), None)?;
        let Some(value) = proven.value else {
            return Ok(0);
        };
        let bytes = <[u8; 16]>::try_from(value.as_slice());
        bytes
            .map(u128::from_be_bytes)
            .map_err(|error| Error::unreadable("burnt amount", error))
    }

    fn query<Q: Message, A: Message + Default>(&self, path: &str, request: &Q) -> Result<A> {
        let (answer, _) = self.app.query(path, &request.encode_to_vec(), None)?;
        A::decode(answer.as_slice()).map_err(|error| Error::unreadable(path, error))
    }
}

/// An event of the chain with readable attributes.
pub struct Notice<'a>(pub &'a Event);

impl<'a> Notice<'a> {
    /// The value of an attribute.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if the event has no attribute of this name.
    pub fn text(&self, key: &str) -> Result<&'a str> {
        let mut attributes = self.0.attributes.iter();
        let found = attributes.find(|attribute| attribute.key == key);
        found
            .map(|attribute| attribute.value.as_str())
            .ok_or_else(|| {
                Error::unreadable(
                    format!("event {}", self.0.r#type),
                    format!("it has no {key}"),
                )
            })
    }

    /// The value of a numeric attribute.
    pub fn number(&self, key: &str) -> Result<u64> {
        self.text(key)?
            .parse()
            .map_err(|error| Error::unreadable(format!("event {}", self.0.r#type), error))
    }
}
