//! The growth of the database per finished task. It prints a table: `cargo test -p poq-app --test
//! state_growth -- --ignored --nocapture`

mod support;

use std::collections::BTreeMap;

use poq_app::Options;
use poq_proto::v1::{Params, TaskStatus};
use rocksdb::{DB, IteratorMode};
use support::Chain;

const TASKS: u64 = 100;
/// Enough for every task to end before the first becomes compact.
const RETENTION: u64 = 1_000;
const KEPT: u64 = 10;
const FAMILIES: [&str; 7] = [
    "tree",
    "current",
    "values",
    "preimages",
    "payloads",
    "stale",
    "meta",
];

/// Bytes of keys and values of each column family.
type Sizes = BTreeMap<&'static str, u64>;

fn sizes(chain: &Chain) -> Sizes {
    let options = rocksdb::Options::default();
    let db = DB::open_cf_for_read_only(&options, chain.folder.path(), FAMILIES, false).unwrap();
    FAMILIES
        .into_iter()
        .map(|family| {
            let handle = db.cf_handle(family).unwrap();
            let bytes = db
                .iterator_cf(handle, IteratorMode::Start)
                .map(|row| row.unwrap())
                .map(|(key, value)| (key.len() + value.len()) as u64)
                .sum();
            (family, bytes)
        })
        .collect()
}

fn chain(keep_versions: u64) -> Chain {
    let params = Params {
        task_retention: RETENTION,
        ..support::params()
    };
    let mut chain = Chain::with_options(params, Options { keep_versions }, 2, 8);
    chain.blocks(2 * KEPT);
    chain
}

/// Undisturbed tasks, one after the other, each with a committee of five.
fn finish_tasks(chain: &mut Chain) {
    for _ in 0..TASKS {
        let id = chain.submit();
        chain.answer(id, "Paris.");
        chain.commit(id, 4_000_000, &[]);
        chain.reveal(id, 4_000_000, &[]);
        chain.blocks(2);
        assert_eq!(chain.task(id).status(), TaskStatus::Final);
    }
}

fn print_row(name: &str, columns: [u64; 3]) {
    let [archive, full, compact] = columns;
    println!("| {name} | {archive} | {full} | {compact} |");
}

#[test]
#[ignore = "prints a measurement"]
fn growth_per_task() {
    let mut archive = chain(0);
    let before = sizes(&archive);
    finish_tasks(&mut archive);
    let archived = growth(&before, &sizes(&archive));

    let mut pruned = chain(KEPT);
    let before = sizes(&pruned);
    finish_tasks(&mut pruned);
    pruned.blocks(2 * KEPT);
    let full = growth(&before, &sizes(&pruned));
    pruned.blocks(RETENTION);
    assert!(
        pruned
            .tasks()
            .iter()
            .all(|task| !task.record_sha256.is_empty())
    );
    pruned.blocks(2 * KEPT);
    let compact = growth(&before, &sizes(&pruned));

    println!("| bytes per task in | all versions | kept versions, full | kept versions, compact |");
    println!("| --- | --- | --- | --- |");
    for family in FAMILIES {
        print_row(
            &format!("`{family}`"),
            [archived[family], full[family], compact[family]],
        );
    }
    print_row(
        "all",
        [&archived, &full, &compact].map(|all| all.values().sum()),
    );
    // The records themselves become at least three times smaller.
    assert!(compact["current"] * 3 < full["current"]);
    assert!(compact.values().sum::<u64>() < full.values().sum());
    assert!(full.values().sum::<u64>() < archived.values().sum());
}

fn growth(before: &Sizes, after: &Sizes) -> Sizes {
    after
        .iter()
        .map(|(family, bytes)| (*family, bytes.saturating_sub(before[family]) / TASKS))
        .collect()
}
