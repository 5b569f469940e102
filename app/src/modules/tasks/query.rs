//! Queries of `tasks`.

use poq_proto::code;
use poq_proto::v1::{
    Duty, QueryDutiesRequest, QueryDutiesResponse, QueryPayloadRequest, QueryPayloadResponse,
    QueryTaskRequest, QueryTaskResponse, QueryTasksRequest, QueryTasksResponse, Role, Task,
};
use poq_store::State;

use super::{committee_attempt, get, keys};
use crate::error::{Error, Result, reject};
use crate::modules::nodes::query::check_role;
use crate::pagination::{ids_under, page_limit};

/// `poq.v1.Query/Task`.
pub fn query_task(state: &State, request: QueryTaskRequest) -> Result<QueryTaskResponse> {
    Ok(QueryTaskResponse {
        task: Some(get(state, request.id)?),
    })
}

/// `poq.v1.Query/Tasks`.
pub fn query_tasks(state: &State, request: QueryTasksRequest) -> Result<QueryTasksResponse> {
    let limit = page_limit(request.limit);
    let tasks = if request.user.is_empty() {
        let after = keys::task(request.after);
        let page = state.scan_messages(keys::TASKS, Some(after.as_bytes()), limit)?;
        page.into_iter().map(|(_, task)| task).collect()
    } else {
        let prefix = keys::tasks_of(&request.user);
        tasks_under(state, &prefix, request.after, limit)?
    };
    Ok(QueryTasksResponse { tasks })
}

/// `poq.v1.Query/Payload`.
pub fn query_payload(state: &State, request: QueryPayloadRequest) -> Result<QueryPayloadResponse> {
    let id = request.task_id;
    get(state, id)?;
    let Some(prompt) = state.payload(keys::prompt(id))? else {
        reject!(
            code::NOT_FOUND,
            "task {id} is over; its prompt and answer are in the transactions that carried them"
        );
    };
    let answer = state.payload(keys::answer(id))?;
    Ok(QueryPayloadResponse {
        prompt: text(prompt)?,
        answer: answer.map(text).transpose()?,
    })
}

/// `poq.v1.Query/Duties`.
pub fn query_duties(state: &State, request: QueryDutiesRequest) -> Result<QueryDutiesResponse> {
    let role = request.role();
    check_role(role)?;
    let prefix = keys::duties(role, &request.operator);
    let tasks = tasks_under(state, &prefix, request.after, page_limit(request.limit))?;
    let duties = tasks
        .iter()
        .map(|task| duty(role, &request.operator, task))
        .collect();
    Ok(QueryDutiesResponse { duties })
}

fn duty(role: Role, operator: &str, task: &Task) -> Duty {
    let inference = role == Role::Inference;
    let seat = task.committees.last().and_then(|committee| {
        committee
            .seats
            .iter()
            .find(|seat| seat.operator == operator)
    });
    Duty {
        task_id: task.id,
        phase: task.status,
        attempt: if inference {
            u32::try_from(task.assignments.len().saturating_sub(1)).unwrap_or(u32::MAX)
        } else {
            committee_attempt(task)
        },
        due_height: task.due_height,
        model: if inference {
            task.model.clone()
        } else {
            String::new()
        },
        evaluator_model: seat.map_or_else(String::new, |seat| seat.evaluator_model.clone()),
    }
}

/// The tasks whose ids follow the prefix.
fn tasks_under(state: &State, prefix: &str, after: u64, limit: usize) -> Result<Vec<Task>> {
    let ids = ids_under(state, prefix, after, limit)?;
    ids.into_iter().map(|id| get(state, id)).collect()
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::broken("a stored payload is not UTF-8"))
}
