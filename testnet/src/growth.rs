//! Adds workers to a running network in the way of an outsider: with a key, coins and a registration.

use cosmos_sdk_proto::cosmos::bank::v1beta1::MsgSend;
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use poq_client::keyring::{self, Keyring};
use poq_client::network::{Account, Worker};
use poq_client::{Fee, any};
use poq_proto::v1::Role;

use crate::{Error, INCLUSION, Network, Result, ports, process};

/// Coins of a new worker for the fees of its own transactions, base units.
const SPENDING_MONEY: u64 = 1_000_000;

impl Network {
    /// Creates, funds, registers and starts another worker of a role, with the stake and the models of the
    /// existing ones. Returns its name.
    pub async fn add(&mut self, role: Role) -> Result<String> {
        let worker = self.next_worker(role).await?;
        let name = worker.name.clone();
        if let Err(error) = self.join(role, &worker).await {
            // Remove the home, so that another try starts from scratch.
            let home = self.root().join(&worker.account.home);
            std::fs::remove_dir_all(&home).map_err(Error::file(&home))?;
            return Err(error);
        }
        self.insert(role, worker)?;
        self.start(&name)?;
        Ok(name)
    }

    async fn next_worker(&self, role: Role) -> Result<Worker> {
        let network = self.description();
        let (kind, colleagues) = match role {
            Role::Inference => ("inference", &network.inference_nodes),
            Role::Evaluator => ("evaluator", &network.evaluators),
            Role::Validator | Role::Unspecified => return Err(Error::NotAWorker),
        };
        let colleague = colleagues.last().ok_or(Error::NotAWorker)?;
        let number = colleagues.len() + 1;
        let taken = ports::of(network);
        let base = taken.iter().map(|(port, _)| *port).min().unwrap_or(0);
        let last = taken.iter().map(|(port, _)| *port).max().unwrap_or(0);
        let port = last.checked_add(1).ok_or(Error::NoPorts(1))?;
        let name = format!("{kind}-{number}");
        let mut own = vec![(port, format!("HTTP of {name}"))];
        let mut stream = String::new();
        if role == Role::Inference {
            let port = port.checked_add(1).ok_or(Error::NoPorts(1))?;
            own.push((port, format!("sessions of {name}")));
            stream = format!("127.0.0.1:{port}");
        }
        ports::check(base, own)?;

        let home = self.root().join(&name);
        std::fs::create_dir(&home).map_err(Error::file(&home))?;
        let keyring = Keyring::open(&home, network.keyring_backend, keyring::ask)?;
        keyring.add(&name)?;
        let prefix = self.client(0)?.params().await?.bech32_prefix;
        let node = &network.validators[number % network.validators.len()];
        Ok(Worker {
            account: Account {
                home: name.clone(),
                address: keyring.key(&name)?.address(&prefix)?,
                key: name.clone(),
            },
            name,
            rpc: node.rpc.clone(),
            http: format!("127.0.0.1:{port}"),
            stream,
            models: colleague.models.clone(),
            stake: colleague.stake,
        })
    }

    async fn join(&self, role: Role, worker: &Worker) -> Result<()> {
        let network = self.description();
        let user = self.sender(&network.user).await?;
        let amount = u128::from(worker.stake) + u128::from(SPENDING_MONEY);
        let gift = MsgSend {
            from_address: user.address().into(),
            to_address: worker.account.address.clone(),
            amount: vec![Coin {
                denom: network.denom.clone(),
                amount: amount.to_string(),
            }],
        };
        user.send_and_wait(vec![any(&gift)], Fee::Auto, INCLUSION)
            .await?;
        let programs = self.programs();
        let (init, register) = match role {
            Role::Inference => (
                programs.init_inference_node(self.root(), &network.chain_id, worker),
                programs.register_inference_node(self.root(), worker),
            ),
            _ => (
                programs.init_evaluator(self.root(), &network.chain_id, worker),
                programs.register_evaluator(self.root(), worker),
            ),
        };
        for (what, mut command) in [("init", init), ("register", register)] {
            process::output(&format!("{what} of {}", worker.name), &mut command).await?;
        }
        match role {
            Role::Inference => self.offer_sessions_of(worker).await,
            _ => Ok(()),
        }
    }
}
