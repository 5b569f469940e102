//! Queries of `audits`.

use poq_proto::v1::{AuditCause, PendingAudit, QueryAuditsRequest, QueryAuditsResponse};
use poq_store::State;

use super::keys;
use super::schedule::{Scheduled, of_cause};
use crate::error::Result;
use crate::modules::tasks;
use crate::pagination::page_limit;

/// `poq.v1.Query/Audits`: in the order in which results are used.
pub fn query_audits(state: &State, request: QueryAuditsRequest) -> Result<QueryAuditsResponse> {
    let limit = page_limit(request.limit);
    let after = after(state, &request)?;
    let mut found = Vec::new();
    let before = |cause: &AuditCause| after.is_some_and(|after| after.cause != *cause);
    for cause in keys::CAUSES.into_iter().skip_while(before) {
        let after = after.filter(|after| after.cause == cause);
        found.extend(of_cause(
            state,
            cause,
            after,
            limit.saturating_sub(found.len()),
        )?);
    }
    let audit = |one: Scheduled| PendingAudit {
        task_id: one.task,
        due_height: one.due_height,
    };
    Ok(QueryAuditsResponse {
        audits: found.into_iter().map(audit).collect(),
    })
}

/// The audit that a page follows. The task's record names the queue in which the audit is or was.
fn after(state: &State, request: &QueryAuditsRequest) -> Result<Option<Scheduled>> {
    if request.after_task_id == 0 {
        return Ok(None);
    }
    let audit = tasks::get(state, request.after_task_id)?.audit;
    Ok(Some(Scheduled {
        cause: audit.map_or(AuditCause::Drawn, |audit| audit.cause()),
        due_height: request.after_height,
        task: request.after_task_id,
    }))
}
