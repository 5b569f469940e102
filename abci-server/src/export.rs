//! The state of a chain as the genesis of another one.

mod chain;

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use poq_app::App;
use poq_app::PROTOCOL_ACCOUNT;
use poq_proto::v1::{
    EvaluatorModel, GenesisAccount, GenesisCoin, GenesisNode, GenesisState, GenesisValidator,
    Model, Node, NodeStatus, Payout, Role, Task, TaskStatus, Unbonding, Validator,
};

use self::chain::Chain;
use crate::home::genesis;

/// Everything of a chain that another one can start with.
pub struct Export {
    /// The application's part.
    pub app_state: GenesisState,
    /// The validators that have power.
    pub validators: Vec<genesis::Validator>,
    /// What could not be carried over as it was, and what became of it.
    pub changes: Vec<String>,
}

/// Money by address and denom, base units.
#[derive(Default)]
struct Ledger {
    balances: BTreeMap<String, BTreeMap<String, u128>>,
}

/// Reads the state at a height, or the last one.
///
/// # Errors
/// If the application has not that height, or the money does not add up.
pub fn export(app: &App, height: Option<u64>) -> anyhow::Result<Export> {
    let chain = Chain { app, height };
    let params = chain.params()?;
    let mut exporter = Exporter {
        denom: params.denom.clone(),
        min_stake: [
            (Role::Inference, params.min_inference_stake),
            (Role::Evaluator, params.min_evaluator_stake),
        ],
        models: chain.models()?,
        evaluator_models: chain.evaluator_models()?,
        ledger: Ledger::default(),
        changes: Vec::new(),
    };
    for (address, denom, amount) in app.balances(height)? {
        exporter.ledger.add(&address, &denom, amount)?;
    }
    let protocol = poq_app::Address::of_module(PROTOCOL_ACCOUNT, &params.bech32_prefix)?;
    for task in chain.tasks()? {
        exporter.end(&task, protocol.as_str())?;
    }
    let mut nodes = Vec::new();
    for role in [Role::Inference, Role::Evaluator] {
        for node in chain.nodes(role)? {
            nodes.extend(exporter.node(node)?);
        }
    }
    let mut owners = Vec::new();
    let mut validators = Vec::new();
    for validator in chain.validators()? {
        if let Some(owner) = exporter.validator(&validator)? {
            let (key, power) = (&validator.public_key, validator.power);
            validators.push(genesis::Validator::new(key, power, String::new()));
            owners.push(owner);
        }
    }
    let app_state = GenesisState {
        params: Some(params),
        accounts: exporter.ledger.accounts(),
        models: exporter.models,
        evaluator_models: exporter.evaluator_models,
        nodes,
        validators: owners,
        denom_metadata: chain.denom_metadata()?,
    };
    check_sums(&chain, &app_state)?;
    Ok(Export {
        app_state,
        validators,
        changes: exporter.changes,
    })
}

/// Decides what of a chain goes into a genesis.
struct Exporter {
    denom: String,
    min_stake: [(Role, u64); 2],
    models: Vec<Model>,
    evaluator_models: Vec<EvaluatorModel>,
    ledger: Ledger,
    changes: Vec<String>,
}

impl Exporter {
    /// Ends a task that is open: it pays what is settled, and otherwise gives all back. Scores that
    /// are being audited settle nothing.
    fn end(&mut self, task: &Task, protocol: &str) -> anyhow::Result<()> {
        let (id, denom) = (task.id, self.denom.clone());
        let audit = task.audit.as_ref().filter(|audit| audit.result.is_none());
        match (task.status(), &task.settlement, audit) {
            (TaskStatus::Final | TaskStatus::Refunded, ..) => {}
            (TaskStatus::Settled, _, Some(audit)) => {
                self.ledger.add(&task.user, &denom, task.escrow.into())?;
                self.changes.push(format!(
                    "the audit of task {id} is not over: it is refunded to {}",
                    task.user
                ));
                if audit.deposit > 0 {
                    self.ledger
                        .add(&audit.challenger, &denom, audit.deposit.into())?;
                    self.changes.push(format!(
                        "{} gets the deposit of its challenge of task {id} back",
                        audit.challenger
                    ));
                }
            }
            (TaskStatus::Settled, Some(settlement), None) => {
                let payouts = settlement.inference.iter().chain(&settlement.evaluators);
                for Payout { payout, amount, .. } in payouts.filter(|payout| payout.amount > 0) {
                    self.ledger.add(payout, &denom, (*amount).into())?;
                }
                self.ledger
                    .add(protocol, &denom, settlement.protocol.into())?;
                self.ledger
                    .add(&task.user, &denom, settlement.refund.into())?;
                self.changes.push(format!("task {id} is paid as settled"));
            }
            _ => {
                self.ledger.add(&task.user, &denom, task.escrow.into())?;
                self.changes
                    .push(format!("task {id} is over and refunded to {}", task.user));
            }
        }
        Ok(())
    }

    /// A node as it registers again; one that could not gets its stake back.
    fn node(&mut self, node: Node) -> anyhow::Result<Option<GenesisNode>> {
        self.give_back(&node.operator, &node.unbonding)?;
        let role = node.role();
        let name = role.as_str_name();
        let models: Vec<String> = node
            .models
            .iter()
            .filter(|id| self.takes_nodes(role, id))
            .cloned()
            .collect();
        let least = self.min_stake.iter().find(|(of, _)| *of == role);
        let enough = least.is_some_and(|(_, least)| node.stake >= *least);
        if models.is_empty() || !enough || node.status() == NodeStatus::Unbonding {
            let denom = self.denom.clone();
            self.ledger.add(&node.operator, &denom, node.stake.into())?;
            self.changes.push(format!(
                "{name} {} is not registered; its stake is in its balance",
                node.operator
            ));
            return Ok(None);
        }
        if node.status() == NodeStatus::Jailed {
            self.changes
                .push(format!("{name} {} is free again", node.operator));
        }
        Ok(Some(GenesisNode {
            role: node.role,
            operator: node.operator,
            payout: node.payout,
            endpoint: node.endpoint,
            models,
            stake: node.stake,
            capacity: node.capacity,
        }))
    }

    fn takes_nodes(&self, role: Role, id: &str) -> bool {
        match role {
            Role::Inference => {
                let mut models = self.models.iter();
                models.any(|model| model.id == id && !model.deprecated)
            }
            _ => {
                let mut models = self.evaluator_models.iter();
                models.any(|model| model.id == id && !model.deprecated)
            }
        }
    }

    /// The owner of a validator that has power; another one gets its stake back.
    fn validator(&mut self, validator: &Validator) -> anyhow::Result<Option<GenesisValidator>> {
        self.give_back(&validator.operator, &validator.unbonding)?;
        if validator.power == 0 {
            let denom = self.denom.clone();
            self.ledger
                .add(&validator.operator, &denom, validator.stake.into())?;
            self.changes.push(format!(
                "validator {} has no power and is not registered; its stake is in its balance",
                validator.operator
            ));
            return Ok(None);
        }
        Ok(Some(GenesisValidator {
            operator: validator.operator.clone(),
            payout: validator.payout.clone(),
            public_key: validator.public_key.clone(),
            stake: validator.stake,
            vrf_key: vrf_key(validator).to_vec(),
        }))
    }

    fn give_back(&mut self, operator: &str, parts: &[Unbonding]) -> anyhow::Result<()> {
        let denom = self.denom.clone();
        for part in parts {
            self.ledger.add(operator, &denom, part.amount.into())?;
            self.changes.push(format!(
                "{}{denom} on their way back to {operator} are in its balance",
                part.amount
            ));
        }
        Ok(())
    }
}

impl Ledger {
    fn add(&mut self, address: &str, denom: &str, amount: u128) -> anyhow::Result<()> {
        let coins = self.balances.entry(address.to_owned()).or_default();
        let balance = coins.entry(denom.to_owned()).or_default();
        *balance = balance
            .checked_add(amount)
            .with_context(|| format!("the balance of {address} exceeds 128 bits"))?;
        Ok(())
    }

    fn accounts(&self) -> Vec<GenesisAccount> {
        let account = |(address, coins): (&String, &BTreeMap<String, u128>)| {
            let coins: Vec<GenesisCoin> = coins
                .iter()
                .filter(|(_, amount)| **amount > 0)
                .map(|(denom, amount)| GenesisCoin {
                    denom: denom.clone(),
                    amount: amount.to_string(),
                })
                .collect();
            (!coins.is_empty()).then(|| GenesisAccount {
                address: address.clone(),
                coins,
            })
        };
        self.balances.iter().filter_map(account).collect()
    }
}

/// The newest VRF key: the new chain begins long after the change of the old one.
fn vrf_key(validator: &Validator) -> &[u8] {
    match validator.next_vrf_key.is_empty() {
        true => &validator.vrf_key,
        false => &validator.next_vrf_key,
    }
}

/// Nothing may be lost or made.
fn check_sums(chain: &Chain<'_>, state: &GenesisState) -> anyhow::Result<()> {
    let mut sums: BTreeMap<&str, u128> = BTreeMap::new();
    let coins = state.accounts.iter().flat_map(|account| &account.coins);
    let coins = coins.map(|coin| (coin.denom.as_str(), coin.amount.parse::<u128>()));
    let denom = state.params.as_ref().map_or("", |params| &params.denom);
    let nodes = state.nodes.iter().map(|node| node.stake);
    let validators = state.validators.iter().map(|validator| validator.stake);
    let stakes = nodes
        .chain(validators)
        .map(|stake| (denom, Ok(stake.into())));
    for (denom, amount) in coins.chain(stakes) {
        let sum = sums.entry(denom).or_default();
        *sum = sum
            .checked_add(amount?)
            .with_context(|| format!("the sum of {denom} exceeds 128 bits"))?;
    }
    for (denom, supply) in chain.supply()? {
        let sum = sums.get(denom.as_str()).copied().unwrap_or(0);
        ensure!(
            sum == supply,
            "the genesis would have {sum}{denom}, but the supply is {supply}{denom}; please report it"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::{Audit, Settlement};

    use super::*;

    fn exporter() -> Exporter {
        Exporter {
            denom: "upoq".into(),
            min_stake: [(Role::Inference, 100), (Role::Evaluator, 50)],
            models: vec![Model {
                id: "m".into(),
                ..Model::default()
            }],
            evaluator_models: vec![EvaluatorModel {
                id: "old".into(),
                deprecated: true,
                ..EvaluatorModel::default()
            }],
            ledger: Ledger::default(),
            changes: Vec::new(),
        }
    }

    fn balance(exporter: &Exporter, address: &str) -> u128 {
        let accounts = exporter.ledger.accounts();
        let account = accounts.iter().find(|account| account.address == address);
        account.map_or(0, |account| account.coins[0].amount.parse().unwrap())
    }

    #[test]
    fn open_tasks_end() {
        let mut exporter = exporter();
        let mut task = Task {
            id: 1,
            user: "user".into(),
            escrow: 100,
            ..Task::default()
        };
        task.set_status(TaskStatus::Committing);
        exporter.end(&task, "protocol").unwrap();
        assert_eq!(balance(&exporter, "user"), 100);

        task.set_status(TaskStatus::Settled);
        let payout = |payout: &str, amount| Payout {
            payout: payout.into(),
            amount,
            ..Payout::default()
        };
        task.settlement = Some(Settlement {
            inference: Some(payout("node", 60)),
            evaluators: vec![payout("evaluator", 20), payout("silent", 0)],
            protocol: 5,
            refund: 15,
            ..Settlement::default()
        });
        exporter.end(&task, "protocol").unwrap();
        let balances = ["user", "node", "evaluator", "silent", "protocol"];
        let balances = balances.map(|address| balance(&exporter, address));
        assert_eq!(balances, [115, 60, 20, 0, 5]);

        // Somebody says that this settlement is wrong, and nobody knows yet.
        task.audit = Some(Audit {
            challenger: "challenger".into(),
            deposit: 9,
            ..Audit::default()
        });
        exporter.end(&task, "protocol").unwrap();
        let balances = ["user", "node", "challenger"];
        let balances = balances.map(|address| balance(&exporter, address));
        assert_eq!(balances, [215, 60, 9]);

        task.set_status(TaskStatus::Final);
        exporter.end(&task, "protocol").unwrap();
        assert_eq!(balance(&exporter, "user"), 215);
        assert_eq!(exporter.changes.len(), 4);
    }

    #[test]
    fn a_node_that_could_not_register_gets_its_stake_back() {
        let node = |role: Role, stake, model: &str| Node {
            role: role.into(),
            operator: "op".into(),
            models: vec![model.into()],
            stake,
            unbonding: vec![Unbonding {
                amount: 7,
                release_height: 9,
            }],
            ..Node::default()
        };
        let mut exporter = exporter();
        let kept = exporter.node(node(Role::Inference, 100, "m")).unwrap();
        assert_eq!(kept.unwrap().stake, 100);
        assert_eq!(balance(&exporter, "op"), 7);
        for lost in [
            node(Role::Inference, 99, "m"),
            node(Role::Inference, 99, "unknown"),
            node(Role::Evaluator, 99, "old"),
        ] {
            assert_eq!(exporter.node(lost).unwrap(), None);
        }
        assert_eq!(balance(&exporter, "op"), 4 * 7 + 3 * 99);
    }

    #[test]
    fn only_validators_with_power_stay() {
        let mut exporter = exporter();
        let mut validator = Validator {
            operator: "op".into(),
            stake: 30,
            power: 1,
            ..Validator::default()
        };
        assert!(exporter.validator(&validator).unwrap().is_some());
        validator.power = 0;
        assert!(exporter.validator(&validator).unwrap().is_none());
        assert_eq!(balance(&exporter, "op"), 30);
    }
}
