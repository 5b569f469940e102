//! Queries of old states, and how long those are kept.

mod support;

use std::sync::Arc;

use poq_app::{App, Error, Options};
use poq_proto::code;
use poq_proto::v1::{QueryTaskRequest, QueryTaskResponse, TaskStatus};
use poq_store::StoreError;
use prost::Message;
use support::Chain;
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::RequestQuery;

const KEPT: u64 = 8;

fn status(app: &App, id: u64, height: u64) -> Result<TaskStatus, Error> {
    let request = QueryTaskRequest { id }.encode_to_vec();
    let (answer, at) = app.query("/poq.v1.Query/Task", &request, Some(height))?;
    assert_eq!(at, height);
    let answer = QueryTaskResponse::decode(answer.as_slice()).unwrap();
    Ok(answer.task.unwrap().status())
}

/// A chain that keeps few versions, and the heights of its first task's statuses.
fn chain() -> (Chain, Vec<(u64, TaskStatus)>) {
    let options = Options {
        keep_versions: KEPT,
    };
    let mut chain = Chain::with_options(support::params(), options, 1, 5);
    let mut history = Vec::new();
    let id = chain.submit();
    history.push((chain.height, TaskStatus::Assigned));
    chain.answer(id, "Paris.");
    history.push((chain.height, TaskStatus::Committing));
    chain.commit(id, 1, &[]);
    history.push((chain.height, TaskStatus::Revealing));
    chain.reveal(id, 1, &[]);
    history.push((chain.height, TaskStatus::Settled));
    chain.blocks(2);
    history.push((chain.height, TaskStatus::Final));
    (chain, history)
}

#[test]
fn a_task_can_be_watched_through_its_past() {
    let (chain, history) = chain();
    for (height, expected) in history {
        assert_eq!(status(&chain.app, 1, height).unwrap(), expected);
    }
}

#[test]
fn what_is_older_than_the_kept_versions_is_refused_clearly() {
    let (mut chain, history) = chain();
    chain.blocks(2);
    let (first, _) = history[0];
    let oldest = chain.height - KEPT + 1;
    assert!(first < oldest);
    let error = status(&chain.app, 1, first).unwrap_err();
    assert!(matches!(
        error,
        Error::Store(StoreError::Pruned { version, oldest: kept }) if version == first && kept == oldest
    ));
    assert!(chain.app.prove(b"chain/beacon", Some(first)).is_err());
    status(&chain.app, 1, oldest).unwrap();

    let ask = |path: &str, data: Vec<u8>, height: u64| {
        Application::query(
            &chain.app,
            RequestQuery {
                path: path.into(),
                data: data.into(),
                height: height as i64,
                prove: true,
            },
        )
    };
    let request = QueryTaskRequest { id: 1 }.encode_to_vec();
    for (path, data) in [
        ("/poq.v1.Query/Task", request),
        ("/poq.v1.Query/Params", Vec::new()),
        ("/poq.v1.Query/Nodes", vec![8, 1]),
        ("/cosmos.bank.v1beta1.Query/TotalSupply", Vec::new()),
        ("/store/poq/key", b"chain/beacon".to_vec()),
    ] {
        let kept = ask(path, data.clone(), oldest);
        assert_eq!((kept.code, kept.height), (0, oldest as i64), "{}", kept.log);
        let pruned = ask(path, data.clone(), first);
        assert_eq!(pruned.code, code::INVALID_REQUEST.number);
        let expected = format!("version {first} is not kept, the oldest kept is {oldest}");
        assert!(pruned.log.starts_with(&expected), "{}", pruned.log);
        let future = ask(path, data, chain.height + 1);
        assert_eq!(future.code, code::INVALID_REQUEST.number);
        assert!(future.log.contains("does not exist yet"), "{}", future.log);
    }
}

/// Programs that start with their node wait for this code.
#[test]
fn before_the_first_block_every_query_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let scorer = Arc::new(support::TextScorer);
    let app = App::open(folder.path(), Options::default(), scorer).unwrap();
    let refused = |answer: Result<(), Error>| match answer {
        Err(Error::Rejected { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    for height in [None, Some(0), Some(1)] {
        let params = app.query("/poq.v1.Query/Params", &[], height);
        assert_eq!(refused(params.map(drop)), code::NO_BLOCK);
        let proof = app.prove(b"params/params", height);
        assert_eq!(refused(proof.map(drop)), code::NO_BLOCK);
    }
}

/// A kept version is complete: its values are those of its height, with proofs, although most of
/// its rows were written long before and the rows between were pruned.
#[test]
fn the_oldest_kept_version_is_whole() {
    let (mut chain, _) = chain();
    let key = format!("bank/balance/{}/upoq", chain.inference[0].address);
    let mut expected = Vec::new();
    for _ in 0..20 {
        let message = support::send(&chain.user, &chain.inference[0].address, 1);
        let tx = chain.user.sign(vec![message]);
        assert_eq!(chain.block(&[tx])[0].code, 0);
        let (proven, height) = chain.app.prove(key.as_bytes(), None).unwrap();
        expected.push((height, proven.value.unwrap(), chain.app_hash));
    }
    let kept = expected.len() - KEPT as usize;
    for (height, _, _) in &expected[..kept] {
        let pruned = chain.app.prove(key.as_bytes(), Some(*height));
        assert!(matches!(
            pruned,
            Err(Error::Store(StoreError::Pruned { .. }))
        ));
    }
    for (height, value, app_hash) in &expected[kept..] {
        let (proven, _) = chain.app.prove(key.as_bytes(), Some(*height)).unwrap();
        assert_eq!(proven.value.as_ref(), Some(value));
        assert!(ics23::verify_membership::<ics23::HostFunctionsManager>(
            &proven.proof,
            &jmt::ics23_spec(),
            &app_hash.to_vec(),
            key.as_bytes(),
            value,
        ));
    }
}
