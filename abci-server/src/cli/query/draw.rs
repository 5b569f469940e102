//! `poqd query poq draw`: repeats and verifies the draws of a task.

use anyhow::{Context, bail, ensure};
use poq_app::modules::nodes;
use poq_app::modules::tasks::replay::{self, Drawn, Pool};
use poq_app::selection::DRAW_DOMAIN;
use poq_client::Client;
use poq_proto::v1::{QueryTaskRequest, QueryTaskResponse, Role, Task};
use poq_store::{ReadSet, State, StoreError};
use serde::Serialize;

use super::Node;
use super::block::app_hash;
use crate::cli::output::count;
use crate::cli::role::WorkerRole;

/// Flags of `query poq draw`.
#[derive(Debug, clap::Args)]
pub(super) struct Draw {
    /// Id of the task.
    id: u64,
    /// Show only the draws of this role.
    #[arg(long)]
    role: Option<WorkerRole>,
    /// Show only this draw of the role, counted from 0.
    #[arg(long, requires = "role")]
    attempt: Option<u32>,
    /// Verify the proof of every value that a draw reads against the headers that follow. Fail unless the
    /// same nodes are drawn.
    #[arg(long)]
    verify: bool,
}

/// The output of the command.
#[derive(Serialize)]
struct Draws {
    task_id: u64,
    draws: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    role: &'static str,
    attempt: u32,
    height: u64,
    /// Beacon of the state at the height, hex.
    beacon: String,
    /// Seed of the random numbers, as a formula.
    stream: String,
    pools: Vec<ShownPool>,
    /// Nodes in the task's record.
    recorded: Vec<ShownNode>,
    /// Nodes of the repeated draw.
    repeated: Vec<ShownNode>,
    matches: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<Proof>,
}

#[derive(Serialize)]
struct ShownPool {
    model: String,
    total_weight: String,
    candidates: Vec<ShownCandidate>,
}

#[derive(Serialize)]
struct ShownCandidate {
    operator: String,
    weight: String,
    excluded: bool,
}

#[derive(Serialize)]
struct ShownNode {
    operator: String,
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<String>,
}

/// The states against which the values were checked.
#[derive(Serialize)]
struct Proof {
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

impl Draw {
    pub(super) async fn run(self, node: &Node) -> anyhow::Result<()> {
        let task = record(node, self.id).await?;
        let mut draws = Vec::new();
        for (role, attempt) in self.wanted(&task)? {
            draws.push(self.repeat(&node.client, &task, role, attempt).await?);
        }
        let wrong: Vec<String> = draws
            .iter()
            .filter(|draw| !draw.matches)
            .map(|draw| format!("{} {}", draw.role, draw.attempt))
            .collect();
        node.print(&Draws {
            task_id: self.id,
            draws,
        })?;
        ensure!(
            wrong.is_empty() || !self.verify,
            "the record of task {} differs from the draw by the beacon: {}; the node or the chain lies",
            self.id,
            wrong.join(", ")
        );
        Ok(())
    }

    /// Roles and attempts to show.
    fn wanted(&self, task: &Task) -> anyhow::Result<Vec<(Role, u32)>> {
        let role = self.role.map(Role::from);
        if let (Some(role), Some(attempt)) = (role, self.attempt) {
            return Ok(vec![(role, attempt)]);
        }
        let count = |role| match role {
            Role::Inference => task.assignments.len(),
            _ => task.committees.len(),
        };
        let all: Vec<(Role, u32)> = [Role::Inference, Role::Evaluator]
            .into_iter()
            .filter(|one| role.is_none_or(|role| role == *one))
            .flat_map(|role| (0..).take(count(role)).map(move |attempt| (role, attempt)))
            .collect();
        if all.is_empty() {
            // The error says why: no draw yet, or a compact record.
            replay::draw_height(task, role.unwrap_or(Role::Inference), 0)?;
        }
        Ok(all)
    }

    async fn repeat(
        &self,
        client: &Client,
        task: &Task,
        role: Role,
        attempt: u32,
    ) -> anyhow::Result<Shown> {
        let height = replay::draw_height(task, role, attempt)?;
        let mut before = Values::at(client, height - 1, self.verify).await?;
        let mut after = Values::at(client, height, self.verify).await?;
        let repeated = async {
            let record = after
                .complete(|state| replay::record(&state, self.id, role, attempt))
                .await?;
            before
                .complete(|mut state| replay::replay(&mut state, record.clone()))
                .await
        };
        let replay = repeated.await.with_context(|| {
            let role = nodes::name(role);
            format!(
                "cannot repeat {role} draw {attempt} of task {} at height {height}",
                self.id
            )
        })?;
        let matches = replay.is_right();
        let proof = self.verify.then(|| Proof {
            values: count(before.given.len() + after.given.len()),
            states: [&before, &after].map(Values::proven),
        });
        Ok(Shown {
            role: nodes::name(role),
            attempt,
            height,
            beacon: hex::encode(replay.record.beacon),
            stream: format!(
                "SHA-256(\"{DRAW_DOMAIN}\", beacon, task {}, role {}, attempt {attempt})",
                self.id, role as i32
            ),
            matches,
            pools: replay.pools.into_iter().map(ShownPool::from).collect(),
            recorded: replay
                .record
                .recorded
                .into_iter()
                .map(ShownNode::from)
                .collect(),
            repeated: replay.repeated.into_iter().map(ShownNode::from).collect(),
            proof,
        })
    }
}

/// The task's record at `--height`, or the newest.
async fn record(node: &Node, id: u64) -> anyhow::Result<Task> {
    let request = QueryTaskRequest { id };
    let answer = node
        .client
        .query::<_, QueryTaskResponse>("/poq.v1.Query/Task", &request, node.height)
        .await?;
    answer.value.task.context("the node's answer has no task")
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
        read: impl Fn(State) -> poq_app::Result<T>,
    ) -> anyhow::Result<T> {
        loop {
            let key = match read(State::of(self.given.clone())) {
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

impl From<Pool> for ShownPool {
    fn from(pool: Pool) -> Self {
        Self {
            model: pool.model,
            total_weight: pool.total_weight.to_string(),
            candidates: pool
                .candidates
                .into_iter()
                .map(|candidate| ShownCandidate {
                    operator: candidate.operator,
                    weight: candidate.weight.to_string(),
                    excluded: candidate.excluded,
                })
                .collect(),
        }
    }
}

impl From<Drawn> for ShownNode {
    fn from(drawn: Drawn) -> Self {
        Self {
            operator: drawn.operator,
            model: drawn.model,
            weight: (drawn.weight > 0).then(|| drawn.weight.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::{Assignment, Committee};

    use super::*;

    fn task() -> Task {
        Task {
            id: 7,
            assignments: vec![Assignment::default(); 2],
            committees: vec![Committee::default()],
            ..Task::default()
        }
    }

    fn draw(role: Option<WorkerRole>, attempt: Option<u32>) -> Draw {
        Draw {
            id: 7,
            role,
            attempt,
            verify: false,
        }
    }

    #[test]
    fn all_draws_unless_one_is_named() {
        let (inference, evaluator) = (Role::Inference, Role::Evaluator);
        let wanted = |role, attempt| draw(role, attempt).wanted(&task()).unwrap();
        let all = [(inference, 0), (inference, 1), (evaluator, 0)];
        assert_eq!(wanted(None, None), all);
        assert_eq!(wanted(Some(WorkerRole::Inference), None), all[..2]);
        assert_eq!(
            wanted(Some(WorkerRole::Evaluator), Some(3)),
            [(evaluator, 3)]
        );
    }

    #[test]
    fn a_task_without_draws_says_why() {
        let reason = |task: &Task| draw(None, None).wanted(task).unwrap_err().to_string();
        assert!(reason(&Task::default()).contains("had no draw"));
        let compact = Task {
            record_sha256: vec![1; 32],
            ..Task::default()
        };
        assert!(reason(&compact).contains("compact"));
    }
}
