use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The operations on a state.
#[derive(Clone, Debug)]
enum Op {
    Put(String, Vec<u8>),
    Delete(String),
    PutPayload(String, Vec<u8>),
    DeletePayload(String),
    Begin,
    Commit,
    Rollback,
}

/// Few keys, many of them prefixes of others, so that collisions are frequent.
fn key() -> impl Strategy<Value = String> {
    "[ab](/?[ab~]){0,3}"
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    vec(0_u8..3, 1..3)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (key(), value()).prop_map(|(key, value)| Op::Put(key, value)),
        3 => key().prop_map(Op::Delete),
        2 => (key(), vec(any::<u8>(), 0..3)).prop_map(|(key, value)| Op::PutPayload(key, value)),
        1 => key().prop_map(Op::DeletePayload),
        2 => Just(Op::Begin),
        1 => Just(Op::Commit),
        1 => Just(Op::Rollback),
    ]
}

fn blocks() -> impl Strategy<Value = Vec<Vec<Op>>> {
    vec(vec(op(), 0..20), 1..8)
}

/// The state as two maps, copied as a whole for each layer.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    values: Map,
    payloads: Map,
}

fn apply(op: &Op, state: &mut State, layers: &mut Vec<Model>) {
    let model = layers.last_mut().expect("a bottom layer");
    match op {
        Op::Put(key, value) => {
            state.put(key, value.as_slice()).expect("a put");
            model.values.insert(key.clone().into_bytes(), value.clone());
        }
        Op::Delete(key) => {
            state.delete(key).expect("a delete");
            model.values.remove(key.as_bytes());
        }
        Op::PutPayload(key, value) => {
            state.put_payload(key, value.as_slice()).expect("a put");
            model
                .payloads
                .insert(key.clone().into_bytes(), value.clone());
        }
        Op::DeletePayload(key) => {
            state.delete_payload(key).expect("a delete");
            model.payloads.remove(key.as_bytes());
        }
        Op::Begin => {
            let copy = model.clone();
            state.begin();
            layers.push(copy);
        }
        Op::Commit | Op::Rollback if layers.len() == 1 => {
            assert!(state.commit().is_err() && state.rollback().is_err());
        }
        Op::Commit => {
            state.commit().expect("an open layer");
            let top = layers.pop().expect("an open layer");
            *layers.last_mut().expect("a layer below") = top;
        }
        Op::Rollback => {
            state.rollback().expect("an open layer");
            layers.pop();
        }
    }
}

/// Executes a block and returns the expected state.
fn execute(store: &Store, ops: &[Op], before: &Model, question: &Question) -> Model {
    let mut state = State::new(store.snapshot());
    let mut layers = vec![before.clone()];
    for op in ops {
        apply(op, &mut state, &mut layers);
        let model = layers.last().expect("a layer");
        let scan = |map: &Map| question.answer(map);
        let Question {
            prefix,
            after,
            limit,
        } = question;
        let scanned = state
            .scan(prefix, after.as_deref(), *limit)
            .expect("a scan");
        assert_eq!(scanned, scan(&model.values));
        assert_eq!(
            state.get(prefix).expect("a get"),
            model.values.get(prefix).cloned()
        );
        assert_eq!(
            state.payload(prefix).expect("a get"),
            model.payloads.get(prefix).cloned()
        );
    }
    while layers.len() > 1 {
        apply(&Op::Commit, &mut state, &mut layers);
    }
    let writes = state.into_writes().expect("balanced layers");
    let height = store.head().height + 1;
    let staged = store.stage(writes, height).expect("a valid block");
    let model = layers.pop().expect("a bottom layer");
    assert_eq!(staged.app_hash(), naive_root(&model.values));
    store.commit(staged).expect("a commit");
    model
}

/// A scan.
#[derive(Clone, Debug)]
struct Question {
    prefix: Vec<u8>,
    after: Option<Vec<u8>>,
    limit: usize,
}

impl Question {
    fn answer(&self, map: &Map) -> Vec<(Vec<u8>, Vec<u8>)> {
        map.iter()
            .filter(|(key, _)| key.starts_with(&self.prefix))
            .filter(|(key, _)| self.after.as_ref().is_none_or(|after| *key > after))
            .take(self.limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

fn question() -> impl Strategy<Value = Question> {
    let prefix = prop_oneof![3 => key().prop_map(String::into_bytes), 1 => Just(Vec::new())];
    let page_key = prop_oneof![
        3 => key().prop_map(String::into_bytes),
        1 => (key(), vec(any::<u8>(), 0..9)).prop_map(|(key, end)| [key.as_bytes(), &end].concat()),
    ];
    (prefix, proptest::option::of(page_key), 0_usize..12).prop_map(|(prefix, after, limit)| {
        Question {
            prefix,
            after,
            limit,
        }
    })
}

fn check_version(snapshot: &Snapshot, model: &Model, question: &Question) {
    assert_eq!(
        snapshot.root_hash().expect("a root"),
        naive_root(&model.values)
    );
    assert_eq!(contents(snapshot), model.values);
    let Question {
        prefix,
        after,
        limit,
    } = question;
    let scanned = snapshot
        .scan(prefix, after.as_deref(), *limit)
        .expect("a scan");
    assert_eq!(scanned, question.answer(&model.values));
    for (key, value) in &model.values {
        assert_eq!(snapshot.get(key).expect("a get").as_ref(), Some(value));
    }
    for (key, payload) in &model.payloads {
        assert_eq!(
            snapshot.payload(key).expect("a get").as_ref(),
            Some(payload)
        );
    }
    let [value, payload] = [snapshot.get(prefix), snapshot.payload(prefix)];
    assert_eq!(value.expect("a get"), model.values.get(prefix).cloned());
    assert_eq!(payload.expect("a get"), model.payloads.get(prefix).cloned());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Reads and scans, uncommitted and of every version, and the roots equal those of a plain map,
    /// also after the database was closed and opened again.
    #[test]
    fn behaves_like_a_map(blocks in blocks(), question in question()) {
        let folder = folder();
        let mut versions = vec![Model::default()];
        {
            let store = open(&folder, 0);
            for ops in &blocks {
                let model = execute(&store, ops, versions.last().expect("a version"), &question);
                versions.push(model);
            }
        }
        let store = open(&folder, 0);
        prop_assert_eq!(store.head().height as usize, blocks.len());
        for (version, model) in versions.iter().enumerate() {
            let snapshot = store.snapshot_at(version as u64).expect("a kept version");
            check_version(&snapshot, model, &question);
        }
    }

    /// The grouping of the same writes into blocks and layers does not change the root.
    #[test]
    fn grouping_does_not_show(blocks in blocks(), first in 1_u64..9) {
        let flat = |op: &&Op| !matches!(op, Op::Begin | Op::Commit | Op::Rollback);
        let (left, right) = (folder(), folder());
        let (left, right) = (open(&left, 0), open(&right, 0));
        for ops in &blocks {
            commit(&left, |state| {
                ops.iter().filter(flat).for_each(|op| apply(op, state, &mut vec![Model::default()]));
            });
        }
        let mut state = State::new(right.snapshot());
        for op in blocks.iter().flatten().filter(flat) {
            let step = |state: &mut State| -> Result<(), ()> {
                apply(op, state, &mut vec![Model::default()]);
                Ok(())
            };
            state.nested(step).expect("a step that succeeds");
        }
        let writes = state.into_writes().expect("balanced layers");
        let head = right.head();
        prop_assert_eq!(right.root_after(&writes).expect("a root"), left.head().app_hash);
        prop_assert_eq!(right.head(), head);
        let staged = right.stage(writes, first).expect("a first block");
        right.commit(staged).expect("a commit");
        prop_assert_eq!(right.head().app_hash, left.head().app_hash);
        prop_assert_eq!(contents(&right.snapshot()), contents(&left.snapshot()));
    }

    /// The writes of a failed step are dropped, in whatever layers they are.
    #[test]
    fn a_dropped_layer_leaves_no_trace(kept in vec(op(), 0..20), dropped in vec(op(), 0..20)) {
        let folder = folder();
        let store = open(&folder, 0);
        let mut state = State::new(store.snapshot());
        let mut models = vec![Model::default()];
        kept.iter().for_each(|op| apply(op, &mut state, &mut models));
        let depth = models.len();
        let before = format!("{state:?}");
        let outcome = state.nested(|state| {
            let mut layers = vec![models.last().cloned().expect("a model")];
            dropped.iter().for_each(|op| {
                let closes = matches!(op, Op::Commit | Op::Rollback);
                if !(closes && layers.len() == 1) {
                    apply(op, state, &mut layers);
                }
            });
            Err::<(), _>("no")
        });
        prop_assert_eq!(outcome, Err("no"));
        prop_assert_eq!(format!("{state:?}"), before);
        (1..depth).for_each(|_| state.commit().expect("an open layer"));
        prop_assert!(state.into_writes().is_ok());
    }
}
