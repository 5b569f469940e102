//! What a key and its group may still spend.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use serde_json::{Value, json};

use super::Api;
use super::failure::ApiError;
use crate::store::deposits::MEMO;
use crate::store::groups::{self, Group};
use crate::store::keys::{self, Key};
use crate::store::now;

const DAY: u64 = 86_400;

/// `GET /v1/balance`. Amounts are base units; days are the last 24 hours, months the last 30 days, as
/// the budgets of keys count them.
pub(super) async fn balance(
    State(api): State<Arc<Api>>,
    Extension(key): Extension<Arc<Key>>,
) -> Result<Json<Value>, ApiError> {
    let (spent_day, spent_month, group) = api.relay.store.read(|db| {
        let since = |days| keys::spent(db, key.id, now().saturating_sub(days * DAY));
        let group = key.group.map(|group| groups::get(db, group)).transpose()?;
        Ok((since(1)?, since(30)?, group))
    })?;
    let limits = &key.limits;
    Ok(Json(json!({
        "object": "poq.balance",
        "denom": api.relay.credits.account().denom,
        "group": group.map(|group| of_group(&api, &group)),
        "key": {
            "name": key.name,
            "held": api.usage.held(&key),
            "spent_day": spent_day,
            "spent_month": spent_month,
            "limits": {
                "requests_per_minute": limits.requests_per_minute,
                "streams": limits.streams,
                "max_price": limits.max_price,
                "budget_day": limits.budget_day,
                "budget_month": limits.budget_month,
                "models": key.models,
                "expires": key.expires,
            },
        },
    })))
}

fn of_group(api: &Api, group: &Group) -> Value {
    let credits = &api.relay.credits;
    let held = credits.held(group.id);
    json!({
        "name": group.name,
        "credit": group.credit,
        "held": held,
        "available": group.credit.saturating_sub(held),
        "deposit": {
            "address": &*credits.account().address,
            "memo": format!("{MEMO}{}", group.name),
        },
    })
}
