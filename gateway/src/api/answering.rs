//! The way of a request for an answer, whatever surface it comes by: parsed, checked, admitted, answered.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use metrics::histogram;
use poq_proto::v1::{Chat, ChatMessage};
use sha2::{Digest, Sha256};

use super::access::RequestId;
use super::failure::{ApiError, PROMPT};
use super::form::{Form, Head, receipt_id};
use super::request::{Demands, Fields, Manner};
use super::{Api, stream};
use crate::ask::{Ask, Misfit, Tier};
use crate::keys::{Spent, Ticket};
use crate::money::Ending;
use crate::relay::{Answer, Done, Given, Origin, Reader};
use crate::store::duplicates::Token;
use crate::store::keys::{self, Key};
use crate::store::orders::Asker;
use crate::store::{self, orders, receipts, sessions};

/// The header by which a client says that requests are the same.
const IDEMPOTENCY: &str = "idempotency-key";
/// The header in which OpenAI's clients count repetitions.
const REPETITION: &str = "x-stainless-retry-count";

/// One of the interfaces by which answers are asked for.
pub(super) trait Surface: 'static {
    /// Its path.
    const PATH: &'static str;
    /// The field that has the prompt.
    const PROMPT: &'static str;

    /// Takes its own fields out: all but the model and the chain's additions.
    ///
    /// # Errors
    /// [`ApiError`] for the first field with an invalid value.
    fn parse(fields: &mut Fields) -> Result<Asked, ApiError>;
}

/// What a surface reads from a request.
pub(super) struct Asked {
    /// The chat's messages.
    pub messages: Vec<ChatMessage>,
    /// How the answer is generated and sent.
    pub manner: Manner,
    /// Gives the answer its form.
    pub form: Box<dyn FnOnce(Head) -> Box<dyn Form> + Send>,
}

/// The handler of a surface.
pub(super) async fn serve<S: Surface>(
    State(api): State<Arc<Api>>,
    Extension(key): Extension<Arc<Key>>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let asker = Asker {
        key: key.id,
        group: key.group,
        request_id,
    };
    let start = Instant::now();
    match answer::<S>(&api, &key, asker, &headers, body, start).await {
        Ok(response) => response,
        Err(error) => error.prompt_in(S::PROMPT).into_response(),
    }
}

async fn answer<S: Surface>(
    api: &Arc<Api>,
    key: &Key,
    asker: Asker,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    start: Instant,
) -> Result<Response, ApiError> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let message = "the body is larger than 2 MiB";
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
        }
        _ => ApiError::new(
            StatusCode::BAD_REQUEST,
            "invalid_json",
            rejection.body_text(),
        ),
    })?;
    let mut fields = Fields::parse(&body)?;
    let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
    let demands = fields.demands()?.or_headers(header)?;
    let model = fields
        .text("model")?
        .ok_or_else(|| ApiError::invalid("model", "is missing"))?;
    let Asked {
        messages,
        manner,
        form,
    } = S::parse(&mut fields)?;
    fields.finish()?;
    let chat = Chat {
        model,
        messages,
        sampling: Some(manner.sampling),
        seed: manner.seed,
        stop: manner.stop,
        max_answer_bytes: manner.max_answer_bytes,
        min_quality: demands.min_quality.unwrap_or(0),
    };
    let may_return = !manner.is_stream || header(IDEMPOTENCY).is_some();
    let (token, is_repetition) = repetition(header, &body);
    let ask = Ask {
        tier: demands.tier.unwrap_or(Tier::Sampled),
        max_price: at_most(demands.max_price, key.limits.max_price),
        chat,
        is_stream: manner.is_stream,
        asker,
        token: Some(token),
        may_return,
    };
    let ceiling = check(api, key, &ask, &demands)?;
    let ticket = admit(api, key, ceiling)?;
    let reader = reader(api, ask.clone(), ceiling, is_repetition)?;
    let is_stream = ask.is_stream;
    respond((reader, ticket), is_stream, start, |origin| {
        form(Head::new(origin, ask.chat.model))
    })
    .await
}

/// Counts the request, if the key's limits allow it.
fn admit(api: &Api, key: &Key, ceiling: u64) -> Result<Ticket, ApiError> {
    let now = store::now();
    let since = |budget: Option<u64>, days: u64| match budget {
        Some(_) => {
            let start = now.saturating_sub(days * 86_400);
            api.relay.store.read(|db| keys::spent(db, key.id, start))
        }
        None => Ok(0),
    };
    let spent = Spent {
        day: since(key.limits.budget_day, 1)?,
        month: since(key.limits.budget_month, 30)?,
    };
    Ok(api.usage.admit(key, (ceiling, spent), now)?)
}

fn at_most(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Refuses what no session would take, before anything is stored. Returns the most that it may cost.
fn check(api: &Api, key: &Key, ask: &Ask, demands: &Demands) -> Result<u64, ApiError> {
    let id = &ask.chat.model;
    let snapshot = api.relay.catalog.get();
    let model = snapshot.model(id).ok_or_else(|| ApiError::no_model(id))?;
    if !key.may_use(id) {
        let message = format!("the API key may not use the model `{id}`");
        return Err(
            ApiError::new(StatusCode::FORBIDDEN, "model_not_allowed", message).param("model"),
        );
    }
    if let Some(fault) = ask.chat.fault() {
        let status = StatusCode::BAD_REQUEST;
        return Err(ApiError::new(status, "invalid_value", fault).param(PROMPT));
    }
    if demands.min_quality.unwrap_or(0) > model.quality_target {
        let reason = "is above the model's target, see GET /v1/models";
        return Err(ApiError::invalid("poq.min_quality", reason));
    }
    match ask.fitted(&model.terms(), &snapshot.rules(model)) {
        Ok((_, ordered)) => Ok(ordered.ceiling),
        // Nobody limited the price, so that the prompt is too long for any.
        Err(misfit @ Misfit::Price { .. }) if ask.max_price.is_none() => {
            let status = StatusCode::BAD_REQUEST;
            let error = ApiError::new(status, "context_length_exceeded", misfit.to_string());
            Err(error.param(PROMPT))
        }
        Err(misfit) => Err(misfit.into()),
    }
}

/// What a repetition is recognised by, and whether this may be one.
fn repetition(header: impl Fn(&str) -> Option<String>, body: &[u8]) -> (Token, bool) {
    let own = header(IDEMPOTENCY);
    let count = header(REPETITION).and_then(|count| count.parse::<u32>().ok());
    let digest = |kind: &str, content: &[u8]| -> [u8; 32] {
        Sha256::new()
            .chain_update(kind)
            .chain_update(content)
            .finalize()
            .into()
    };
    let token = Token {
        digest: match &own {
            Some(key) => digest("key:", key.as_bytes()),
            None => digest("body:", body),
        },
        body: digest("body:", body),
    };
    (token, own.is_some() || count.unwrap_or(0) > 0)
}

/// The answer to a request: new, in progress, or as it was given before.
fn reader(api: &Arc<Api>, ask: Ask, ceiling: u64, is_repetition: bool) -> Result<Reader, ApiError> {
    match api.relay.give(ask.clone(), ceiling, is_repetition)? {
        Given::Answer(reader) => Ok(reader),
        Given::OtherBody => {
            let reason = "was used for another body; use a new one";
            Err(ApiError::invalid("Idempotency-Key", reason))
        }
        Given::Earlier(order) => {
            if let Some(answer) = replayed(api, order)? {
                return Ok(answer.reader());
            }
            // It failed and cost nothing, so this is a new request.
            match api.relay.give(ask, ceiling, false)? {
                Given::Answer(reader) => Ok(reader),
                Given::Earlier(_) | Given::OtherBody => Err(crate::relay::Failure::Internal.into()),
            }
        }
    }
}

/// An answer from the store, if it was charged.
pub(super) fn replayed(api: &Api, order: (u64, u64)) -> Result<Option<Arc<Answer>>, store::Error> {
    let (session, number) = order;
    let found = api.relay.store.read(|db| {
        Ok((
            receipts::find(db, session, number)?,
            orders::text(db, session, number)?,
            sessions::find(db, session)?,
        ))
    })?;
    let (Some(receipt), Some(text), Some(stored)) = found else {
        return Ok(None);
    };
    if receipt.charged == 0 {
        return Ok(None);
    }
    let done = Done {
        origin: Origin {
            order,
            operator: stored.record.node.unwrap_or_default().operator,
        },
        ending: Ending {
            leaf: receipt.leaf,
            signature: receipt.signature,
        },
        charged: receipt.charged,
    };
    Ok(Some(Answer::ended(text, done)))
}

async fn respond(
    (mut reader, ticket): (Reader, Ticket),
    is_stream: bool,
    start: Instant,
    form: impl FnOnce(&Origin) -> Box<dyn Form> + Send,
) -> Result<Response, ApiError> {
    let origin = reader.origin().await?;
    if is_stream {
        let response = stream::respond(reader, form(&origin), Some(ticket));
        histogram!("poq_gateway_accept_seconds").record(start.elapsed());
        return Ok(with_origin(response, &origin));
    }
    let (text, done) = reader.whole().await?;
    let body = form(&done.origin).whole(&text, &done);
    Ok(with_origin(Json(body).into_response(), &done.origin))
}

/// Names receipt and node in the headers.
pub(super) fn with_origin(mut response: Response, origin: &Origin) -> Response {
    let headers = response.headers_mut();
    let values = [
        ("x-poq-receipt", receipt_id(origin.order)),
        ("x-poq-node", origin.operator.clone()),
    ];
    for (name, value) in values {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}
