//! Reads a chain's state by queries.

use cosmos_sdk_proto::cosmos::bank::v1beta1::{
    QueryBalanceRequest, QueryBalanceResponse, QuerySupplyOfRequest, QuerySupplyOfResponse,
};
use poq_app::Address;
use poq_app::modules::sessions::held;
use poq_proto::v1::*;
use prost::Message;

use super::{Chain, DENOM, FUNDS, STAKE, held_deposit, is_over};

impl Chain {
    pub(crate) fn audits(&self) -> Vec<PendingAudit> {
        let request = QueryAuditsRequest::default();
        let answer: QueryAuditsResponse = self.query("/poq.v1.Query/Audits", &request);
        answer.audits
    }

    pub(crate) fn query<Q: Message, A: Message + Default>(&self, path: &str, request: &Q) -> A {
        let (answer, _) = self
            .app
            .query(path, &request.encode_to_vec(), None)
            .unwrap();
        A::decode(answer.as_slice()).unwrap()
    }

    pub(crate) fn task(&self, id: u64) -> Task {
        let answer: QueryTaskResponse = self.query("/poq.v1.Query/Task", &QueryTaskRequest { id });
        answer.task.unwrap()
    }

    pub(crate) fn tasks(&self) -> Vec<Task> {
        let request = QueryTasksRequest {
            limit: 1_000,
            ..QueryTasksRequest::default()
        };
        let answer: QueryTasksResponse = self.query("/poq.v1.Query/Tasks", &request);
        answer.tasks
    }

    pub(crate) fn session(&self, id: u64) -> Session {
        let request = QuerySessionRequest { id };
        let answer: QuerySessionResponse = self.query("/poq.v1.Query/Session", &request);
        answer.session.unwrap()
    }

    pub(crate) fn sessions(&self) -> Vec<Session> {
        let request = QuerySessionsRequest {
            limit: 1_000,
            ..QuerySessionsRequest::default()
        };
        let answer: QuerySessionsResponse = self.query("/poq.v1.Query/Sessions", &request);
        answer.sessions
    }

    pub(crate) fn nodes(&self, role: Role) -> Vec<Node> {
        let request = QueryNodesRequest {
            role: role.into(),
            limit: 1_000,
            ..QueryNodesRequest::default()
        };
        let answer: QueryNodesResponse = self.query("/poq.v1.Query/Nodes", &request);
        answer.nodes
    }

    pub(crate) fn node(&self, role: Role, operator: &str) -> Node {
        self.nodes(role)
            .into_iter()
            .find(|node| node.operator == operator)
            .unwrap()
    }

    pub(crate) fn validators(&self) -> Vec<Validator> {
        let request = QueryValidatorsRequest::default();
        let answer: QueryValidatorsResponse = self.query("/poq.v1.Query/Validators", &request);
        answer.validators
    }

    pub(crate) fn validator(&self, operator: &str) -> Validator {
        let request = QueryValidatorRequest {
            operator: operator.into(),
        };
        let answer: QueryValidatorResponse = self.query("/poq.v1.Query/Validator", &request);
        answer.validator.unwrap()
    }

    pub(crate) fn duties(&self, role: Role, operator: &str) -> Vec<Duty> {
        let request = QueryDutiesRequest {
            role: role.into(),
            operator: operator.into(),
            ..QueryDutiesRequest::default()
        };
        let answer: QueryDutiesResponse = self.query("/poq.v1.Query/Duties", &request);
        answer.duties
    }

    pub(crate) fn balance(&self, address: &str) -> u128 {
        let request = QueryBalanceRequest {
            address: address.into(),
            denom: DENOM.into(),
        };
        let answer: QueryBalanceResponse =
            self.query("/cosmos.bank.v1beta1.Query/Balance", &request);
        answer.balance.unwrap().amount.parse().unwrap()
    }

    pub(crate) fn supply(&self) -> u128 {
        let request = QuerySupplyOfRequest {
            denom: DENOM.into(),
        };
        let answer: QuerySupplyOfResponse =
            self.query("/cosmos.bank.v1beta1.Query/SupplyOf", &request);
        answer.amount.unwrap().amount.parse().unwrap()
    }

    pub(crate) fn burnt(&self) -> u128 {
        let (proven, _) = self.app.prove(b"bank/burnt/upoq", None).unwrap();
        proven
            .value
            .map_or(0, |value| u128::from_be_bytes(value.try_into().unwrap()))
    }

    /// Invariant 1 of protocol section 13.
    pub(crate) fn assert_money_is_conserved(&self) {
        let protocol = Address::of_module("protocol", "poq").unwrap();
        let wallets = self
            .inference
            .iter()
            .chain(&self.evaluators)
            .chain(&self.validators)
            .chain([&self.user]);
        let balances: u128 = wallets
            .map(|wallet| wallet.address.as_str())
            .chain([protocol.as_str()])
            .map(|address| self.balance(address))
            .sum();
        let escrow: u128 = self
            .tasks()
            .iter()
            .filter(|task| !is_over(task))
            .map(|task| u128::from(task.escrow) + u128::from(held_deposit(task)))
            .sum();
        let sessions = self.sessions();
        let held = sessions.iter().map(|session| u128::from(held(session)));
        let escrow = escrow + held.sum::<u128>();
        let nodes = [Role::Inference, Role::Evaluator]
            .into_iter()
            .flat_map(|role| self.nodes(role))
            .map(|node| (node.stake, node.unbonding));
        let validators = self.validators().into_iter();
        let stake: u128 = nodes
            .chain(validators.map(|validator| (validator.stake, validator.unbonding)))
            .map(|(stake, parts)| {
                let parts = parts.iter().map(|part| u128::from(part.amount));
                u128::from(stake) + parts.sum::<u128>()
            })
            .sum();
        assert_eq!(self.supply(), balances + escrow + stake);
        let workers = self.inference.len() + self.evaluators.len() + self.validators.len();
        let workers = workers as u128;
        let genesis = u128::from(FUNDS) * (workers + 1) + u128::from(STAKE) * workers;
        assert_eq!(self.supply() + self.burnt(), genesis);
    }
}
