//! What clients of the Cosmos SDK send and expect: sign modes, keys, simulations, queries.

mod support;

use cosmos_sdk_proto::cosmos::auth::v1beta1::{
    BaseAccount, Bech32PrefixRequest, Bech32PrefixResponse, ModuleAccount, QueryAccountInfoRequest,
    QueryAccountInfoResponse, QueryAccountRequest, QueryAccountResponse, QueryAccountsRequest,
    QueryAccountsResponse, QueryModuleAccountByNameRequest, QueryModuleAccountByNameResponse,
    QueryModuleAccountsRequest, QueryModuleAccountsResponse, QueryParamsRequest,
    QueryParamsResponse,
};
use cosmos_sdk_proto::cosmos::bank::v1beta1::{
    QueryAllBalancesRequest, QueryAllBalancesResponse, QueryDenomMetadataRequest,
    QueryDenomMetadataResponse, QueryDenomOwnersRequest, QueryDenomOwnersResponse,
    QueryDenomsMetadataRequest, QueryDenomsMetadataResponse, QuerySendEnabledRequest,
    QuerySendEnabledResponse, QuerySpendableBalancesRequest, QuerySpendableBalancesResponse,
    QueryTotalSupplyRequest, QueryTotalSupplyResponse,
};
use cosmos_sdk_proto::cosmos::base::query::v1beta1::PageRequest;
use cosmos_sdk_proto::cosmos::tx::signing::v1beta1::SignMode;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{
    ModeInfo, SimulateRequest, SimulateResponse, Tip, Tx, TxRaw, mode_info,
};
use k256::ecdsa::Signature;
use k256::ecdsa::signature::Signer;
use poq_app::tx::Signatures;
use poq_app::{Address, Error};
use poq_proto::code::{self, Code};
use poq_proto::v1::Params;
use prost::{Message, Name};
use support::{
    CHAIN_ID, Chain, DENOM, Draft, FUNDS, Wallet, any, coin, params, send, submit_message,
};
use tendermint_abci::Application;
use tendermint_proto::google::protobuf::Any;
use tendermint_proto::v0_38::abci::RequestQuery;

/// What to change after signing, and the code that it must get.
type Case = (fn(&mut Draft), Code);

#[track_caller]
fn refused(chain: &Chain, tx: &[u8]) -> (Code, String) {
    match chain.app.check_tx(tx, Signatures::Verify) {
        Err(Error::Rejected { code, log }) => (code, log),
        other => panic!("expected a rejection, got {other:?}"),
    }
}

fn transfer(chain: &Chain) -> Draft {
    let to = chain.inference[0].address.clone();
    Draft::new(&chain.user, vec![send(&chain.user, &to, 5)])
}

/// A transfer whose JSON is signed; the draft says what the bytes are, not what is signed.
fn amino(chain: &Chain, draft: &Draft) -> Vec<u8> {
    let user = &chain.user;
    let to = &chain.inference[0].address;
    let document = format!(
        r#"{{"account_number":"{}","chain_id":"{CHAIN_ID}","fee":{{"amount":[{{"amount":"4000","denom":"upoq"}}],"gas":"400000"}},"memo":"a \u003c b","msgs":[{{"type":"cosmos-sdk/MsgSend","value":{{"amount":[{{"amount":"5","denom":"upoq"}}],"from_address":"{}","to_address":"{to}"}}}}],"sequence":"{}"}}"#,
        user.number, user.address, user.sequence
    );
    let signature: Signature = user.key.sign(document.as_bytes());
    TxRaw {
        body_bytes: draft.body.encode_to_vec(),
        auth_info_bytes: draft.auth_info.encode_to_vec(),
        signatures: vec![signature.to_bytes().to_vec()],
    }
    .encode_to_vec()
}

fn amino_draft(chain: &Chain) -> Draft {
    let mut draft = transfer(chain).mode(SignMode::LegacyAminoJson);
    draft.body.memo = "a < b".into();
    draft
}

#[test]
fn json_is_signed_too() {
    let mut chain = Chain::new(1, 5);
    let tx = amino(&chain, &amino_draft(&chain));
    chain.app.check_tx(&tx, Signatures::Verify).unwrap();
    let result = chain.block(&[tx]).remove(0);
    assert_eq!(result.code, 0, "{}", result.log);
    assert_eq!(chain.user.sequence + 1, sequence(&chain));
}

fn sequence(chain: &Chain) -> u64 {
    let request = QueryAccountInfoRequest {
        address: chain.user.address.clone(),
    };
    let answer: QueryAccountInfoResponse =
        chain.query("/cosmos.auth.v1beta1.Query/AccountInfo", &request);
    answer.info.unwrap().sequence
}

/// Nobody but the signer can give a transaction signed in JSON other bytes.
#[test]
#[allow(deprecated)]
fn json_has_one_form_in_bytes() {
    let chain = Chain::new(1, 5);
    let cases: [Case; 8] = [
        (|d| d.body.memo.push('!'), code::UNAUTHORIZED),
        (|d| d.body.timeout_height = 100, code::UNAUTHORIZED),
        (
            |d| d.auth_info.fee.as_mut().unwrap().gas_limit += 1,
            code::INSUFFICIENT_FEE,
        ),
        (
            |d| d.auth_info.fee.as_mut().unwrap().amount = vec![coin(4_001)],
            code::UNAUTHORIZED,
        ),
        (
            |d| d.auth_info.signer_infos[0].public_key = None,
            code::INVALID_PUBKEY,
        ),
        (
            |d| d.auth_info.tip = Some(Tip::default()),
            code::UNKNOWN_REQUEST,
        ),
        (
            |d| {
                let payer = d.body.messages[0].value[2..45].to_vec();
                let payer = String::from_utf8(payer).unwrap();
                d.auth_info.fee.as_mut().unwrap().payer = payer;
            },
            code::UNAUTHORIZED,
        ),
        (
            |d| d.auth_info.signer_infos[0].sequence = 1,
            code::WRONG_SEQUENCE,
        ),
    ];
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        let mut draft = amino_draft(&chain);
        change(&mut draft);
        let (code, log) = refused(&chain, &amino(&chain, &draft));
        assert_eq!(code, expected, "case {index}: {log}");
    }
    // A duty is free, so that its fee could be left out: but then in one way only.
    let mut draft = amino_draft(&chain).free();
    draft.auth_info.fee = None;
    let (code, _) = refused(&chain, &amino(&chain, &draft));
    assert_eq!(code, code::OUT_OF_GAS);
}

#[test]
fn other_sign_modes_and_keys_are_refused_by_name() {
    let chain = Chain::new(1, 5);
    let textual = transfer(&chain).mode(SignMode::Textual).sign(&chain.user);
    let (code, log) = refused(&chain, &textual);
    assert_eq!(code, code::UNAUTHORIZED);
    assert!(log.contains("SIGN_MODE_TEXTUAL is not supported"), "{log}");
    let missing = transfer(&chain).mode(SignMode::Unspecified);
    assert_eq!(
        refused(&chain, &missing.sign(&chain.user)).0,
        code::UNAUTHORIZED
    );

    let mut multi = transfer(&chain);
    multi.auth_info.signer_infos[0].mode_info = Some(ModeInfo {
        sum: Some(mode_info::Sum::Multi(mode_info::Multi::default())),
    });
    let (code, log) = refused(&chain, &multi.sign(&chain.user));
    assert_eq!(code, code::UNAUTHORIZED);
    assert!(log.contains("one key signs for this account"), "{log}");

    let ed25519 = Any {
        type_url: "/cosmos.crypto.ed25519.PubKey".into(),
        value: vec![10, 1, 1],
    };
    let type_url = ed25519.type_url.clone();
    let mut draft = transfer(&chain);
    draft.auth_info.signer_infos[0].public_key = Some(ed25519);
    let (code, log) = refused(&chain, &draft.sign(&chain.user));
    assert_eq!(code, code::INVALID_PUBKEY);
    assert!(log.contains(&type_url), "{log}");
}

#[test]
fn signatures_are_counted() {
    let chain = Chain::new(1, 5);
    let tx = transfer(&chain).sign(&chain.user);
    let mut raw = TxRaw::decode(tx.as_slice()).unwrap();
    raw.signatures.push(raw.signatures[0].clone());
    assert_eq!(refused(&chain, &raw.encode_to_vec()).0, code::UNAUTHORIZED);
    raw.signatures.clear();
    assert_eq!(refused(&chain, &raw.encode_to_vec()).0, code::NO_SIGNATURES);
    let crowd: Vec<_> = (1..=9)
        .map(|seed| send(&Wallet::new(seed, 0), &chain.user.address, 1))
        .collect();
    let crowd = Draft::new(&chain.user, crowd).sign(&chain.user);
    assert_eq!(refused(&chain, &crowd).0, code::TOO_MANY_SIGNATURES);
}

/// As CosmJS and cosmpy simulate: without fee and signature, with any mode, key or none.
#[test]
#[allow(deprecated)]
fn simulations_need_no_signature() {
    let chain = Chain::new(1, 5);
    let message = any(&submit_message(&chain.user));
    let plain = Draft::new(&chain.user, vec![message]);
    let gas = |draft: &Draft, signature: Vec<Vec<u8>>, as_bytes: bool| {
        let tx = Tx {
            body: Some(draft.body.clone()),
            auth_info: Some(draft.auth_info.clone()),
            signatures: signature,
        };
        let request = match as_bytes {
            true => SimulateRequest {
                tx_bytes: tx.encode_to_vec(),
                tx: None,
            },
            false => SimulateRequest {
                tx_bytes: Vec::new(),
                tx: Some(tx),
            },
        };
        let answer: SimulateResponse = chain.query("/cosmos.tx.v1beta1.Service/Simulate", &request);
        let result = answer.result.unwrap();
        assert_eq!(
            result.msg_responses[0].type_url,
            "/poq.v1.MsgSubmitTaskResponse"
        );
        assert!(result.events.iter().any(|event| event.r#type == "message"));
        answer.gas_info.unwrap().gas_used
    };
    let mut cosmjs = transfer(&chain).mode(SignMode::Unspecified);
    cosmjs.body = plain.body.clone();
    cosmjs.auth_info.fee = Some(Default::default());
    let mut nothing = cosmjs.auth_info.clone();
    nothing.signer_infos[0].public_key = None;
    nothing.signer_infos[0].mode_info = None;
    let bare = Draft {
        auth_info: nothing,
        body: plain.body.clone(),
        chain_id: String::new(),
        number: 0,
    };
    let mut foreign = transfer(&chain);
    foreign.body = plain.body.clone();
    foreign.auth_info.signer_infos[0].public_key = Some(Any {
        type_url: "/cosmos.crypto.multisig.LegacyAminoPubKey".into(),
        value: Vec::new(),
    });
    for draft in [&plain, &cosmjs, &bare, &foreign] {
        for signature in [vec![], vec![vec![]], vec![vec![1; 64]]] {
            for as_bytes in [true, false] {
                assert!(gas(draft, signature.clone(), as_bytes) > 100_000);
            }
        }
    }
    // A client that signs with the estimate has the same content but for fee and signature.
    assert_eq!(sequence(&chain), 0, "a simulation changes nothing");
}

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

    // Its fee makes the protocol's account.
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

#[test]
fn a_simulation_fails_in_the_words_of_the_cosmos_sdk() {
    let chain = Chain::new(1, 5);
    let to = chain.inference[0].address.clone();
    let ask = |draft: &Draft| {
        let request = SimulateRequest {
            tx_bytes: draft.sign(&chain.user),
            ..SimulateRequest::default()
        };
        let query = RequestQuery {
            path: "/cosmos.tx.v1beta1.Service/Simulate".into(),
            data: request.encode_to_vec().into(),
            ..RequestQuery::default()
        };
        Application::query(&chain.app, query)
    };
    let small = send(&chain.user, &to, 1);
    let large = send(&chain.user, &to, 2 * FUNDS);
    let failed = ask(&Draft::new(&chain.user, vec![small.clone(), large]));
    assert_eq!((failed.code, failed.codespace.as_str()), (6, "sdk"));
    let words = "rpc error: code = Unknown desc = failed to execute message; message index: 1: ";
    assert!(failed.log.starts_with(words), "{}", failed.log);
    assert!(failed.log.ends_with("insufficient funds"), "{}", failed.log);
    assert_eq!(failed.info, "sdk/5");

    let mut late = Draft::new(&chain.user, vec![small.clone()]);
    late.auth_info.signer_infos[0].sequence = 7;
    let late = ask(&late);
    assert_eq!((late.code, late.info.as_str()), (6, "sdk/32"));
    let good = ask(&Draft::new(&chain.user, vec![small]));
    let good = SimulateResponse::decode(good.value)
        .unwrap()
        .gas_info
        .unwrap();
    assert_eq!(good.gas_wanted, u64::MAX);
    assert!((10_000..200_000).contains(&good.gas_used));
}

#[test]
fn nothing_of_a_coin_is_no_fee() {
    let mut chain = Chain::with_params(
        Params {
            gas_price: 0,
            ..params()
        },
        1,
        5,
    );
    let mut draft = transfer(&chain);
    let fee = draft.auth_info.fee.as_mut().unwrap();
    fee.amount = vec![coin(0)];
    let tx = draft.sign(&chain.user);
    let result = chain.block(&[tx]).remove(0);
    assert_eq!(result.code, 0, "{}", result.log);
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
