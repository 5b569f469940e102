//! Queries of `bank`.

use cosmos_sdk_proto::cosmos::bank::v1beta1::{
    DenomOwner, DenomUnit, Metadata, Params, QueryAllBalancesRequest, QueryAllBalancesResponse,
    QueryBalanceRequest, QueryBalanceResponse, QueryDenomMetadataByQueryStringRequest,
    QueryDenomMetadataByQueryStringResponse, QueryDenomMetadataRequest, QueryDenomMetadataResponse,
    QueryDenomOwnersRequest, QueryDenomOwnersResponse, QueryDenomsMetadataRequest,
    QueryDenomsMetadataResponse, QueryParamsRequest, QueryParamsResponse, QuerySendEnabledRequest,
    QuerySendEnabledResponse, QuerySpendableBalanceByDenomRequest,
    QuerySpendableBalanceByDenomResponse, QuerySpendableBalancesRequest,
    QuerySpendableBalancesResponse, QuerySupplyOfRequest, QuerySupplyOfResponse,
    QueryTotalSupplyRequest, QueryTotalSupplyResponse,
};
use cosmos_sdk_proto::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use poq_proto::code;
use poq_proto::v1::DenomMetadata;
use poq_store::State;

use super::{all_metadata, balance, keys, parse_balance, supply};
use crate::address::Address;
use crate::coin::validate_denom;
use crate::error::{Error, Result, reject};
use crate::modules::params;
use crate::pagination::{page, page_of_entries};

/// `cosmos.bank.v1beta1.Query/Balance`.
pub fn query_balance(state: &State, request: QueryBalanceRequest) -> Result<QueryBalanceResponse> {
    let address = parse_address(state, &request.address)?;
    validate_denom(&request.denom)?;
    let amount = balance(state, &address, &request.denom)?;
    Ok(QueryBalanceResponse {
        balance: Some(coin(request.denom, amount)),
    })
}

/// `cosmos.bank.v1beta1.Query/AllBalances`.
pub fn query_all_balances(
    state: &State,
    request: QueryAllBalancesRequest,
) -> Result<QueryAllBalancesResponse> {
    let (balances, pagination) = balances(state, &request.address, request.pagination)?;
    Ok(QueryAllBalancesResponse {
        balances,
        pagination: Some(pagination),
    })
}

/// `cosmos.bank.v1beta1.Query/SpendableBalances`: nothing in a balance is locked.
pub fn query_spendable_balances(
    state: &State,
    request: QuerySpendableBalancesRequest,
) -> Result<QuerySpendableBalancesResponse> {
    let (balances, pagination) = balances(state, &request.address, request.pagination)?;
    Ok(QuerySpendableBalancesResponse {
        balances,
        pagination: Some(pagination),
    })
}

/// `cosmos.bank.v1beta1.Query/SpendableBalanceByDenom`.
pub fn query_spendable_balance_by_denom(
    state: &State,
    request: QuerySpendableBalanceByDenomRequest,
) -> Result<QuerySpendableBalanceByDenomResponse> {
    let QuerySpendableBalanceByDenomRequest { address, denom } = request;
    let QueryBalanceResponse { balance } =
        query_balance(state, QueryBalanceRequest { address, denom })?;
    Ok(QuerySpendableBalanceByDenomResponse { balance })
}

/// `cosmos.bank.v1beta1.Query/TotalSupply`.
pub fn query_total_supply(
    state: &State,
    request: QueryTotalSupplyRequest,
) -> Result<QueryTotalSupplyResponse> {
    let (supply, pagination) = page_of_coins(state, keys::SUPPLIES, request.pagination)?;
    Ok(QueryTotalSupplyResponse {
        supply,
        pagination: Some(pagination),
    })
}

/// `cosmos.bank.v1beta1.Query/SupplyOf`.
pub fn query_supply_of(
    state: &State,
    request: QuerySupplyOfRequest,
) -> Result<QuerySupplyOfResponse> {
    validate_denom(&request.denom)?;
    let amount = supply(state, &request.denom)?;
    Ok(QuerySupplyOfResponse {
        amount: Some(coin(request.denom, amount)),
    })
}

/// `cosmos.bank.v1beta1.Query/Params`: every denom can be sent.
pub fn query_params(_state: &State, _request: QueryParamsRequest) -> Result<QueryParamsResponse> {
    #[allow(deprecated)]
    let params = Params {
        send_enabled: Vec::new(),
        default_send_enabled: true,
    };
    Ok(QueryParamsResponse {
        params: Some(params),
    })
}

/// `cosmos.bank.v1beta1.Query/SendEnabled`: empty, since every denom can be sent.
pub fn query_send_enabled(
    _state: &State,
    _request: QuerySendEnabledRequest,
) -> Result<QuerySendEnabledResponse> {
    Ok(QuerySendEnabledResponse {
        send_enabled: Vec::new(),
        pagination: Some(PageResponse::default()),
    })
}

/// `cosmos.bank.v1beta1.Query/DenomMetadata`.
pub fn query_denom_metadata(
    state: &State,
    request: QueryDenomMetadataRequest,
) -> Result<QueryDenomMetadataResponse> {
    Ok(QueryDenomMetadataResponse {
        metadata: Some(metadata_of(state, &request.denom)?),
    })
}

/// `cosmos.bank.v1beta1.Query/DenomMetadataByQueryString`.
pub fn query_denom_metadata_by_query_string(
    state: &State,
    request: QueryDenomMetadataByQueryStringRequest,
) -> Result<QueryDenomMetadataByQueryStringResponse> {
    Ok(QueryDenomMetadataByQueryStringResponse {
        metadata: Some(metadata_of(state, &request.denom)?),
    })
}

/// `cosmos.bank.v1beta1.Query/DenomsMetadata`.
pub fn query_denoms_metadata(
    state: &State,
    request: QueryDenomsMetadataRequest,
) -> Result<QueryDenomsMetadataResponse> {
    let all = all_metadata(state)?.into_iter().map(metadata).collect();
    let (metadatas, pagination) = page(
        all,
        |metadata: &Metadata| metadata.base.as_bytes(),
        request.pagination,
    )?;
    Ok(QueryDenomsMetadataResponse {
        metadatas,
        pagination: Some(pagination),
    })
}

/// `cosmos.bank.v1beta1.Query/DenomOwners`, by address.
pub fn query_denom_owners(
    state: &State,
    request: QueryDenomOwnersRequest,
) -> Result<QueryDenomOwnersResponse> {
    let QueryDenomOwnersRequest { denom, pagination } = request;
    validate_denom(&denom)?;
    let owner = |key: &[u8], value: &[u8]| {
        let (address, of, amount) = parse_balance(key, value)?;
        Ok((of == denom).then(|| DenomOwner {
            address: address.to_owned(),
            balance: Some(coin(denom.clone(), amount)),
        }))
    };
    let (denom_owners, pagination) =
        page_of_entries(state, keys::BALANCES, pagination, None, owner)?;
    Ok(QueryDenomOwnersResponse {
        denom_owners,
        pagination: Some(pagination),
    })
}

fn metadata_of(state: &State, denom: &str) -> Result<Metadata> {
    let found: Option<DenomMetadata> = state.get_message(keys::metadata(denom))?;
    match found {
        Some(found) => Ok(metadata(found)),
        None => reject!(code::NOT_FOUND, "client metadata for denom {denom}"),
    }
}

fn metadata(metadata: DenomMetadata) -> Metadata {
    let units = metadata.denom_units.into_iter();
    Metadata {
        description: metadata.description,
        denom_units: units
            .map(|unit| DenomUnit {
                denom: unit.denom,
                exponent: unit.exponent,
                aliases: Vec::new(),
            })
            .collect(),
        base: metadata.base,
        display: metadata.display,
        name: metadata.name,
        symbol: metadata.symbol,
        ..Metadata::default()
    }
}

fn parse_address(state: &State, text: &str) -> Result<Address> {
    Address::parse(text, &params::get(state)?.bech32_prefix)
}

fn balances(
    state: &State,
    address: &str,
    request: Option<PageRequest>,
) -> Result<(Vec<Coin>, PageResponse)> {
    let address = parse_address(state, address)?;
    page_of_coins(state, &keys::balances(&address), request)
}

/// Only genesis creates denoms, so the whole list is short.
fn page_of_coins(
    state: &State,
    prefix: &str,
    request: Option<PageRequest>,
) -> Result<(Vec<Coin>, PageResponse)> {
    page(list(state, prefix)?, |coin| coin.denom.as_bytes(), request)
}

fn list(state: &State, prefix: &str) -> Result<Vec<Coin>> {
    state
        .scan(prefix, None, usize::MAX)?
        .into_iter()
        .map(|(key, value)| {
            let denom = key
                .strip_prefix(prefix.as_bytes())
                .and_then(|denom| std::str::from_utf8(denom).ok());
            let amount = <[u8; 16]>::try_from(value).map(u128::from_be_bytes);
            match (denom, amount) {
                (Some(denom), Ok(amount)) => Ok(coin(denom.to_owned(), amount)),
                _ => Err(Error::broken(format!("corrupt coin under {prefix}"))),
            }
        })
        .collect()
}

fn coin(denom: String, amount: u128) -> Coin {
    Coin {
        denom,
        amount: amount.to_string(),
    }
}
