//! Receipts, and what the chain made of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use poq_client::receipt::{
    AnswerPart, Format, Receipt as Document, Sibling, SignedState, Subject, answer_summary,
};
use poq_proto::v1::{self, Session, SessionSettlement};
use poq_proto::{Leaf, PPM};
use prost::Message;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::Sha256;

use super::Api;
use super::failure::ApiError;
use super::form::parse_receipt_id;
use crate::chain::Chain;
use crate::relay::Failure;
use crate::store::keys::Key;
use crate::store::receipts::{self, Receipt};
use crate::store::{self, Store, orders, sessions};

/// Options of the path.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Options {
    /// Add what the receipt is verified with offline.
    #[serde(default)]
    proof: bool,
}

/// `GET /v1/receipts/{id}`.
pub(super) async fn one(
    State(api): State<Arc<Api>>,
    Extension(key): Extension<Arc<Key>>,
    Path(id): Path<String>,
    options: Result<Query<Options>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(options) =
        options.map_err(|_| ApiError::invalid("proof", "must be true or false"))?;
    let unknown = || {
        let message = format!("there is no receipt `{id}` of this key");
        ApiError::new(StatusCode::NOT_FOUND, "receipt_not_found", message)
    };
    let stored = Stored::of_id(&api.relay.store, &id)?;
    let stored = stored
        .filter(|stored| stored.receipt.key == key.id)
        .ok_or_else(unknown)?;
    let session = stored.session();
    if options.proof {
        let state = signed_session(&*api.chain, session).await?;
        return Ok(Json(stored.proven(&api.chain.id(), state)?));
    }
    // The stored record is older, but is there when the chain is not.
    let record = match api.chain.session(session).await {
        Ok(Some(record)) => record,
        Ok(None) | Err(_) => stored.record.clone(),
    };
    let part = stored.part(&record);
    let fields = stored.description(&api.chain.id(), &part, &record)?;
    Ok(Json(fields.into()))
}

async fn signed_session(chain: &dyn Chain, session: u64) -> Result<SignedState, ApiError> {
    match chain.signed_session(session).await {
        Ok(Some(state)) => Ok(state),
        Ok(None) => Err(Failure::Halted.into()),
        Err(error) => {
            tracing::warn!("no proof of session {session}: {error}");
            Err(Failure::Halted.into())
        }
    }
}

/// What the store has of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    receipt: Receipt,
    /// The session's record as it was last seen.
    record: Session,
    /// All answers of the session, without totals.
    leaves: Vec<Leaf>,
    /// The answer, while the session is not over.
    text: Option<String>,
    /// What was asked, while the session is not over.
    chat: Option<v1::Chat>,
}

impl Stored {
    /// The answer with this id of its receipt, or of itself.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) fn of_id(store: &Store, id: &str) -> Result<Option<Self>, store::Error> {
        let Some((session, number)) = parse_receipt_id(id) else {
            return Ok(None);
        };
        store.read(|db| {
            let Some(receipt) = receipts::find(db, session, number)? else {
                return Ok(None);
            };
            let Some(stored) = sessions::find(db, session)? else {
                return Ok(None);
            };
            Ok(Some(Self {
                receipt,
                record: stored.record,
                leaves: orders::leaves(db, session)?,
                text: orders::text(db, session, number)?,
                chat: orders::chat(db, session, number)?,
            }))
        })
    }

    /// Id of the session.
    pub(crate) fn session(&self) -> u64 {
        self.receipt.session
    }

    /// The answer as a receipt has it, with its path if the record has a root above it.
    fn part(&self, record: &Session) -> AnswerPart {
        let Receipt {
            session,
            leaf,
            signature,
            ..
        } = &self.receipt;
        let settlement = record.settlement.as_ref();
        let anchored = settlement.and_then(|one| anchor(one, leaf.number, &self.leaves));
        let (leaf, path) = anchored.map_or((*leaf, None), |(leaf, path)| (leaf, Some(path)));
        AnswerPart {
            session: *session,
            leaf: v1::Leaf::from(&leaf),
            signature: signature.clone(),
            path,
            chat: self.chat.clone(),
            answer: self.text.clone(),
        }
    }

    /// The receipt with the session's record.
    ///
    /// # Errors
    /// If the record does not decode.
    pub(crate) fn document(
        &self,
        chain_id: &str,
        state: SignedState,
    ) -> Result<Document, prost::DecodeError> {
        let record = Session::decode(state.record.as_slice())?;
        Ok(Document {
            format: Format::V1,
            chain_id: chain_id.into(),
            subject: Subject::Answer(self.part(&record)),
            state: Some(state),
        })
    }

    /// The answer about the receipt with all that proves it.
    fn proven(&self, chain_id: &str, state: SignedState) -> Result<Value, ApiError> {
        let record = Session::decode(state.record.as_slice()).map_err(internal)?;
        let mut fields = self.description(chain_id, &self.part(&record), &record)?;
        let document = self.document(chain_id, state).map_err(internal)?;
        let document = serde_json::to_value(&document).map_err(internal)?;
        fields.insert("proof".into(), document);
        Ok(fields.into())
    }

    fn description(
        &self,
        chain_id: &str,
        part: &AnswerPart,
        record: &Session,
    ) -> Result<Map<String, Value>, ApiError> {
        let fields = answer_summary(chain_id, part, record, part.path.is_some());
        let mut fields = fields.map_err(internal)?;
        fields.insert("charged".into(), self.receipt.charged.into());
        if let Some(Value::Object(quality)) = fields.get_mut("quality") {
            let estimate = self.receipt.estimate.map(|ppm| f64::from(ppm) / PPM as f64);
            quality.insert("estimate".into(), estimate.into());
        }
        Ok(fields)
    }
}

fn internal(error: impl std::fmt::Display) -> ApiError {
    tracing::error!("a receipt cannot be written: {error}");
    Failure::Internal.into()
}

/// A leaf of the log and its path to the root on the chain; None if it is not below that root.
fn anchor(
    settlement: &SessionSettlement,
    wanted: u64,
    receipts: &[Leaf],
) -> Option<(Leaf, Vec<Sibling>)> {
    let count = usize::try_from(settlement.count).ok()?;
    let index = usize::try_from(wanted).ok()?;
    let mut leaves: Vec<Leaf> = Vec::new();
    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for (number, receipt) in (0..).zip(receipts.get(..count)?) {
        if receipt.number != number {
            return None;
        }
        let leaf = receipt.after(leaves.last().map_or(0, |leaf| leaf.total));
        tree.push(leaf.encode().to_vec());
        leaves.push(leaf);
    }
    let leaf = *leaves.get(index)?;
    if tree.root().as_bytes()[..] != settlement.root[..] {
        return None;
    }
    let proof = tree.prove_inclusion(index);
    let hashes = proof.as_bytes().chunks_exact(32);
    let path: Option<_> = hashes
        .map(|hash| hash.try_into().ok().map(Sibling))
        .collect();
    Some((leaf, path?))
}

#[cfg(test)]
mod tests {
    use poq_proto::merkle::root_of_path;
    use poq_proto::v1::{Finish, SessionStatus};

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
        let stored = Stored {
            receipt: Receipt {
                session: 7,
                leaf: leaf(number).receipt(),
                signature: vec![3],
                charged: 100,
                key: 1,
                estimate: None,
            },
            record: record.clone(),
            leaves: leaves.iter().map(Leaf::receipt).collect(),
            text: None,
            chat: None,
        };
        let part = stored.part(record);
        stored.description("c", &part, record).unwrap().into()
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
        assert_eq!(found["leaf"]["total"], leaf(4).total.to_string());
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
}
