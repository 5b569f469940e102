use cosmos_sdk_proto::cosmos::bank::v1beta1::{
    QueryAllBalancesRequest, QueryAllBalancesResponse, QueryBalanceRequest, QueryBalanceResponse,
    QuerySupplyOfRequest, QuerySupplyOfResponse, QueryTotalSupplyRequest, QueryTotalSupplyResponse,
};
use cosmos_sdk_proto::cosmos::base::query::v1beta1::PageResponse;
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;

use super::{balance, keys, supply, validate_denom};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::modules::params;
use crate::store::State;

/// Denoms listed at most.
const LIST_LIMIT: usize = 1_000;

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
    let address = parse_address(state, &request.address)?;
    let balances = list(state, &keys::balances(&address))?;
    Ok(QueryAllBalancesResponse {
        pagination: Some(whole_page(balances.len())),
        balances,
    })
}

/// `cosmos.bank.v1beta1.Query/TotalSupply`.
pub fn query_total_supply(
    state: &State,
    _request: QueryTotalSupplyRequest,
) -> Result<QueryTotalSupplyResponse> {
    let supply = list(state, keys::SUPPLIES)?;
    Ok(QueryTotalSupplyResponse {
        pagination: Some(whole_page(supply.len())),
        supply,
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

fn list(state: &State, prefix: &str) -> Result<Vec<Coin>> {
    state
        .scan(prefix, None, LIST_LIMIT)?
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

fn whole_page(items: usize) -> PageResponse {
    PageResponse {
        next_key: Vec::new(),
        total: items as u64,
    }
}
