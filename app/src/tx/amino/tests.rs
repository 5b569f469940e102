use cosmos_sdk_proto::cosmos::tx::v1beta1::{AuthInfo, TxRaw};
use k256::ecdsa::signature::Verifier;
use k256::ecdsa::{Signature, SigningKey};
use serde::Deserialize;

use super::*;

/// A document that CosmJS signed; `testnet/clients/cosmjs/amino-fixture.js` generates the file. A
/// document that changes for the same bytes is a change of consensus.
#[derive(Deserialize)]
struct Signed {
    name: String,
    document: String,
    tx: String,
}

const SIGNER: Signer<'_> = Signer {
    chain_id: "poq-test-1",
    account_number: 3,
    sequence: 7,
};

fn fixture() -> Vec<Signed> {
    serde_json::from_str(include_str!("cosmjs.json")).unwrap()
}

fn document(tx: &str) -> (TxRaw, String) {
    let raw: TxRaw = strict(&STANDARD.decode(tx).unwrap(), "TxRaw").unwrap();
    let body: TxBody = strict(&raw.body_bytes, "TxBody").unwrap();
    let auth_info: AuthInfo = strict(&raw.auth_info_bytes, "AuthInfo").unwrap();
    let document = sign_document(&body, &auth_info.fee.unwrap(), &SIGNER).unwrap();
    (raw, String::from_utf8(document).unwrap())
}

#[test]
fn documents_are_those_of_cosmjs() {
    let key = SigningKey::from_slice(&[1; 32]).unwrap();
    for signed in fixture() {
        let (raw, document) = document(&signed.tx);
        assert_eq!(document, signed.document, "{}", signed.name);
        let signature = Signature::from_slice(&raw.signatures[0]).unwrap();
        key.verifying_key()
            .verify(document.as_bytes(), &signature)
            .unwrap_or_else(|error| panic!("{}: {error}", signed.name));
    }
}

#[test]
fn every_message_has_a_form_and_a_name_that_ledger_shows() {
    let pool = DESCRIPTORS.as_ref().unwrap();
    let service = pool.get_service_by_name("poq.v1.Msg").unwrap();
    let fixture = fixture();
    for method in service.methods() {
        let name = name(&format!("/{}", method.input().full_name()));
        assert!(name.len() < 40, "{name}");
        let covered = fixture.iter().any(|signed| signed.document.contains(&name));
        assert!(covered, "{name} is not in cosmjs.json: generate it again");
    }
}

#[test]
fn messages_that_are_not_the_chains_are_refused() {
    for url in [
        "/poq.v1.MsgNothing",
        "/cosmos.bank.v1beta1.MsgBurn",
        "",
        "/",
    ] {
        let any = Any {
            type_url: url.into(),
            value: Vec::new(),
        };
        assert!(
            matches!(message(&any), Err(Error::Rejected { .. })),
            "{url}"
        );
    }
}
