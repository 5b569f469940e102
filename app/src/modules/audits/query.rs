use poq_proto::v1::{PendingAudit, QueryAuditsRequest, QueryAuditsResponse};

use super::keys;
use crate::error::Result;
use crate::modules::tasks;
use crate::pagination::page_limit;
use crate::store::State;

/// `poq.v1.Query/Audits`.
pub fn query_audits(state: &State, request: QueryAuditsRequest) -> Result<QueryAuditsResponse> {
    let after = keys::due(request.after_height, request.after_task_id);
    let page = state.scan(keys::DUE, Some(after.as_bytes()), page_limit(request.limit))?;
    let audits = page.into_iter().map(|(key, _)| {
        let (due_height, task_id) = tasks::parse_queued(keys::DUE, &key)?;
        Ok(PendingAudit {
            task_id,
            due_height,
        })
    });
    Ok(QueryAuditsResponse {
        audits: audits.collect::<Result<_>>()?,
    })
}
