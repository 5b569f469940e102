//! Receipts, and what the chain made of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use poq_proto::v1::{self, DrawnLeaf, Session, SessionSettlement, SessionStatus};
use poq_proto::{Leaf, PPM};
use serde_json::{Value, json};
use sha2::Sha256;

use super::Api;
use super::failure::ApiError;
use super::form::{parse_receipt_id, receipt_id};
use crate::store::keys::Key;
use crate::store::receipts::{self, Receipt};
use crate::store::{orders, sessions};

/// `GET /v1/receipts/{id}`.
pub(super) async fn one(
    State(api): State<Arc<Api>>,
    Extension(key): Extension<Arc<Key>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let unknown = || {
        let message = format!("there is no receipt `{id}` of this key");
        ApiError::new(StatusCode::NOT_FOUND, "receipt_not_found", message)
    };
    let (session, number) = parse_receipt_id(&id).ok_or_else(unknown)?;
    let store = &api.relay.store;
    let receipt = store.read(|db| receipts::find(db, session, number))?;
    let receipt = receipt
        .filter(|receipt| receipt.key == key.id)
        .ok_or_else(unknown)?;
    let stored = store
        .read(|db| sessions::find(db, session))?
        .ok_or_else(unknown)?;
    // The stored record is older, but is there when the chain is not.
    let record = match api.chain.session(session).await {
        Ok(Some(record)) => record,
        Ok(None) | Err(_) => stored.record,
    };
    let leaves = store.read(|db| orders::leaves(db, session))?;
    Ok(Json(description(&receipt, &record, &leaves)))
}

fn description(receipt: &Receipt, record: &Session, leaves: &[Leaf]) -> Value {
    let leaf = &receipt.leaf;
    let anchor = record
        .settlement
        .as_ref()
        .and_then(|settlement| anchor(settlement, leaf, leaves));
    let drawn = record
        .settlement
        .as_ref()
        .and_then(|settlement| drawn(settlement, leaf));
    let is_final = record.payment.is_some() && anchor.is_some();
    json!({
        "object": "poq.receipt",
        "receipt": receipt_id((receipt.session, leaf.number)),
        "session": receipt.session,
        "model": record.model,
        "node": record.node.as_ref().map(|node| &node.operator),
        "answer_sha256": hex::encode(leaf.answer),
        "price": leaf.price,
        "charged": receipt.charged,
        "phase": phase(record, anchor.is_some()),
        "quality": {
            "own": drawn.and_then(|drawn| drawn.quality).map(part),
            "session": is_final.then(|| session_quality(record)).flatten(),
        },
        "task": drawn.map(|drawn| drawn.task_id).filter(|task| *task > 0),
        "final_price": final_price(record, leaf.price, anchor.is_some()),
        "leaf": v1::Leaf::from(leaf),
        "signature": hex::encode(&receipt.signature),
        "node_key": record.node.as_ref().map(|node| hex::encode(&node.key)),
        "path": anchor.map(|path| path.iter().map(hex::encode).collect::<Vec<_>>()),
    })
}

/// The path from a leaf to the root on the chain; None if it is not below that root.
fn anchor(settlement: &SessionSettlement, leaf: &Leaf, leaves: &[Leaf]) -> Option<Vec<[u8; 32]>> {
    let count = usize::try_from(settlement.count).ok()?;
    let index = usize::try_from(leaf.number)
        .ok()
        .filter(|index| *index < count)?;
    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for (number, leaf) in (0..).zip(leaves.get(..count)?) {
        if leaf.number != number {
            return None;
        }
        tree.push(leaf.encode().to_vec());
    }
    if tree.root().as_bytes()[..] != settlement.root[..] {
        return None;
    }
    let proof = tree.prove_inclusion(index);
    let hashes = proof.as_bytes().chunks_exact(32);
    hashes.map(|hash| hash.try_into().ok()).collect()
}

fn drawn<'a>(settlement: &'a SessionSettlement, leaf: &Leaf) -> Option<&'a DrawnLeaf> {
    let mut leaves = settlement.leaves.iter();
    leaves.find(|drawn| drawn.number == leaf.number)
}

fn phase(record: &Session, is_anchored: bool) -> &'static str {
    match record.status() {
        SessionStatus::Refunded => "refunded",
        // A leaf that the node left out of its root stays what it was.
        _ if !is_anchored => "provisional",
        SessionStatus::Drawing => "anchored",
        SessionStatus::Revealing | SessionStatus::Scoring => "scoring",
        SessionStatus::Final => "final",
        _ => "provisional",
    }
}

/// The mean quality of the drawn answers that were judged, weighted as on the chain.
fn session_quality(record: &Session) -> Option<f64> {
    let settlement = record.settlement.as_ref()?;
    let weight = |leaf: &DrawnLeaf| match settlement.all_drawn {
        true => u128::from(leaf.price),
        false => leaf.points.into(),
    };
    let judged = settlement
        .leaves
        .iter()
        .filter_map(|leaf| Some((weight(leaf), u128::from(leaf.quality?))));
    let (sum, weights) = judged.fold((0, 0), |(sum, weights), (weight, quality)| {
        (sum + weight * quality, weights + weight)
    });
    let mean = u32::try_from(sum.checked_div(weights)?).ok()?;
    Some(part(mean))
}

/// What an answer costs in the end: its price less its share of what the session gave back.
fn final_price(record: &Session, price: u64, is_anchored: bool) -> Option<u64> {
    if record.status() == SessionStatus::Refunded {
        return Some(0);
    }
    let payment = record.payment.as_ref().filter(|_| is_anchored)?;
    let amount = u128::from(record.settlement.as_ref()?.amount);
    let refund = u128::from(payment.refund).min(amount);
    let back = (u128::from(price) * refund).checked_div(amount)?;
    Some(price.saturating_sub(u64::try_from(back).ok()?))
}

fn part(ppm: u32) -> f64 {
    f64::from(ppm) / PPM as f64
}

#[cfg(test)]
mod tests {
    use poq_proto::merkle::root_of_path;
    use poq_proto::v1::{Finish, SessionPayment};

    use super::*;

    fn leaf(number: u64) -> Leaf {
        Leaf {
            number,
            request: [1; 32],
            answer: [2; 32],
            prompt_bytes: 1,
            answer_bytes: 1,
            prompt_tokens: 1,
            answer_tokens: 1,
            min_quality: 0,
            finish: Finish::Stop,
            price: 100,
            total: 100 * (number + 1),
        }
    }

    fn settled(count: u64, leaves: &[Leaf]) -> Session {
        let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        for leaf in &leaves[..count as usize] {
            tree.push(leaf.encode().to_vec());
        }
        let settlement = SessionSettlement {
            count,
            root: tree.root().as_bytes().to_vec(),
            amount: 100 * count,
            ..SessionSettlement::default()
        };
        Session {
            status: SessionStatus::Drawing.into(),
            settlement: Some(settlement),
            ..Session::default()
        }
    }

    fn described(record: &Session, number: u64, leaves: &[Leaf]) -> Value {
        let receipt = Receipt {
            session: 7,
            leaf: leaf(number),
            signature: vec![3],
            charged: 100,
            key: 1,
        };
        description(&receipt, record, leaves)
    }

    #[test]
    fn a_settled_leaf_has_a_path_to_the_root() {
        let leaves: Vec<_> = (0..6).map(leaf).collect();
        let record = settled(5, &leaves);
        let found = described(&record, 4, &leaves);
        assert_eq!(found["phase"], "anchored");
        let path: Vec<[u8; 32]> = found["path"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hash| {
                hex::decode(hash.as_str().unwrap())
                    .unwrap()
                    .try_into()
                    .unwrap()
            })
            .collect();
        let root = root_of_path(&leaf(4).encode(), 4, 5, &path).unwrap();
        assert_eq!(root.to_vec(), record.settlement.unwrap().root);
    }

    #[test]
    fn a_leaf_outside_of_the_root_stays_provisional() {
        let leaves: Vec<_> = (0..6).map(leaf).collect();
        let mut record = settled(5, &leaves);
        record.status = SessionStatus::Final.into();
        assert_eq!(described(&record, 5, &leaves)["phase"], "provisional");
        record.settlement.as_mut().unwrap().root = vec![0; 32];
        let other = described(&record, 0, &leaves);
        assert_eq!(
            (&other["phase"], &other["path"]),
            (&"provisional".into(), &Value::Null)
        );
    }

    #[test]
    fn the_final_price_is_less_by_the_share_of_the_refund() {
        let leaves: Vec<_> = (0..5).map(leaf).collect();
        let mut record = settled(5, &leaves);
        record.status = SessionStatus::Final.into();
        record.payment = Some(SessionPayment {
            refund: 200,
            ..SessionPayment::default()
        });
        let drawn = |number, points, quality| DrawnLeaf {
            number,
            points,
            quality,
            task_id: 9,
            ..DrawnLeaf::default()
        };
        let settlement = record.settlement.as_mut().unwrap();
        settlement.leaves = vec![
            drawn(0, 3, Some(800_000)),
            drawn(1, 1, Some(400_000)),
            drawn(2, 9, None),
        ];
        let found = described(&record, 1, &leaves);
        assert_eq!(found["phase"], "final");
        assert_eq!(found["final_price"], 60);
        assert_eq!(found["quality"], json!({ "own": 0.4, "session": 0.7 }));
        assert_eq!(found["task"], 9);
        record.status = SessionStatus::Refunded.into();
        assert_eq!(described(&record, 1, &leaves)["final_price"], 0);
    }
}
