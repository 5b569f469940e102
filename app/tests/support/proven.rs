//! Reads a chain's state as a client does.

use poq_app::{App, Error};
use poq_store::{ReadSet, State, StoreError};

/// Runs a reader on only the proven values of one height.
pub(crate) fn proven<T>(
    app: &App,
    height: u64,
    read: impl Fn(State) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut given = ReadSet::new(height);
    loop {
        match read(State::of(given.clone())) {
            Err(Error::Store(StoreError::NotInReadSet { key })) => {
                let (proven, _) = app.prove(&key, Some(height))?;
                given.insert(key, proven.value);
            }
            outcome => return outcome,
        }
    }
}
