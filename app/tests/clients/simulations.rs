//! Simulations and fee coins.

use cosmos_sdk_proto::cosmos::tx::signing::v1beta1::SignMode;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{SimulateRequest, SimulateResponse, Tx};
use poq_proto::v1::Params;
use prost::Message;
use tendermint_abci::Application;
use tendermint_proto::google::protobuf::Any;
use tendermint_proto::v0_38::abci::RequestQuery;

use crate::signing::sequence;
use crate::support::{Chain, Draft, FUNDS, any, coin, params, send, submit_message};
use crate::transfer;

/// Simulates like CosmJS and cosmpy: without fee and signature, with any mode, and any key or none.
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
    // A client that signs with the estimate sends the same content, except for fee and signature.
    assert_eq!(sequence(&chain), 0, "a simulation changes nothing");
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
