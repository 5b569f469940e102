//! The two states of a draw, of which only the values that the application's code reads are fetched,
//! each with its proof if that is wanted.

use anyhow::bail;
use poq_client::Client;
use poq_store::{ReadSet, State, StoreError};
use serde::Serialize;

use super::block::app_hash;
use crate::cli::output::count;

/// The states against which the values were checked.
#[derive(Serialize)]
pub(super) struct Proof {
    /// Number of proven values, which are all values that the draw reads.
    values: u32,
    /// The state before the draw, from which nodes were drawn, and the state of its height, which has the
    /// beacon and the record.
    states: [ProvenState; 2],
}

#[derive(Serialize)]
struct ProvenState {
    height: u64,
    /// Hash of the state, hex.
    app_hash: String,
    /// Height of the header that has it.
    header_height: u64,
}

/// The state before a draw and the state of its height.
pub(super) struct States<'c> {
    before: Values<'c>,
    after: Values<'c>,
    verify: bool,
}

impl<'c> States<'c> {
    /// The states of the draw at a height. With `verify` every value is checked against the headers.
    pub(super) async fn of_draw(
        client: &'c Client,
        height: u64,
        verify: bool,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            before: Values::at(client, height - 1, verify).await?,
            after: Values::at(client, height, verify).await?,
            verify,
        })
    }

    /// Reads the record of the draw, and repeats the draw by it.
    pub(super) async fn repeat<R: Clone, T>(
        mut self,
        record: impl Fn(&mut State) -> poq_app::Result<R>,
        replay: impl Fn(&mut State, R) -> poq_app::Result<T>,
    ) -> anyhow::Result<(T, Option<Proof>)> {
        let record = self.after.complete(record).await?;
        let repeat = |before: &mut State| replay(before, record.clone());
        let replay = self.before.complete(repeat).await?;
        let proof = self.verify.then(|| Proof {
            values: count(self.before.given.len() + self.after.given.len()),
            states: [&self.before, &self.after].map(Values::proven),
        });
        Ok((replay, proof))
    }
}

/// Values of one height, fetched on demand of the application's code.
struct Values<'c> {
    client: &'c Client,
    height: u64,
    given: ReadSet,
    /// App hash against which every value must be proven.
    trusted: Option<Vec<u8>>,
}

impl<'c> Values<'c> {
    async fn at(client: &'c Client, height: u64, verify: bool) -> anyhow::Result<Self> {
        let trusted = match verify {
            true => Some(app_hash(client, height).await?),
            false => None,
        };
        Ok(Self {
            client,
            height,
            given: ReadSet::new(height),
            trusted,
        })
    }

    /// Runs `read` again until all values that it reads are fetched.
    async fn complete<T>(
        &mut self,
        read: impl Fn(&mut State) -> poq_app::Result<T>,
    ) -> anyhow::Result<T> {
        loop {
            let key = match read(&mut State::of(self.given.clone())) {
                Err(poq_app::Error::Store(StoreError::NotInReadSet { key })) => key,
                outcome => return Ok(outcome?),
            };
            let proven = self.client.proven(&key, Some(self.height)).await?;
            if let Some(hash) = &self.trusted
                && let Err(error) = proven.verify(hash)
            {
                bail!("{} is not proven: {error}", key.escape_ascii());
            }
            self.given.insert(key, proven.value);
        }
    }

    fn proven(&self) -> ProvenState {
        ProvenState {
            height: self.height,
            app_hash: hex::encode_upper(self.trusted.as_deref().unwrap_or_default()),
            header_height: self.height + 1,
        }
    }
}
