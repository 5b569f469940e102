use std::fs;

use crate::StoreError;

use super::*;

fn refusal(folder: &TempDir) -> StoreError {
    match Store::open(folder.path(), 0) {
        Ok(_) => panic!("the database opened"),
        Err(error) => error,
    }
}

fn with_one_block() -> TempDir {
    let folder = folder();
    commit(&open(&folder, 0), |state| {
        state.put("key", "1").expect("a put")
    });
    folder
}

#[test]
fn a_second_process_is_refused() {
    let folder = folder();
    let _first = open(&folder, 0);
    let error = refusal(&folder);
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
}

#[test]
fn a_clone_shares_the_database() {
    let folder = folder();
    let store = open(&folder, 0);
    let head = commit(&store.clone(), |state| {
        state.put("key", "1").expect("a put")
    });
    assert_eq!(store.head(), head);
}

#[test]
fn another_format_is_refused() {
    let folder = with_one_block();
    {
        let store = open(&folder, 0);
        let meta = store.storage().db.family(db::META).expect("a family");
        store
            .storage()
            .db
            .rocks()
            .put_cf(meta, "format", 9_u32.to_be_bytes())
            .expect("a put");
    }
    let error = refusal(&folder);
    assert!(
        matches!(&error, StoreError::Format { found, .. } if found == "9"),
        "{error}"
    );
}

#[test]
fn a_foreign_database_is_refused() {
    let folder = folder();
    {
        let mut foreign = rocksdb::DB::open_default(folder.path()).expect("a database");
        foreign
            .create_cf("blocks", &rocksdb::Options::default())
            .expect("a family");
    }
    let error = refusal(&folder);
    assert!(matches!(error, StoreError::Format { .. }), "{error}");
}

#[test]
fn damaged_files_are_named_as_such() {
    for damage in ["MANIFEST", "CURRENT"] {
        let folder = with_one_block();
        for entry in fs::read_dir(folder.path()).expect("the folder") {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            if name.starts_with(damage) {
                fs::write(path, "nonsense").expect("a write");
            }
        }
        let error = refusal(&folder);
        assert!(
            matches!(error, StoreError::Damaged { .. }),
            "{damage}: {error}"
        );
    }
}

#[test]
fn a_missing_table_is_a_damage() {
    let folder = with_one_block();
    {
        // Reopening writes the log into tables.
        open(&folder, 0);
    }
    let tables: Vec<_> = fs::read_dir(folder.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "sst"))
        .collect();
    assert!(!tables.is_empty());
    tables
        .iter()
        .for_each(|table| fs::remove_file(table).expect("a removal"));
    let error = refusal(&folder);
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[test]
fn a_path_that_is_a_file_is_refused() {
    let folder = folder();
    let path = folder.path().join("file");
    fs::write(&path, "").expect("a write");
    let error = Store::open(&path, 0).err().expect("a refusal");
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
}
