//! Verifies a node's statements about the state against an application hash.

use ics23::{CommitmentProof, HostFunctionsManager};
use prost::Message;
use tendermint::merkle::proof::ProofOps;

use crate::Client;

/// ABCI path for raw keys.
const PATH: &str = "/store/poq/key";
/// Type of the only proof operation in an answer.
const OP_TYPE: &str = "ics23:jmt";

/// Why a proof is not accepted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The answer has no proof of the expected form.
    #[error("the answer carries no usable proof: {0}")]
    Malformed(String),
    /// The proof belongs to another key, value or state.
    #[error(
        "the proof does not lead from this key and value to the application hash {app_hash}; the \
         hash belongs to another height, or the node is lying"
    )]
    Mismatch {
        /// The trusted hash, hex.
        app_hash: String,
    },
}

/// A key of the application's state, its value, and their proof.
#[derive(Clone, Debug, PartialEq)]
pub struct Proven {
    /// The raw key.
    pub key: Vec<u8>,
    /// `None` if the key is not in the state.
    pub value: Option<Vec<u8>>,
    /// The height of the block that produced the state; the header of the next block has its hash.
    pub height: u64,
    /// An encoded `ics23.CommitmentProof`.
    pub proof: Vec<u8>,
}

impl Proven {
    /// Checks the proof against a trusted application hash: that the key has the value, or that
    /// there is no such key.
    pub fn verify(&self, app_hash: &[u8]) -> Result<(), Error> {
        let proof = CommitmentProof::decode(self.proof.as_slice())
            .map_err(|error| Error::Malformed(error.to_string()))?;
        let spec = jmt::ics23_spec();
        let root = app_hash.to_vec();
        let is_proven = match &self.value {
            Some(value) => ics23::verify_membership::<HostFunctionsManager>(
                &proof, &spec, &root, &self.key, value,
            ),
            None => ics23::verify_non_membership::<HostFunctionsManager>(
                &proof, &spec, &root, &self.key,
            ),
        };
        is_proven.then_some(()).ok_or_else(|| Error::Mismatch {
            app_hash: hex::encode_upper(app_hash),
        })
    }
}

impl Client {
    /// Reads a raw key of the state with its proof, at `height` or in the newest state. The proof
    /// is not verified yet: see [`Proven::verify`].
    pub async fn proven(&self, key: &[u8], height: Option<u64>) -> crate::Result<Proven> {
        let answer = self.abci_query(PATH, key.to_vec(), height, true).await?;
        Ok(Proven {
            key: key.to_vec(),
            value: Some(answer.value).filter(|value| !value.is_empty()),
            height: answer.height.value(),
            proof: commitment(answer.proof)?,
        })
    }
}

fn commitment(proof: Option<ProofOps>) -> Result<Vec<u8>, Error> {
    let mut ops = proof
        .ok_or_else(|| Error::Malformed("there is none".into()))?
        .ops;
    match (ops.pop(), ops.is_empty()) {
        (Some(op), true) if op.field_type == OP_TYPE => Ok(op.data),
        _ => Err(Error::Malformed(format!(
            "expected one operation of type `{OP_TYPE}`"
        ))),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use jmt::storage::{HasPreimage, LeafNode, Node, NodeBatch, NodeKey, TreeReader};
    use jmt::{JellyfishMerkleTree, KeyHash, OwnedValue, Version};
    use sha2::Sha256;
    use tendermint::merkle::proof::ProofOp;

    use super::*;

    /// A tree in memory, written in one batch.
    #[derive(Default)]
    struct Store {
        batch: NodeBatch,
        keys: BTreeMap<KeyHash, Vec<u8>>,
    }

    impl TreeReader for Store {
        fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
            Ok(self.batch.get_node(key).cloned())
        }

        fn get_value_option(
            &self,
            version: Version,
            key: KeyHash,
        ) -> anyhow::Result<Option<OwnedValue>> {
            Ok(self.batch.values().get(&(version, key)).cloned().flatten())
        }

        fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
            anyhow::bail!("only needed to restore a tree")
        }
    }

    impl HasPreimage for Store {
        fn preimage(&self, key: KeyHash) -> anyhow::Result<Option<Vec<u8>>> {
            Ok(self.keys.get(&key).cloned())
        }
    }

    /// The root hash of a tree with three keys, and a function that proves any key.
    fn tree() -> (Vec<u8>, impl Fn(&str) -> Proven) {
        tree_of([("a", b"1"), ("b", b"2"), ("c", b"3")].map(|(key, value)| (key, value.to_vec())))
    }

    /// The root hash of a tree with these values, and a function that proves any key.
    pub(crate) fn tree_of<'v>(
        entries: impl IntoIterator<Item = (&'v str, Vec<u8>)>,
    ) -> (Vec<u8>, impl Fn(&str) -> Proven) {
        let mut store = Store::default();
        let mut values = Vec::new();
        for (key, value) in entries {
            let hash = KeyHash::with::<Sha256>(key);
            store.keys.insert(hash, key.into());
            values.push((hash, Some(value)));
        }
        let tree = JellyfishMerkleTree::<_, Sha256>::new(&store);
        let (root, batch) = tree.put_value_set(values, 0).unwrap();
        store.batch = batch.node_batch;
        let prove = move |key: &str| {
            let tree = JellyfishMerkleTree::<_, Sha256>::new(&store);
            let (value, proof) = tree.get_with_ics23_proof(key.into(), 0).unwrap();
            Proven {
                key: key.into(),
                value,
                height: 1,
                proof: proof.encode_to_vec(),
            }
        };
        (root.0.to_vec(), prove)
    }

    #[test]
    fn presence_and_absence_are_proven() {
        let (root, prove) = tree();
        let present = prove("b");
        assert_eq!(present.value.as_deref(), Some(b"2".as_slice()));
        present.verify(&root).unwrap();
        let absent = prove("nothing");
        assert_eq!(absent.value, None);
        absent.verify(&root).unwrap();
    }

    #[test]
    fn every_lie_is_found() {
        let (root, prove) = tree();
        let honest = prove("b");
        let lies = [
            Proven {
                value: Some(b"3".to_vec()),
                ..honest.clone()
            },
            Proven {
                value: None,
                ..honest.clone()
            },
            Proven {
                key: b"a".to_vec(),
                ..honest.clone()
            },
            Proven {
                proof: prove("a").proof,
                ..honest.clone()
            },
            Proven {
                value: Some(b"1".to_vec()),
                ..prove("nothing")
            },
        ];
        for lie in lies {
            assert!(
                matches!(lie.verify(&root), Err(Error::Mismatch { .. })),
                "{lie:?}"
            );
        }
        let mut other_root = root.clone();
        other_root[0] ^= 1;
        for hash in [other_root, Vec::new(), root[1..].to_vec()] {
            assert!(matches!(honest.verify(&hash), Err(Error::Mismatch { .. })));
        }
        let garbage = Proven {
            proof: vec![0xff; 9],
            ..honest
        };
        assert!(matches!(garbage.verify(&root), Err(Error::Malformed(_))));
    }

    #[test]
    fn only_the_expected_operation_is_accepted() {
        let op = |field_type: &str| ProofOp {
            field_type: field_type.into(),
            key: Vec::new(),
            data: vec![1],
        };
        let ops = |ops: Vec<ProofOp>| Some(ProofOps { ops });
        assert_eq!(commitment(ops(vec![op(OP_TYPE)])), Ok(vec![1]));
        for wrong in [
            None,
            ops(vec![]),
            ops(vec![op("ics23:iavl")]),
            ops(vec![op(OP_TYPE), op(OP_TYPE)]),
        ] {
            assert!(matches!(commitment(wrong), Err(Error::Malformed(_))));
        }
    }
}
