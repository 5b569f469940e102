//! Queries of `auth` and `bank`.

use cosmos_sdk_proto::cosmos::auth::v1beta1::{
    BaseAccount, Bech32PrefixRequest, Bech32PrefixResponse, ModuleAccount, QueryAccountRequest,
    QueryAccountResponse, QueryAccountsRequest, QueryAccountsResponse,
    QueryModuleAccountByNameRequest, QueryModuleAccountByNameResponse, QueryModuleAccountsRequest,
    QueryModuleAccountsResponse, QueryParamsRequest, QueryParamsResponse,
};
use cosmos_sdk_proto::cosmos::bank::v1beta1::{
    QueryAllBalancesRequest, QueryAllBalancesResponse, QueryDenomMetadataRequest,
    QueryDenomMetadataResponse, QueryDenomOwnersRequest, QueryDenomOwnersResponse,
    QueryDenomsMetadataRequest, QueryDenomsMetadataResponse, QuerySendEnabledRequest,
    QuerySendEnabledResponse, QuerySpendableBalancesRequest, QuerySpendableBalancesResponse,
    QueryTotalSupplyRequest, QueryTotalSupplyResponse,
};
use cosmos_sdk_proto::cosmos::base::query::v1beta1::PageRequest;
use poq_app::Address;
use poq_proto::code;
use prost::{Message, Name};
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::RequestQuery;

use crate::support::{Chain, DENOM, FUNDS, coin, send};

#[test]
fn accounts() {
    let mut chain = Chain::new(1, 5);
    let protocol = Address::of_module("protocol", "poq").unwrap().to_string();
    let ask = |address: &str| {
        let request = QueryAccountRequest {
            address: address.into(),
        };
        let query = RequestQuery {
            path: "/cosmos.auth.v1beta1.Query/Account".into(),
            data: request.encode_to_vec().into(),
            ..RequestQuery::default()
        };
        Application::query(&chain.app, query)
    };
    let missing = ask(&protocol);
    assert_eq!(
        (missing.code, missing.codespace.as_str(), missing.height),
        (code::NOT_FOUND.number, "sdk", 1)
    );
    assert_eq!(
        missing.log,
        format!("rpc error: code = NotFound desc = account {protocol} not found")
    );
    let account = |response: QueryAccountResponse| response.account.unwrap();
    let user = account(QueryAccountResponse::decode(ask(&chain.user.address).value).unwrap());
    assert_eq!(user.type_url, BaseAccount::type_url());
    let user = BaseAccount::decode(user.value.as_slice()).unwrap();
    assert_eq!(user.address, chain.user.address);
    assert!(user.pub_key.is_none());
    let invalid = ask("poq1");
    assert_eq!(invalid.code, code::INVALID_REQUEST.number);
    let words = "rpc error: code = InvalidArgument desc = invalid address: decoding bech32 failed";
    assert!(invalid.log.starts_with(words), "{}", invalid.log);

    // The fee creates the protocol's account.
    let to = chain.inference[0].address.clone();
    let tx = chain.user.sign(vec![send(&chain.user, &to, 5)]);
    assert_eq!(chain.block(&[tx])[0].code, 0);
    let request = QueryAccountRequest {
        address: protocol.clone(),
    };
    let module = account(chain.query("/cosmos.auth.v1beta1.Query/Account", &request));
    assert_eq!(module.type_url, ModuleAccount::type_url());
    let module = ModuleAccount::decode(module.value.as_slice()).unwrap();
    assert_eq!(module.name, "protocol");
    assert_eq!(module.base_account.unwrap().address, protocol);
    let name = "protocol".into();
    let by_name: QueryModuleAccountByNameResponse = chain.query(
        "/cosmos.auth.v1beta1.Query/ModuleAccountByName",
        &QueryModuleAccountByNameRequest { name },
    );
    let all: QueryModuleAccountsResponse = chain.query(
        "/cosmos.auth.v1beta1.Query/ModuleAccounts",
        &QueryModuleAccountsRequest {},
    );
    assert_eq!(all.accounts, [by_name.account.unwrap()]);
    let params: QueryParamsResponse =
        chain.query("/cosmos.auth.v1beta1.Query/Params", &QueryParamsRequest {});
    assert_eq!(params.params.unwrap().tx_sig_limit, 8);
}

/// Reads a list in pages of three.
fn pages<T>(ask: impl Fn(PageRequest) -> (Vec<T>, Vec<u8>)) -> Vec<T> {
    let mut all = Vec::new();
    let mut key = Vec::new();
    loop {
        let (page, next) = ask(PageRequest {
            key,
            limit: 3,
            ..PageRequest::default()
        });
        assert!(page.len() <= 3);
        all.extend(page);
        if next.is_empty() {
            return all;
        }
        key = next;
    }
}

#[test]
fn everybody_is_listed() {
    let chain = Chain::new(2, 5);
    let accounts = |pagination| -> QueryAccountsResponse {
        let request = QueryAccountsRequest {
            pagination: Some(pagination),
        };
        chain.query("/cosmos.auth.v1beta1.Query/Accounts", &request)
    };
    let listed = pages(|request| {
        let page = accounts(request);
        let any = page.accounts.iter();
        let decoded = any.map(|any| BaseAccount::decode(&any.value[..]).unwrap().address);
        (decoded.collect(), page.pagination.unwrap().next_key)
    });
    let owners = pages(|pagination| {
        let request = QueryDenomOwnersRequest {
            denom: DENOM.into(),
            pagination: Some(pagination),
        };
        let page: QueryDenomOwnersResponse =
            chain.query("/cosmos.bank.v1beta1.Query/DenomOwners", &request);
        let owners = page.denom_owners.into_iter();
        let owners = owners.map(|owner| (owner.address, owner.balance.unwrap()));
        (owners.collect(), page.pagination.unwrap().next_key)
    });
    let wallets = [&chain.user]
        .into_iter()
        .chain(&chain.inference)
        .chain(&chain.evaluators)
        .chain(&chain.validators);
    let mut addresses: Vec<_> = wallets.map(|wallet| wallet.address.clone()).collect();
    addresses.sort();
    assert_eq!(listed, addresses);
    let owned: Vec<_> = owners.iter().map(|(address, _)| address.clone()).collect();
    assert_eq!(owned, addresses);
    assert!(owners.contains(&(chain.user.address.clone(), coin(FUNDS))));
    let counted = accounts(PageRequest {
        count_total: true,
        ..PageRequest::default()
    });
    assert_eq!(counted.pagination.unwrap().total, addresses.len() as u64);
}

#[test]
fn wallets_learn_how_to_show_the_denom_and_addresses() {
    let chain = Chain::new(1, 5);
    let request = QueryDenomMetadataRequest {
        denom: DENOM.into(),
    };
    let one: QueryDenomMetadataResponse =
        chain.query("/cosmos.bank.v1beta1.Query/DenomMetadata", &request);
    let metadata = one.metadata.unwrap();
    assert_eq!(
        (metadata.base.as_str(), metadata.display.as_str()),
        (DENOM, "poq")
    );
    assert_eq!(metadata.denom_units[1].exponent, 6);
    let all: QueryDenomsMetadataResponse = chain.query(
        "/cosmos.bank.v1beta1.Query/DenomsMetadata",
        &QueryDenomsMetadataRequest::default(),
    );
    assert_eq!(all.metadatas, [metadata]);
    let prefix: Bech32PrefixResponse = chain.query(
        "/cosmos.auth.v1beta1.Query/Bech32Prefix",
        &Bech32PrefixRequest {},
    );
    assert_eq!(prefix.bech32_prefix, "poq");
    let path = "/cosmos.bank.v1beta1.Query/SendEnabled";
    let exceptions: QuerySendEnabledResponse =
        chain.query(path, &QuerySendEnabledRequest::default());
    assert!(exceptions.send_enabled.is_empty());
}

#[test]
fn balances_come_in_pages() {
    let chain = Chain::new(1, 5);
    let address = chain.user.address.clone();
    let all: QueryAllBalancesResponse = chain.query(
        "/cosmos.bank.v1beta1.Query/AllBalances",
        &QueryAllBalancesRequest {
            address: address.clone(),
            ..QueryAllBalancesRequest::default()
        },
    );
    assert_eq!(all.balances, [coin(FUNDS)]);
    assert_eq!(all.pagination.unwrap().total, 1);
    let spendable: QuerySpendableBalancesResponse = chain.query(
        "/cosmos.bank.v1beta1.Query/SpendableBalances",
        &QuerySpendableBalancesRequest {
            address,
            pagination: Some(PageRequest {
                key: DENOM.into(),
                limit: 1,
                ..PageRequest::default()
            }),
        },
    );
    assert_eq!(spendable.balances, [coin(FUNDS)]);
    assert!(spendable.pagination.unwrap().next_key.is_empty());
    let supply: QueryTotalSupplyResponse = chain.query(
        "/cosmos.bank.v1beta1.Query/TotalSupply",
        &QueryTotalSupplyRequest {
            pagination: Some(PageRequest {
                offset: 1,
                ..PageRequest::default()
            }),
        },
    );
    assert_eq!(supply.supply, []);
}
