//! `poqd query poq draw`: repeats and verifies the draws of a task, or that of a session's node.

use anyhow::{Context, bail, ensure};
use poq_app::modules::nodes;
use poq_app::modules::sessions::replay as session_replay;
use poq_app::modules::tasks::replay::{self, Drawn, Pool};
use poq_app::selection::{DRAW_DOMAIN, SESSION_DOMAIN};
use poq_client::Client;
use poq_proto::v1::{QuerySessionRequest, QuerySessionResponse, Role, Session, Task};
use serde::Serialize;

use super::states::{Proof, States};
use super::{Node, task};
use crate::cli::role::WorkerRole;

/// Flags of `query poq draw`.
#[derive(Debug, clap::Args)]
pub(super) struct Draw {
    /// Id of the task.
    #[arg(required_unless_present = "session", conflicts_with = "session")]
    id: Option<u64>,
    /// Show the draw of this session's node.
    #[arg(long, value_name = "ID", conflicts_with_all = ["role", "attempt"])]
    session: Option<u64>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<u64>,
    draws: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    role: &'static str,
    /// Absent for the only draw of a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    height: u64,
    /// Beacon of the state at the height, hex.
    beacon: String,
    /// Seed of the random numbers, as a formula.
    stream: String,
    pools: Vec<ShownPool>,
    /// Nodes in the record of the task or session.
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

impl Draw {
    pub(super) async fn run(self, node: &Node) -> anyhow::Result<()> {
        let (draws, of) = match (self.id, self.session) {
            (_, Some(id)) => (self.of_session(node, id).await?, format!("session {id}")),
            (Some(id), None) => (self.of_task(node, id).await?, format!("task {id}")),
            (None, None) => bail!("there is neither a task nor a session"),
        };
        let wrong: Vec<String> = draws
            .iter()
            .filter(|draw| !draw.matches)
            .map(Shown::name)
            .collect();
        node.print(&Draws {
            task_id: self.id,
            session_id: self.session,
            draws,
        })?;
        ensure!(
            wrong.is_empty() || !self.verify,
            "the record of {of} differs from the draw by the beacon: {}; the node or the chain lies",
            wrong.join(", ")
        );
        Ok(())
    }

    async fn of_task(&self, node: &Node, id: u64) -> anyhow::Result<Vec<Shown>> {
        let task = task::read(node, id).await?;
        let mut draws = Vec::new();
        for (role, attempt) in self.wanted(&task)? {
            draws.push(self.repeat(&node.client, &task, role, attempt).await?);
        }
        Ok(draws)
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
        let (id, name) = (task.id, nodes::name(role));
        let height = replay::draw_height(task, role, attempt)?;
        let states = States::of_draw(client, height, self.verify).await?;
        let repeated = states.repeat(
            |state| replay::record(state, id, role, attempt),
            replay::replay,
        );
        let (replay, proof) = repeated.await.with_context(|| {
            format!("cannot repeat {name} draw {attempt} of task {id} at height {height}")
        })?;
        Ok(Shown {
            role: name,
            attempt: Some(attempt),
            height,
            beacon: hex::encode(replay.record.beacon),
            stream: format!(
                "SHA-256(\"{DRAW_DOMAIN}\", beacon, task {id}, role {}, attempt {attempt})",
                role as i32
            ),
            matches: replay.is_right(),
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

    /// The only draw of a session.
    async fn of_session(&self, node: &Node, id: u64) -> anyhow::Result<Vec<Shown>> {
        let height = session_replay::draw_height(&session(node, id).await?)?;
        let states = States::of_draw(&node.client, height, self.verify).await?;
        let repeated = states.repeat(
            |state| session_replay::record(state, id),
            session_replay::replay,
        );
        let (replay, proof) = repeated
            .await
            .with_context(|| format!("cannot repeat the draw of session {id} at height {height}"))?;
        Ok(vec![Shown::of_session(replay, proof)])
    }
}

impl Shown {
    fn of_session(replay: session_replay::Replay, proof: Option<Proof>) -> Self {
        let matches = replay.is_right();
        let session_replay::Replay {
            record,
            pool,
            repeated,
        } = replay;
        let drawn = |operator| ShownNode {
            operator,
            model: pool.model.clone(),
            weight: None,
        };
        Self {
            role: nodes::name(Role::Inference),
            attempt: None,
            height: record.height,
            beacon: hex::encode(record.beacon),
            stream: format!(
                "SHA-256(\"{SESSION_DOMAIN}\", beacon, session {})",
                record.session
            ),
            matches,
            recorded: vec![drawn(record.recorded)],
            repeated: repeated.into_iter().map(drawn).collect(),
            pools: vec![pool.into()],
            proof,
        }
    }

    /// The role, and which of its draws.
    fn name(&self) -> String {
        match self.attempt {
            Some(attempt) => format!("{} {attempt}", self.role),
            None => self.role.to_owned(),
        }
    }
}

/// The session's record at `--height`, or the newest.
async fn session(node: &Node, id: u64) -> anyhow::Result<Session> {
    let answer: QuerySessionResponse = node
        .read("/poq.v1.Query/Session", &QuerySessionRequest { id })
        .await?;
    answer.session.context("the node's answer has no session")
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
            id: Some(7),
            session: None,
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

    #[test]
    fn the_draw_of_a_session_is_shown_with_its_candidates() {
        let candidate = |operator: &str, excluded| replay::Candidate {
            operator: operator.into(),
            weight: 5,
            excluded,
        };
        let replay = session_replay::Replay {
            record: session_replay::Record {
                session: 3,
                height: 9,
                beacon: [7; 32],
                recorded_beacon: vec![7; 32],
                recorded: "n1".into(),
                excluded: vec!["n0".into()],
            },
            pool: Pool {
                model: "llm".into(),
                total_weight: 10,
                candidates: vec![candidate("n0", true), candidate("n1", false)],
            },
            repeated: Some("n1".into()),
        };
        let other = session_replay::Replay {
            repeated: None,
            ..replay.clone()
        };
        let shown = serde_json::to_value(Shown::of_session(replay, None)).unwrap();
        assert_eq!(shown["matches"], true);
        assert_eq!(shown["recorded"], shown["repeated"]);
        assert_eq!(
            shown["stream"],
            "SHA-256(\"poq/session/v1\", beacon, session 3)"
        );
        assert_eq!(shown["pools"][0]["candidates"][0]["excluded"], true);
        assert_eq!((shown.get("attempt"), shown.get("proof")), (None, None));
        let other = Shown::of_session(other, None);
        assert!(!other.matches && other.repeated.is_empty());
        assert_eq!(other.name(), "inference");
    }
}
