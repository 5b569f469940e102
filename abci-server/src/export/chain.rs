//! Reads a chain's state with the queries that everybody has.

use anyhow::{Context, bail};
use cosmos_sdk_proto::cosmos::bank::v1beta1::{QueryTotalSupplyRequest, QueryTotalSupplyResponse};
use cosmos_sdk_proto::cosmos::base::query::v1beta1::PageRequest;
use poq_app::App;
use poq_proto::v1::{
    DenomMetadata, EvaluatorModel, Model, Node, Params, QueryEvaluatorModelsRequest,
    QueryEvaluatorModelsResponse, QueryModelsRequest, QueryModelsResponse, QueryNodesRequest,
    QueryNodesResponse, QueryParamsRequest, QueryParamsResponse, QueryTasksRequest,
    QueryTasksResponse, QueryValidatorsRequest, QueryValidatorsResponse, Role, Task, Validator,
};
use prost::Message;

/// Entries of one page.
const PAGE: u32 = 1000;

/// A chain's state at one height.
pub(super) struct Chain<'a> {
    pub(super) app: &'a App,
    pub(super) height: Option<u64>,
}

impl Chain<'_> {
    fn ask<R: Message + Default>(&self, path: &str, request: &impl Message) -> anyhow::Result<R> {
        let (answer, _) = self
            .app
            .query(path, &request.encode_to_vec(), self.height)?;
        R::decode(answer.as_slice()).with_context(|| format!("cannot read the answer of {path}"))
    }

    pub(super) fn params(&self) -> anyhow::Result<Params> {
        let answer: QueryParamsResponse =
            self.ask("/poq.v1.Query/Params", &QueryParamsRequest {})?;
        answer.params.context("the chain has no parameters")
    }

    pub(super) fn supply(&self) -> anyhow::Result<Vec<(String, u128)>> {
        let limit = PAGE.into();
        let request = QueryTotalSupplyRequest {
            pagination: Some(PageRequest {
                limit,
                ..PageRequest::default()
            }),
        };
        let path = "/cosmos.bank.v1beta1.Query/TotalSupply";
        let answer: QueryTotalSupplyResponse = self.ask(path, &request)?;
        if answer.supply.len() >= PAGE as usize {
            bail!("the chain has more than {PAGE} denoms");
        }
        let coins = answer.supply.into_iter();
        coins
            .map(|coin| Ok((coin.denom, coin.amount.parse()?)))
            .collect()
    }

    pub(super) fn denom_metadata(&self) -> anyhow::Result<Vec<DenomMetadata>> {
        Ok(self.app.denom_metadata(self.height)?)
    }

    pub(super) fn models(&self) -> anyhow::Result<Vec<Model>> {
        pages(String::new(), |after| {
            let request = QueryModelsRequest { after, limit: PAGE };
            let answer: QueryModelsResponse = self.ask("/poq.v1.Query/Models", &request)?;
            let last = answer.models.last().map(|model| model.id.clone());
            Ok((answer.models, last))
        })
    }

    pub(super) fn evaluator_models(&self) -> anyhow::Result<Vec<EvaluatorModel>> {
        pages(String::new(), |after| {
            let request = QueryEvaluatorModelsRequest { after, limit: PAGE };
            let answer: QueryEvaluatorModelsResponse =
                self.ask("/poq.v1.Query/EvaluatorModels", &request)?;
            let models = answer.evaluator_models;
            let last = models.last().map(|model| model.id.clone());
            Ok((models, last))
        })
    }

    pub(super) fn nodes(&self, role: Role) -> anyhow::Result<Vec<Node>> {
        pages(String::new(), |after| {
            let request = QueryNodesRequest {
                role: role.into(),
                after,
                limit: PAGE,
            };
            let answer: QueryNodesResponse = self.ask("/poq.v1.Query/Nodes", &request)?;
            let last = answer.nodes.last().map(|node| node.operator.clone());
            Ok((answer.nodes, last))
        })
    }

    pub(super) fn validators(&self) -> anyhow::Result<Vec<Validator>> {
        pages(String::new(), |after| {
            let request = QueryValidatorsRequest { after, limit: PAGE };
            let answer: QueryValidatorsResponse = self.ask("/poq.v1.Query/Validators", &request)?;
            let last = answer.validators.last().map(|node| node.operator.clone());
            Ok((answer.validators, last))
        })
    }

    pub(super) fn tasks(&self) -> anyhow::Result<Vec<Task>> {
        pages(0, |after| {
            let request = QueryTasksRequest {
                user: String::new(),
                after,
                limit: PAGE,
            };
            let answer: QueryTasksResponse = self.ask("/poq.v1.Query/Tasks", &request)?;
            let last = answer.tasks.last().map(|task| task.id);
            Ok((answer.tasks, last))
        })
    }
}

/// Reads page after page, each with the key of its last entry.
fn pages<T, K>(
    mut after: K,
    mut page: impl FnMut(K) -> anyhow::Result<(Vec<T>, Option<K>)>,
) -> anyhow::Result<Vec<T>> {
    let mut entries = Vec::new();
    loop {
        let (found, last) = page(after)?;
        let is_last = found.len() < PAGE as usize;
        entries.extend(found);
        match last {
            Some(last) if !is_last => after = last,
            _ => return Ok(entries),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pages_are_read() {
        let all = pages(0, |after: u32| {
            let page: Vec<u32> = (after..2500).take(PAGE as usize).collect();
            let last = page.last().map(|last| last + 1);
            Ok((page, last))
        });
        assert_eq!(all.unwrap().len(), 2500);
    }
}
