use crate::{Result, StoreError};

use super::*;

fn state() -> (TempDir, State) {
    let folder = folder();
    let store = open(&folder, 0);
    commit(&store, |state| {
        state.put("a/1", "base").expect("a put");
        state.put("a/2", "base").expect("a put");
    });
    let state = State::new(store.snapshot());
    (folder, state)
}

#[test]
fn only_keys_can_be_written_but_anything_can_be_asked() -> Result<()> {
    let (_folder, mut state) = state();
    for bad in ["", "a b", "a/1\0", "ü"] {
        assert!(
            matches!(state.put(bad, "1"), Err(StoreError::InvalidKey { .. })),
            "{bad:?}"
        );
        assert!(state.delete(bad).is_err() && state.put_payload(bad, "1").is_err());
        assert_eq!((state.get(bad)?, state.payload(bad)?), (None, None));
        assert!(!state.contains(bad)?);
    }
    assert!(matches!(
        state.put("k", ""),
        Err(StoreError::EmptyValue { .. })
    ));
    assert_eq!(state.scan("a/1\0", None, 9)?, []);
    assert!(state.into_writes()?.is_empty());
    Ok(())
}

#[test]
fn marks_and_payloads() -> Result<()> {
    let (_folder, mut state) = state();
    state.mark("index/1")?;
    assert!(state.contains("index/1")? && !state.contains("index/2")?);
    state.put_payload("p", "")?;
    assert_eq!(state.payload("p")?, Some(Vec::new()));
    state.delete_payload("p")?;
    assert_eq!(state.payload("p")?, None);
    Ok(())
}

#[test]
fn typed_values() -> Result<()> {
    let (_folder, mut state) = state();
    state.put_u64("n", u64::MAX)?;
    state.put_u128("m", u128::MAX)?;
    assert_eq!(
        (state.get_u64("n")?, state.get_u128("m")?),
        (Some(u64::MAX), Some(u128::MAX))
    );
    assert_eq!(state.get("n")?, Some(vec![255; 8]));
    assert_eq!(state.get_u64("none")?, None);

    // A `String` is the message `google.protobuf.StringValue`.
    state.put_message("s/1", &"hello".to_string())?;
    assert_eq!(
        state.get_message::<String>("s/1")?.as_deref(),
        Some("hello")
    );
    let scanned = state.scan_messages::<String>("s/", None, 9)?;
    assert_eq!(scanned, [(b"s/1".to_vec(), "hello".to_string())]);

    let message = |error: StoreError| error.to_string();
    let error = state.get_u128("n").map_err(message).expect_err("8 bytes");
    assert!(error.contains("\"n\": 8 bytes instead of 16"), "{error}");
    let error = state
        .get_message::<String>("n")
        .map_err(message)
        .expect_err("not a message");
    assert!(error.contains("\"n\""), "{error}");
    Ok(())
}

#[test]
fn layers_must_balance() -> Result<()> {
    let (_folder, mut state) = state();
    assert!(matches!(state.commit(), Err(StoreError::Layer(_))));
    assert!(matches!(state.rollback(), Err(StoreError::Layer(_))));
    state.begin();
    assert!(matches!(state.into_writes(), Err(StoreError::Layer(_))));
    Ok(())
}

#[test]
fn a_step_that_leaves_layers_open_decides_on_them_too() -> Result<()> {
    let (_folder, mut state) = state();
    let step = |keep: bool| {
        move |state: &mut State| -> Result<()> {
            state.put("a/1", "step")?;
            state.begin();
            state.delete("a/2")?;
            if keep { Ok(()) } else { state.put("", "fails") }
        }
    };
    assert!(state.nested(step(false)).is_err());
    assert_eq!(state.scan("a/", None, 9)?.len(), 2);
    assert_eq!(state.get("a/1")?.as_deref(), Some(&b"base"[..]));
    state.nested(step(true))?;
    assert_eq!(
        state.scan("a/", None, 9)?,
        [(b"a/1".to_vec(), b"step".to_vec())]
    );
    state.into_writes().map(|_| ())
}
