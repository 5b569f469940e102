//! Simulations and events.

use cosmos_sdk_proto::cosmos::tx::v1beta1::SimulateRequest;
use poq_app::tx::Signatures;
use poq_proto::code;
use prost::Message;

use crate::support::{Chain, FUNDS, GAS, send};

/// A client simulates with the sequence that it will send, while its other transactions wait for a
/// block.
#[test]
fn a_simulation_goes_by_what_waits_for_a_block() {
    let mut chain = Chain::new(1, 5);
    let to = chain.inference[0].address.clone();
    let sign = |chain: &mut Chain| {
        let message = send(&chain.user, &to, 1);
        chain.user.sign(vec![message])
    };
    let (first, second) = (sign(&mut chain), sign(&mut chain));
    let simulate = |chain: &Chain, tx: &[u8]| {
        let request = SimulateRequest {
            tx_bytes: tx.to_vec(),
            ..SimulateRequest::default()
        };
        let path = "/cosmos.tx.v1beta1.Service/Simulate";
        chain.app.query(path, &request.encode_to_vec(), None)
    };
    assert!(simulate(&chain, &second).is_err());
    chain.app.check_tx(&first, Signatures::Verify).unwrap();
    // A simulation leaves nothing behind.
    for _ in 0..3 {
        simulate(&chain, &second).unwrap();
    }
    chain.app.check_tx(&second, Signatures::Verify).unwrap();
    assert!(simulate(&chain, &second).is_err());
}

/// Events like the Cosmos SDK's: for the fee and the signatures in every case, and for each message
/// with its index.
#[test]
fn events_are_those_of_the_sdk() {
    let mut chain = Chain::new(1, 5);
    let to = chain.inference[0].address.clone();
    let from = chain.user.address.clone();
    let two = vec![send(&chain.user, &to, 5), send(&chain.user, &to, 6)];
    let works = chain.user.sign(two);
    let too_much = vec![send(&chain.user, &to, 2 * FUNDS)];
    let fails = chain.user.sign(too_much);
    let results = chain.block(&[works, fails]);
    let told = |result: &tendermint_proto::v0_38::abci::ExecTxResult, kind: &str, key: &str| {
        let events = result.events.iter().filter(|event| event.r#type == kind);
        let attributes = events.flat_map(|event| event.attributes.clone());
        let values = attributes.filter(|attribute| attribute.key == key);
        values.map(|attribute| attribute.value).collect::<Vec<_>>()
    };
    let fee = format!("{}upoq", GAS / 100);
    let first = chain.user.sequence - 2;
    for (index, result) in results.iter().enumerate() {
        assert_eq!(told(result, "tx", "fee"), std::slice::from_ref(&fee));
        assert_eq!(told(result, "tx", "fee_payer"), std::slice::from_ref(&from));
        let sequence = format!("{from}/{}", first + index as u64);
        assert_eq!(told(result, "tx", "acc_seq"), [sequence]);
        assert_eq!(told(result, "tx", "signature").len(), 1);
    }
    let [works, fails] = results.as_slice() else {
        panic!("two results");
    };
    assert_eq!(
        (works.code, fails.code),
        (0, code::INSUFFICIENT_FUNDS.number)
    );
    assert!(fails.log.contains("insufficient funds"), "{}", fails.log);
    assert_eq!(told(works, "message", "module"), ["bank", "bank"]);
    assert_eq!(told(works, "transfer", "msg_index"), ["0", "1"]);
    assert_eq!(told(works, "coin_received", "receiver"), [to.clone(), to]);
    let spent = [fee, "5upoq".into(), "6upoq".into()];
    assert_eq!(told(works, "coin_spent", "amount"), spent);
    assert!(told(fails, "message", "module").is_empty());
}
