//! Queries of `auth`.

use cosmos_sdk_proto::cosmos::auth::v1beta1::{
    BaseAccount, Bech32PrefixRequest, Bech32PrefixResponse, ModuleAccount, Params,
    QueryAccountInfoRequest, QueryAccountInfoResponse, QueryAccountRequest, QueryAccountResponse,
    QueryAccountsRequest, QueryAccountsResponse, QueryModuleAccountByNameRequest,
    QueryModuleAccountByNameResponse, QueryModuleAccountsRequest, QueryModuleAccountsResponse,
    QueryParamsRequest, QueryParamsResponse,
};
use cosmos_sdk_proto::cosmos::crypto::multisig::LegacyAminoPubKey;
use cosmos_sdk_proto::cosmos::crypto::secp256k1::PubKey;
use poq_proto::code;
use poq_proto::v1::Account;
use poq_store::State;
use prost::{Message, Name};
use tendermint_proto::google::protobuf::Any;

use super::{account, keys};
use crate::address::{Address, PROTOCOL_ACCOUNT};
use crate::error::{Error, Result};
use crate::modules::params::{self, limits};
use crate::pagination::page_of_entries;

/// Modules with an account of their own.
const MODULES: [&str; 1] = [PROTOCOL_ACCOUNT];

/// `cosmos.auth.v1beta1.Query/Account`.
pub fn query_account(state: &State, request: QueryAccountRequest) -> Result<QueryAccountResponse> {
    let prefix = params::get(state)?.bech32_prefix;
    let address = Address::parse(&request.address, &prefix)?;
    for name in MODULES {
        if Address::of_module(name, &prefix)? == address {
            let account = Some(module_account(state, name)?);
            return Ok(QueryAccountResponse { account });
        }
    }
    let base = base_account(state, &address)?;
    Ok(QueryAccountResponse {
        account: Some(pack(&base)),
    })
}

/// `cosmos.auth.v1beta1.Query/Accounts`, by address; module accounts are listed as base accounts.
pub fn query_accounts(
    state: &State,
    request: QueryAccountsRequest,
) -> Result<QueryAccountsResponse> {
    let account = |_: &[u8], value: &[u8]| {
        let account = Account::decode(value)
            .map_err(|error| Error::broken(format!("corrupt account: {error}")))?;
        Ok(Some(pack(&base(account))))
    };
    let total = state.get_u64(keys::NEXT_NUMBER)?;
    let (accounts, pagination) =
        page_of_entries(state, keys::ACCOUNTS, request.pagination, total, account)?;
    Ok(QueryAccountsResponse {
        accounts,
        pagination: Some(pagination),
    })
}

/// `cosmos.auth.v1beta1.Query/Bech32Prefix`.
pub fn query_bech32_prefix(
    state: &State,
    _request: Bech32PrefixRequest,
) -> Result<Bech32PrefixResponse> {
    Ok(Bech32PrefixResponse {
        bech32_prefix: params::get(state)?.bech32_prefix,
    })
}

/// `cosmos.auth.v1beta1.Query/AccountInfo`.
pub fn query_account_info(
    state: &State,
    request: QueryAccountInfoRequest,
) -> Result<QueryAccountInfoResponse> {
    let address = Address::parse(&request.address, &params::get(state)?.bech32_prefix)?;
    Ok(QueryAccountInfoResponse {
        info: Some(base_account(state, &address)?),
    })
}

/// `cosmos.auth.v1beta1.Query/ModuleAccounts`: those that have received coins.
pub fn query_module_accounts(
    state: &State,
    _request: QueryModuleAccountsRequest,
) -> Result<QueryModuleAccountsResponse> {
    let mut accounts = Vec::new();
    for name in MODULES {
        match module_account(state, name) {
            Ok(account) => accounts.push(account),
            Err(Error::Rejected { code, .. }) if code == code::NOT_FOUND => {}
            Err(error) => return Err(error),
        }
    }
    Ok(QueryModuleAccountsResponse { accounts })
}

/// `cosmos.auth.v1beta1.Query/ModuleAccountByName`.
pub fn query_module_account_by_name(
    state: &State,
    request: QueryModuleAccountByNameRequest,
) -> Result<QueryModuleAccountByNameResponse> {
    let name = MODULES
        .into_iter()
        .find(|name| *name == request.name)
        .ok_or_else(|| not_found(&request.name))?;
    Ok(QueryModuleAccountByNameResponse {
        account: Some(module_account(state, name)?),
    })
}

/// `cosmos.auth.v1beta1.Query/Params`: limits and gas of transactions, which are fixed.
pub fn query_params(_state: &State, _request: QueryParamsRequest) -> Result<QueryParamsResponse> {
    Ok(QueryParamsResponse {
        params: Some(Params {
            max_memo_characters: limits::MAX_MEMO as u64,
            tx_sig_limit: limits::MAX_SIGNERS as u64,
            tx_size_cost_per_byte: limits::BYTE_GAS,
            sig_verify_cost_ed25519: 0,
            sig_verify_cost_secp256k1: limits::SIGNATURE_GAS,
        }),
    })
}

fn module_account(state: &State, name: &str) -> Result<Any> {
    let address = Address::of_module(name, &params::get(state)?.bech32_prefix)?;
    Ok(pack(&ModuleAccount {
        base_account: Some(base_account(state, &address)?),
        name: name.to_owned(),
        permissions: Vec::new(),
    }))
}

fn base_account(state: &State, address: &Address) -> Result<BaseAccount> {
    let stored = account(state, address)?.ok_or_else(|| not_found(address.as_str()))?;
    Ok(base(stored))
}

fn base(stored: Account) -> BaseAccount {
    BaseAccount {
        pub_key: public_key(&stored),
        address: stored.address,
        account_number: stored.account_number,
        sequence: stored.sequence,
    }
}

/// An account's key as the Cosmos SDK packs it; none before the first transaction.
fn public_key(account: &Account) -> Option<Any> {
    let key = &account.public_key;
    match key.len() {
        0 => None,
        33 => Some(pack(&PubKey { key: key.clone() })),
        _ => Some(Any {
            type_url: LegacyAminoPubKey::type_url(),
            value: key.clone(),
        }),
    }
}

/// Clients of the Cosmos SDK look for this text.
fn not_found(account: &str) -> Error {
    Error::rejected(code::NOT_FOUND, format!("account {account} not found"))
}

fn pack<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}
