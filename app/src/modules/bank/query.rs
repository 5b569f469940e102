use cosmos_sdk_proto::cosmos::bank::v1beta1::{
    QueryAllBalancesRequest, QueryAllBalancesResponse, QueryBalanceRequest, QueryBalanceResponse,
    QuerySpendableBalanceByDenomRequest, QuerySpendableBalanceByDenomResponse,
    QuerySpendableBalancesRequest, QuerySpendableBalancesResponse, QuerySupplyOfRequest,
    QuerySupplyOfResponse, QueryTotalSupplyRequest, QueryTotalSupplyResponse,
};
use cosmos_sdk_proto::cosmos::base::query::v1beta1::{PageRequest, PageResponse};
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;

use super::{balance, keys, supply, validate_denom};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::modules::params;
use crate::pagination::page;
use crate::store::State;

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

/// Denoms come from genesis alone, so that the whole list is short.
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
                _ => Err(Error::internal(format!("corrupt coin under {prefix}"))),
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
