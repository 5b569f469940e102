//! What it takes to do a duty, from the node; in tasks of their own, so that one slow answer keeps
//! nothing else waiting.

use poq_client::{Client, Result};
use poq_proto::v1::{Duty, Task};

use crate::duties::{Key, Step};

/// A duty and what the node says about it.
pub struct Fetched {
    /// The duty.
    pub key: Key,
    /// As it was listed.
    pub duty: Duty,
    /// `None` if the node lacks a part of it.
    pub texts: Result<Option<Texts>>,
}

/// What a duty is about.
pub struct Texts {
    /// What the user asked.
    pub prompt: String,
    /// What the inference node answered.
    pub answer: String,
    /// The operator's commitment, if the duty is to open it.
    pub committed: Option<[u8; 32]>,
}

/// Asks for all of it.
pub async fn fetch(client: Client, operator: String, key: Key, duty: Duty) -> Fetched {
    let texts = texts(&client, &operator, key).await;
    Fetched { key, duty, texts }
}

async fn texts(client: &Client, operator: &str, key: Key) -> Result<Option<Texts>> {
    let committed = match key.step {
        Step::Commit => None,
        Step::Reveal => match commitment(&client.task(key.seat.task).await?, operator) {
            None => return Ok(None),
            committed => committed,
        },
    };
    let payload = client.payload(key.seat.task).await?;
    Ok(payload.answer.map(|answer| Texts {
        prompt: payload.prompt,
        answer,
        committed,
    }))
}

/// The operator's commitment in the current committee.
fn commitment(task: &Task, operator: &str) -> Option<[u8; 32]> {
    let mut seats = task.committees.last()?.seats.iter();
    let seat = seats.find(|seat| seat.operator == operator)?;
    seat.commitment.as_slice().try_into().ok()
}
