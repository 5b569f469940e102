mod fixture;

use poq_proto::Leaf;
use poq_proto::v1::{Finish, Session, SessionStatus};
use prost::Message;
use serde_json::Value;
use tendermint::Hash;

use super::*;
use fixture::{
    ANSWER, CHAIN, answer_part, answer_receipt, leaf, open_session, paid_session, state_of,
    task_receipt,
};

fn anchors(receipt: &Receipt) -> Anchors {
    let state = receipt.state.as_ref().unwrap();
    let bytes = |hash: Hash| hash.as_bytes().try_into().unwrap();
    Anchors {
        header: Some(bytes(state.header_hash())),
        validators: Some(bytes(state.validators_hash())),
    }
}

/// What a gateway serves with `?proof=true`.
fn served(receipt: &Receipt, record: &Session) -> Value {
    let Subject::Answer(part) = &receipt.subject else {
        panic!("it is of a task");
    };
    let mut fields = answer_summary(CHAIN, part, record, part.path.is_some()).unwrap();
    fields.insert("charged".into(), part.leaf.price.into());
    if let Some(Value::Object(quality)) = fields.get_mut("quality") {
        quality.insert("estimate".into(), 0.7.into());
    }
    fields.insert("proof".into(), serde_json::to_value(receipt).unwrap());
    fields.into()
}

fn verdict(document: &Value, anchors: &Anchors) -> Option<Verdict> {
    let document = Document::parse(&serde_json::to_vec(document).unwrap()).ok()?;
    Some(document.verify(anchors).verdict)
}

/// Pointers to all values in a document that are not objects or lists.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                places(field, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                places(item, &format!("{at}/{number}"), found);
            }
        }
        _ => found.push(at.to_owned()),
    }
}

/// Other values of the same kind.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![Value::from(0), Value::from("0"), Value::from(0.5)],
        Value::Bool(is) => vec![Value::from(!is)],
        Value::Number(number) => match number.as_u64() {
            Some(number) => vec![Value::from(number ^ 1), Value::from(number + 256)],
            None => vec![Value::from(number.as_f64().unwrap() / 2.0)],
        },
        Value::String(text) => {
            let letters: Vec<char> = text.chars().collect();
            let places = [0, letters.len() / 2];
            let changed = places.into_iter().filter_map(|at| {
                let mut letters = letters.clone();
                let letter = letters.get_mut(at)?;
                *letter = if *letter == '1' { '2' } else { '1' };
                Some(Value::from(String::from_iter(letters)))
            });
            changed.chain([Value::from("")]).collect()
        }
        _ => Vec::new(),
    }
}

/// Asserts that a document verifies, and does not with any of its values changed.
fn assert_every_value_is_bound(document: &Value, anchors: &Anchors, free: &[&str]) {
    assert_eq!(verdict(document, anchors), Some(Verdict::Verified));
    let mut found = Vec::new();
    places(document, "", &mut found);
    assert!(found.len() > 30, "{found:?}");
    for place in found {
        let value = document.pointer(&place).unwrap();
        for other in others(value).iter().filter(|other| *other != value) {
            let mut changed = document.clone();
            *changed.pointer_mut(&place).unwrap() = other.clone();
            let verdict = verdict(&changed, anchors);
            let is_bound = !matches!(verdict, Some(Verdict::Verified));
            assert_eq!(
                is_bound,
                !free.contains(&place.as_str()),
                "{place}: {value} as {other}"
            );
        }
    }
}

#[test]
fn no_value_of_a_receipt_can_be_changed() {
    let record = paid_session();
    for receipt in [answer_receipt(&record, true), task_receipt()] {
        let document = serde_json::to_value(&receipt).unwrap();
        assert_every_value_is_bound(&document, &anchors(&receipt), &[]);
    }
}

/// What the gateway charges and estimates is between it and its customer.
#[test]
fn a_gateway_cannot_show_another_text_price_or_quality() {
    let record = paid_session();
    let receipt = answer_receipt(&record, true);
    let document = served(&receipt, &record);
    assert_eq!(document["quality"]["own"], 0.6);
    assert_every_value_is_bound(
        &document,
        &anchors(&receipt),
        &["/charged", "/quality/estimate"],
    );
}

/// Every single bit of the binary parts.
#[test]
fn no_bit_of_a_receipt_can_be_flipped() {
    type Part = fn(&mut Receipt) -> &mut Vec<u8>;
    fn state(receipt: &mut Receipt) -> &mut SignedState {
        receipt.state.as_mut().unwrap()
    }
    let receipt = answer_receipt(&paid_session(), true);
    let anchors = anchors(&receipt);
    let parts: [(&str, Part); 3] = [
        ("record", |receipt| &mut state(receipt).record),
        ("proof", |receipt| &mut state(receipt).proof),
        ("signature", |receipt| match &mut receipt.subject {
            Subject::Answer(part) => &mut part.signature,
            Subject::Task(_) => panic!("it is of an answer"),
        }),
    ];
    for (name, part) in parts {
        let bits = 8 * part(&mut receipt.clone()).len();
        for bit in 0..bits {
            let mut changed = receipt.clone();
            part(&mut changed)[bit / 8] ^= 1 << (bit % 8);
            let report = changed.verify(&anchors);
            assert_eq!(
                report.verdict,
                Verdict::Failed,
                "bit {bit} of {name}: {report}"
            );
        }
    }
}

#[test]
fn the_outcome_is_read_from_the_proven_record() {
    let receipt = answer_receipt(&paid_session(), true);
    let report = receipt.verify(&anchors(&receipt));
    let answer = report.answer.unwrap();
    assert_eq!(answer.phase, Phase::Final);
    assert_eq!(
        (answer.is_drawn, answer.own_quality, answer.session_quality),
        (Some(true), Some(600_000), Some(600_000))
    );
    assert_eq!(answer.final_price, Some(leaf(3).price.div_ceil(2)));

    let receipt = task_receipt();
    let task = receipt.verify(&anchors(&receipt)).task.unwrap();
    assert_eq!((task.quality, task.refund), (Some(700_000), Some(1)));
}

#[test]
fn without_an_anchor_nothing_is_verified() {
    let receipt = answer_receipt(&paid_session(), true);
    let report = receipt.verify(&Anchors::default());
    assert_eq!(report.verdict, Verdict::Untrusted, "{report}");
    let all = anchors(&receipt);
    let one = [
        Anchors {
            header: None,
            ..all
        },
        Anchors {
            validators: None,
            ..all
        },
    ];
    for anchors in one {
        assert_eq!(receipt.verify(&anchors).verdict, Verdict::Verified);
    }
    for wrong in [
        Anchors {
            header: Some([9; 32]),
            ..all
        },
        Anchors {
            validators: Some([9; 32]),
            ..all
        },
    ] {
        assert_eq!(receipt.verify(&wrong).verdict, Verdict::Failed);
    }
}

/// Whoever trusts a validator set must not accept a header that a third of it did not sign.
#[test]
fn two_thirds_are_not_enough() {
    let record = paid_session().encode_to_vec();
    let mut receipt = answer_receipt(&paid_session(), true);
    for (signers, expected) in [(3, Verdict::Verified), (2, Verdict::Failed)] {
        let state = state_of(&session_key(7), record.clone(), &[1, 2, 3, 4], signers);
        receipt.state = Some(state);
        let report = receipt.verify(&anchors(&receipt));
        assert_eq!(report.verdict, expected, "{signers} of 4: {report}");
    }
    let state = state_of(&session_key(7), record, &[1, 2, 3], 2);
    receipt.state = Some(state);
    assert_eq!(receipt.verify(&anchors(&receipt)).verdict, Verdict::Failed);
}

#[test]
fn an_answer_that_the_chain_does_not_commit_to_is_provisional() {
    let open = answer_receipt(&open_session(), false);
    let report = open.verify(&anchors(&open));
    assert_eq!(report.verdict, Verdict::Provisional, "{report}");
    assert_eq!(report.answer.unwrap().phase, Phase::Provisional);

    let mut left_out = paid_session();
    left_out.settlement.as_mut().unwrap().count = 3;
    let left_out = answer_receipt(&left_out, false);
    let report = left_out.verify(&anchors(&left_out));
    assert_eq!(report.verdict, Verdict::Provisional, "{report}");
    assert!(
        report.to_string().contains("leaves the answer out"),
        "{report}"
    );

    let mut refunded = open_session();
    refunded.status = SessionStatus::Refunded.into();
    let refunded = answer_receipt(&refunded, false);
    let report = refunded.verify(&anchors(&refunded));
    assert_eq!(report.verdict, Verdict::Verified, "{report}");
    assert_eq!(report.answer.unwrap().final_price, Some(0));

    // The node signs no total.
    let mut totalled = answer_receipt(&open_session(), false);
    if let Subject::Answer(part) = &mut totalled.subject {
        part.leaf.total = leaf(3).total;
    }
    let report = totalled.verify(&anchors(&totalled));
    assert_eq!(report.verdict, Verdict::Failed, "{report}");

    let claimed = answer_receipt(&open_session(), true);
    assert_eq!(claimed.verify(&anchors(&claimed)).verdict, Verdict::Failed);
}

#[test]
fn an_answer_that_was_not_served_has_neither_digest_nor_text() {
    let void = Leaf {
        answer: [0; 32],
        answer_bytes: 0,
        finish: Finish::Void,
        price: 0,
        ..leaf(3).receipt()
    };
    let with_text = Leaf {
        answer_bytes: ANSWER.len() as u32,
        ..void
    };
    let with_digest = Leaf {
        answer: leaf(3).answer,
        ..void
    };
    for (leaf, text, expected) in [
        (&void, "", Verdict::Provisional),
        (&void, ANSWER, Verdict::Failed),
        (&with_text, "", Verdict::Failed),
        (&with_digest, "", Verdict::Failed),
    ] {
        let mut receipt = answer_receipt(&open_session(), false);
        receipt.subject = Subject::Answer(answer_part(leaf, text));
        let report = receipt.verify(&anchors(&receipt));
        assert_eq!(report.verdict, expected, "{text:?}: {report}");
    }
}

#[test]
fn a_gateways_answers_are_read_as_receipts() {
    let record = open_session();
    let mut receipt = answer_receipt(&record, false);
    receipt.state = None;
    let mut document = served(&receipt, &record);
    document.as_object_mut().unwrap().remove("proof");
    let anchors = Anchors::default();
    assert_eq!(verdict(&document, &anchors), Some(Verdict::Provisional));
    for (field, lie) in [("price", Value::from(1)), ("node_key", Value::from("02"))] {
        let mut changed = document.clone();
        changed[field] = lie;
        assert_eq!(
            verdict(&changed, &anchors),
            Some(Verdict::Failed),
            "{field}"
        );
    }

    let whole = serde_json::json!({
        "choices": [{ "message": { "content": ANSWER } }],
        "poq": document,
    });
    let parsed = Document::parse(whole.to_string().as_bytes()).unwrap();
    let Subject::Answer(part) = &parsed.receipt.subject else {
        panic!("it is of a task");
    };
    assert_eq!((part.session, part.answer.as_deref()), (7, Some(ANSWER)));
    // A true receipt inside does not cover what is said around it.
    let record = paid_session();
    let proven = answer_receipt(&record, true);
    let hidden = serde_json::json!({ "price": 1, "poq": served(&proven, &record) });
    let verdict = verdict(&hidden, &self::anchors(&proven));
    assert_eq!(verdict, Some(Verdict::Provisional));
    for wrong in ["", "{}", r#"{"format": "poq/receipt/v2"}"#, r#"{"poq": 1}"#] {
        assert!(Document::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
}
