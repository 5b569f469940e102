//! Scores over HTTP, with the interface of text-embeddings-inference.

mod failure;
mod tei;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use metrics::{counter, gauge, histogram};
use poq_proto::v1::{EvaluatorKind, EvaluatorModel};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::compute::{Job, Outcome};
use failure::{ErrorType, Failure};
use tei::{
    Info, InfoQuery, PredictInput, PredictRequest, PredictResponse, Prediction, Rank,
    RerankRequest, Settings,
};

pub(crate) use tei::Limits;

/// Most bytes of a text per token that the model reads in all windows; longer texts only cost time,
/// even if they are cut off.
const BYTES_PER_TOKEN: usize = 250;

/// Shared state of the handlers.
struct Server {
    jobs: mpsc::Sender<Job>,
    limits: Limits,
    /// In the compute thread's order.
    models: Vec<ServedModel>,
}

struct ServedModel {
    id: String,
    /// Most bytes of one text.
    longest_text: usize,
    /// Whether its scores are logits; others are returned unchanged.
    has_logits: bool,
    info: Info,
}

/// The server's routes: scores of `models`, computed by the thread behind `jobs`, which has them in
/// the same order.
pub(crate) fn router(jobs: mpsc::Sender<Job>, models: &[EvaluatorModel], limits: Limits) -> Router {
    let served = |model: &EvaluatorModel| {
        let windows = model.max_windows.max(1) as usize;
        ServedModel {
            id: model.id.clone(),
            longest_text: model.max_tokens as usize * windows * BYTES_PER_TOKEN,
            has_logits: model.kind() == EvaluatorKind::CrossEncoder,
            info: Info::new(model, models, &limits),
        }
    };
    let server = Arc::new(Server {
        jobs,
        limits,
        models: models.iter().map(served).collect(),
    });
    Router::new()
        .route("/rerank", post(rerank))
        .route("/predict", post(predict))
        .route_layer(middleware::from_fn_with_state(server.clone(), measure))
        .route("/health", get(health))
        .route("/info", get(info))
        .fallback(async || {
            let paths =
                "no such path; available are /rerank, /predict, /health, /info and /metrics";
            Failure::invalid(StatusCode::NOT_FOUND, paths)
        })
        .method_not_allowed_fallback(async || {
            let error = "method not allowed for this path";
            Failure::invalid(StatusCode::METHOD_NOT_ALLOWED, error)
        })
        .layer(DefaultBodyLimit::max(limits.body))
        .with_state(server)
}

async fn info(
    State(server): State<Arc<Server>>,
    query: Result<Query<InfoQuery>, QueryRejection>,
) -> Result<Response, Failure> {
    let Query(InfoQuery { model }) = query?;
    let (_, model) = server.model(model.as_deref())?;
    Ok(Json(&model.info).into_response())
}

async fn health(State(server): State<Arc<Server>>) -> Result<(), Failure> {
    match server.jobs.is_closed() {
        true => Err(Failure::unhealthy()),
        false => Ok(()),
    }
}

async fn rerank(
    State(server): State<Arc<Server>>,
    body: Result<Json<RerankRequest>, JsonRejection>,
) -> Result<Json<Vec<Rank>>, Failure> {
    let Json(RerankRequest {
        query,
        texts,
        return_text,
        settings,
    }) = body?;
    server.check_number(texts.len())?;
    check_question(&query)?;
    let pairs = texts.iter().map(|text| (query.clone(), text.clone()));
    let (values, raw) = server.values(pairs.collect(), &settings).await?;
    let mut scored: Vec<_> = values.into_iter().zip(texts).enumerate().collect();
    // By value: scores near 0 and 1 can be equal although the logits differ.
    scored.sort_by(|(_, (a, _)), (_, (b, _))| b.total_cmp(a));
    let ranks = scored.into_iter().map(|(index, (value, text))| Rank {
        index,
        text: return_text.then_some(text),
        score: tei::shown(value, raw),
    });
    Ok(Json(ranks.collect()))
}

async fn predict(
    State(server): State<Arc<Server>>,
    body: Result<Json<PredictRequest>, JsonRejection>,
) -> Result<Json<PredictResponse>, Failure> {
    let Json(PredictRequest { inputs, settings }) = body?;
    let (pairs, is_batch) = match inputs {
        PredictInput::Single(pair) => (vec![pair], false),
        PredictInput::Batch(pairs) => (pairs, true),
    };
    server.check_number(pairs.len())?;
    for (question, _) in &pairs {
        check_question(question)?;
    }
    let (values, raw) = server.values(pairs, &settings).await?;
    let mut predictions = values
        .into_iter()
        .map(|value| Prediction::of(tei::shown(value, raw)));
    Ok(Json(match is_batch {
        true => PredictResponse::Batch(predictions.collect()),
        false => PredictResponse::Single(predictions.next().ok_or_else(Failure::unhealthy)?),
    }))
}

/// An answer is judged against its prompt.
fn check_question(question: &str) -> Result<(), Failure> {
    match question.trim().is_empty() {
        true => {
            let error = "there is nothing to judge: the question is blank";
            Err(Failure::new(ErrorType::Empty, error))
        }
        false => Ok(()),
    }
}

impl ServedModel {
    fn check_lengths(&self, pairs: &[(String, String)]) -> Result<(), Failure> {
        let longest = pairs
            .iter()
            .map(|(query, text)| query.len().max(text.len()));
        match longest.max() {
            Some(bytes) if bytes > self.longest_text => {
                let error = format!(
                    "a text has {bytes} bytes, more than the limit of {}, which applies with `truncate` too",
                    self.longest_text
                );
                Err(Failure::new(ErrorType::Validation, error))
            }
            _ => Ok(()),
        }
    }
}

impl Server {
    fn check_number(&self, texts: usize) -> Result<(), Failure> {
        let most = self.limits.texts;
        match texts {
            0 => {
                let error = "the request has no texts; send at least one";
                Err(Failure::new(ErrorType::Empty, error))
            }
            _ if texts > most => {
                let error = format!("the request has {texts} texts, more than the limit of {most}");
                Err(Failure::new(ErrorType::Validation, error))
            }
            _ => Ok(()),
        }
    }

    /// The model with this id, or the first one, and its index.
    fn model(&self, id: Option<&str>) -> Result<(usize, &ServedModel), Failure> {
        let mut models = self.models.iter().enumerate();
        let found = match id {
            None => models.next(),
            Some(id) => models.find(|(_, model)| model.id == id),
        };
        found.ok_or_else(|| {
            let ids: Vec<&str> = self.models.iter().map(|model| model.id.as_str()).collect();
            let (id, ids) = (id.unwrap_or_default(), ids.join(", "));
            let error = format!("this server has no model {id}, only {ids}");
            Failure::invalid(StatusCode::NOT_FOUND, error)
        })
    }

    /// One logit or cosine per pair, in order, and whether they are returned unchanged.
    async fn values(
        &self,
        pairs: Vec<(String, String)>,
        settings: &Settings,
    ) -> Result<(Vec<f32>, bool), Failure> {
        let (place, model) = self.model(settings.model.as_deref())?;
        model.check_lengths(&pairs)?;
        let truncate = settings.truncate.unwrap_or(self.limits.truncate);
        let replies = self.queue(place, pairs, truncate)?;
        let mut values = Vec::with_capacity(replies.len());
        for reply in replies {
            let score = reply.await.map_err(|_| Failure::unhealthy())??;
            values.push(score.value);
        }
        Ok((values, settings.raw_scores || !model.has_logits))
    }

    /// Queues all pairs of a request or none.
    fn queue(
        &self,
        model: usize,
        pairs: Vec<(String, String)>,
        truncate: bool,
    ) -> Result<Vec<oneshot::Receiver<Outcome>>, Failure> {
        let permits = self
            .jobs
            .try_reserve_many(pairs.len())
            .map_err(|error| match error {
                TrySendError::Full(()) => {
                    Failure::new(ErrorType::Overloaded, "the queue is full; try again later")
                }
                TrySendError::Closed(()) => Failure::unhealthy(),
            })?;
        let queued = Instant::now();
        let replies = permits.zip(pairs).map(|(permit, (prompt, answer))| {
            let (reply, receiver) = oneshot::channel();
            permit.send(Job {
                model,
                seat: None,
                truncate,
                reply,
                prompt,
                answer,
                queued,
            });
            receiver
        });
        let replies = replies.collect();
        self.measure_queue();
        Ok(replies)
    }

    fn measure_queue(&self) {
        let waiting = self.jobs.max_capacity() - self.jobs.capacity();
        gauge!("poq_evaluator_queue").set(waiting as f64);
    }
}

async fn measure(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let started = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    counter!("poq_evaluator_requests_total", "path" => path.clone(), "status" => status)
        .increment(1);
    histogram!("poq_evaluator_request_seconds", "path" => path).record(started.elapsed());
    server.measure_queue();
    response
}

#[cfg(test)]
mod tests;
