//! The router of queries, by gRPC path.

use cosmos_sdk_proto::cosmos::base::abci::v1beta1::{self as abci, GasInfo, TxMsgData};
use cosmos_sdk_proto::cosmos::tx::v1beta1::{SimulateRequest, SimulateResponse};
use poq_proto::code;
use poq_store::State;
use prost::Message;
use tendermint_proto::v0_38::abci::Event;

use crate::chain;
use crate::error::{Error, Result, reject};
use crate::execution::Execution;
use crate::modules::beacon;
use crate::modules::{audits, auth, bank, models, nodes, params, sessions, tasks, validators};
use crate::tx::{self, Signatures, Verifier};

/// The gRPC path of simulations.
pub(crate) const SIMULATE: &str = "/cosmos.tx.v1beta1.Service/Simulate";

/// Answers a query on a state that is dropped afterwards.
pub(crate) fn route(state: &mut State, path: &str, data: &[u8]) -> Result<Vec<u8>> {
    match path {
        "/poq.v1.Query/Params" => answer(state, data, params::query::query_params),
        "/poq.v1.Query/Model" => answer(state, data, models::query::query_model),
        "/poq.v1.Query/Models" => answer(state, data, models::query::query_models),
        "/poq.v1.Query/EvaluatorModel" => answer(state, data, models::query::query_evaluator_model),
        "/poq.v1.Query/EvaluatorModels" => {
            answer(state, data, models::query::query_evaluator_models)
        }
        "/poq.v1.Query/Node" => answer(state, data, nodes::query::query_node),
        "/poq.v1.Query/Nodes" => answer(state, data, nodes::query::query_nodes),
        "/poq.v1.Query/Task" => answer(state, data, tasks::query::query_task),
        "/poq.v1.Query/Tasks" => answer(state, data, tasks::query::query_tasks),
        "/poq.v1.Query/Payload" => answer(state, data, tasks::query::query_payload),
        "/poq.v1.Query/Duties" => answer(state, data, tasks::query::query_duties),
        "/poq.v1.Query/Audits" => answer(state, data, audits::query::query_audits),
        "/poq.v1.Query/Session" => answer(state, data, sessions::query::query_session),
        "/poq.v1.Query/Sessions" => answer(state, data, sessions::query::query_sessions),
        "/poq.v1.Query/Validator" => answer(state, data, validators::query::query_validator),
        "/poq.v1.Query/Validators" => answer(state, data, validators::query::query_validators),
        "/poq.v1.Query/Beacon" => answer(state, data, beacon::query::query_beacon),
        "/cosmos.auth.v1beta1.Query/Account" => answer(state, data, auth::query::query_account),
        "/cosmos.auth.v1beta1.Query/Accounts" => answer(state, data, auth::query::query_accounts),
        "/cosmos.auth.v1beta1.Query/Bech32Prefix" => {
            answer(state, data, auth::query::query_bech32_prefix)
        }
        "/cosmos.auth.v1beta1.Query/AccountInfo" => {
            answer(state, data, auth::query::query_account_info)
        }
        "/cosmos.auth.v1beta1.Query/ModuleAccounts" => {
            answer(state, data, auth::query::query_module_accounts)
        }
        "/cosmos.auth.v1beta1.Query/ModuleAccountByName" => {
            answer(state, data, auth::query::query_module_account_by_name)
        }
        "/cosmos.auth.v1beta1.Query/Params" => answer(state, data, auth::query::query_params),
        "/cosmos.bank.v1beta1.Query/Balance" => answer(state, data, bank::query::query_balance),
        "/cosmos.bank.v1beta1.Query/AllBalances" => {
            answer(state, data, bank::query::query_all_balances)
        }
        "/cosmos.bank.v1beta1.Query/SpendableBalances" => {
            answer(state, data, bank::query::query_spendable_balances)
        }
        "/cosmos.bank.v1beta1.Query/SpendableBalanceByDenom" => {
            answer(state, data, bank::query::query_spendable_balance_by_denom)
        }
        "/cosmos.bank.v1beta1.Query/TotalSupply" => {
            answer(state, data, bank::query::query_total_supply)
        }
        "/cosmos.bank.v1beta1.Query/Params" => answer(state, data, bank::query::query_params),
        "/cosmos.bank.v1beta1.Query/SendEnabled" => {
            answer(state, data, bank::query::query_send_enabled)
        }
        "/cosmos.bank.v1beta1.Query/DenomMetadata" => {
            answer(state, data, bank::query::query_denom_metadata)
        }
        "/cosmos.bank.v1beta1.Query/DenomMetadataByQueryString" => answer(
            state,
            data,
            bank::query::query_denom_metadata_by_query_string,
        ),
        "/cosmos.bank.v1beta1.Query/DenomsMetadata" => {
            answer(state, data, bank::query::query_denoms_metadata)
        }
        "/cosmos.bank.v1beta1.Query/DenomOwners" => {
            answer(state, data, bank::query::query_denom_owners)
        }
        "/cosmos.bank.v1beta1.Query/SupplyOf" => answer(state, data, bank::query::query_supply_of),
        SIMULATE => Ok(simulate(state, decode(data)?)?.encode_to_vec()),
        _ => reject!(code::UNKNOWN_REQUEST, "unknown query path {path:?}"),
    }
}

fn answer<Q: Message + Default, A: Message>(
    state: &State,
    data: &[u8],
    query: impl Fn(&State, Q) -> Result<A>,
) -> Result<Vec<u8>> {
    Ok(query(state, decode(data)?)?.encode_to_vec())
}

fn decode<Q: Message + Default>(data: &[u8]) -> Result<Q> {
    Q::decode(data).map_err(|error| {
        Error::rejected(
            code::INVALID_REQUEST,
            format!("the query's data does not decode: {error}"),
        )
    })
}

/// `cosmos.tx.v1beta1.Service/Simulate`: the gas and the events of a transaction that would
/// succeed. Signatures, sign modes, public keys and the fee may be missing.
fn simulate(state: &mut State, request: SimulateRequest) -> Result<SimulateResponse> {
    let next = chain::context(state, state.version().saturating_add(1))?;
    let tx = tx::decode(&transaction(request), &next.params)?;
    let gas_info = GasInfo {
        // The Cosmos SDK's value for "no gas limit".
        gas_wanted: u64::MAX,
        gas_used: tx.gas_needed(),
    };
    let mut ctx = Execution::new(state, &next);
    let data = tx
        .authenticate(&mut ctx, Signatures::Simulated, &Verifier::default())?
        .execute(&mut ctx)?;
    Ok(SimulateResponse {
        gas_info: Some(gas_info),
        result: Some(result(data, ctx.into_events())?),
    })
}

/// The transaction's bytes; some clients still use the deprecated field.
#[allow(deprecated)]
fn transaction(request: SimulateRequest) -> Vec<u8> {
    match request.tx {
        Some(tx) if request.tx_bytes.is_empty() => tx.encode_to_vec(),
        _ => request.tx_bytes,
    }
}

#[allow(deprecated)]
fn result(data: Vec<u8>, events: Vec<Event>) -> Result<abci::Result> {
    let TxMsgData { msg_responses, .. } = decode(&data)?;
    Ok(abci::Result {
        data,
        log: String::new(),
        events,
        msg_responses,
    })
}
