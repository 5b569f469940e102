//! Metrics: their names, units and meanings, and what is measured across modules. README.md has the table.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use poq_proto::PPM;
use poq_proto::v1::Session;

/// Label of requests for paths that the gateway does not have.
const NO_PATH: &str = "other";
/// Status of a request that had none: its client left, or it took too long.
const ABORTED: &str = "aborted";

tokio::task_local! {
    /// When the request of this task was received.
    static RECEIVED: Instant;
}

/// Describes all metrics, and shows those without labels from the start. Call it once, after the
/// recorder is installed.
pub(crate) fn describe() {
    let counters = [
        (
            "requests_total",
            Unit::Count,
            "HTTP requests by path and status",
        ),
        (
            "node_errors_total",
            Unit::Count,
            "Failed calls to nodes by reason, refusals included",
        ),
        (
            "failovers_total",
            Unit::Count,
            "Requests that went on to another node because one failed",
        ),
        (
            "resumes_total",
            Unit::Count,
            "Attempts to read a broken stream on from where it broke",
        ),
        (
            "duplicates_total",
            Unit::Count,
            "Requests that got the answer of an earlier one",
        ),
        (
            "charged_total",
            Unit::Count,
            "Base units that API keys paid for answers",
        ),
        (
            "refunded_total",
            Unit::Count,
            "Base units of answers' prices that ended sessions gave back",
        ),
        (
            "burnt_total",
            Unit::Count,
            "Base units that nodes had burnt for answers that were not acknowledged",
        ),
    ];
    for (name, unit, text) in counters {
        let name = format!("poq_gateway_{name}");
        describe_counter!(name.clone(), unit, text);
        if !matches!(
            name.as_str(),
            "poq_gateway_requests_total" | "poq_gateway_node_errors_total"
        ) {
            counter!(name).increment(0);
        }
    }
    describe_gauge!(
        "poq_gateway_streams",
        Unit::Count,
        "Streamed responses in progress"
    );
    describe_gauge!(
        "poq_gateway_sessions",
        Unit::Count,
        "Sessions by status, as the gateway sees them"
    );
    describe_gauge!(
        "poq_gateway_outstanding_price",
        Unit::Count,
        "Base units ordered and not in a log: at risk if nodes or the gateway fail"
    );
    describe_gauge!(
        "poq_gateway_quarantined_nodes",
        Unit::Count,
        "Nodes that are not used because they broke the protocol"
    );
    describe_histogram!(
        "poq_gateway_accept_seconds",
        Unit::Seconds,
        "From a streamed request to a node that has taken it"
    );
    describe_histogram!(
        "poq_gateway_first_token_seconds",
        Unit::Seconds,
        "From a streamed request to the first text that is written to its client"
    );
    describe_histogram!(
        "poq_gateway_overhead_seconds",
        Unit::Seconds,
        "What the gateway itself adds until the first text, without waiting for nodes"
    );
    describe_histogram!(
        "poq_gateway_commit_seconds",
        Unit::Seconds,
        "One commit of the database, with all changes that waited for it"
    );
    describe_histogram!(
        "poq_gateway_quality",
        Unit::Count,
        "Quality, 0 to 1, of the answers that the chain scored in ended sessions"
    );
    describe_histogram!(
        "poq_gateway_estimate",
        Unit::Count,
        "Quality, 0 to 1, of answers by the gateway's own score"
    );
    gauge!("poq_gateway_streams").set(0);
    gauge!("poq_gateway_quarantined_nodes").set(0);
}

/// Middleware around all routes: counts a request once, and a streamed response while it is read.
pub(crate) async fn count(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let mut counted = Counted {
        path: path.map_or(NO_PATH, MatchedPath::as_str).to_owned(),
        status: ABORTED.to_owned(),
    };
    let response = RECEIVED.scope(Instant::now(), next.run(request)).await;
    response.status().as_str().clone_into(&mut counted.status);
    let kind = response.headers().get(header::CONTENT_TYPE);
    if !kind.is_some_and(is_stream) {
        return response;
    }
    let open = OpenStream::new();
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            // Dropped with the body.
            let _ = &open;
            frame
        }))
    })
}

fn is_stream(kind: &HeaderValue) -> bool {
    kind.as_bytes().starts_with(b"text/event-stream")
}

/// A request, counted when it is dropped.
struct Counted {
    path: String,
    status: String,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let (path, status) = (self.path.clone(), self.status.clone());
        counter!("poq_gateway_requests_total", "path" => path, "status" => status).increment(1);
    }
}

/// A streamed response in progress.
struct OpenStream;

impl OpenStream {
    fn new() -> Self {
        gauge!("poq_gateway_streams").increment(1);
        Self
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        gauge!("poq_gateway_streams").decrement(1);
    }
}

/// Times a request until its client gets something of the answer.
pub(crate) struct Clock {
    received: Instant,
    is_stream: bool,
}

/// What a request met on its way to a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// When its voucher was sent.
    pub at: Instant,
    /// How long it had waited for a place in a session.
    pub waited: Duration,
}

impl Clock {
    /// The clock of the request of this task, which runs since its headers came.
    pub(crate) fn start(is_stream: bool) -> Self {
        Self {
            received: RECEIVED.try_get().unwrap_or_else(|_| Instant::now()),
            is_stream,
        }
    }

    /// The client gets the first text, or a whole answer, whose last frame came at `frame`. `sent` is
    /// None if the first node did not take the order.
    pub(crate) fn stop(self, sent: Option<Sent>, frame: Option<Instant>) {
        if self.is_stream {
            histogram!("poq_gateway_first_token_seconds").record(self.received.elapsed());
        }
        if let (Some(sent), Some(frame)) = (sent, frame) {
            let ordering = sent.at.saturating_duration_since(self.received);
            let overhead = ordering.saturating_sub(sent.waited) + frame.elapsed();
            histogram!("poq_gateway_overhead_seconds").record(overhead);
        }
    }
}

/// A call to a node failed.
pub(crate) fn node_error(reason: &'static str) {
    counter!("poq_gateway_node_errors_total", "reason" => reason).increment(1);
}

/// A request goes on to another node.
pub(crate) fn failover() {
    counter!("poq_gateway_failovers_total").increment(1);
}

/// The gateway's own score of an answer, ppm.
pub(crate) fn estimate(quality: u32) {
    histogram!("poq_gateway_estimate").record(f64::from(quality) / PPM as f64);
}

/// A session is over: `price` is the sum of its answers' prices, base units.
pub(crate) fn session_ended(record: &Session, price: u64) {
    let refund = match &record.payment {
        Some(payment) => payment.refund,
        // It was refunded: no answer was paid.
        None => price,
    };
    counter!("poq_gateway_refunded_total").increment(refund);
    let Some(settlement) = &record.settlement else {
        return;
    };
    counter!("poq_gateway_burnt_total").increment(settlement.unacknowledged);
    for quality in settlement.leaves.iter().filter_map(|leaf| leaf.quality) {
        let part = f64::from(quality) / PPM as f64;
        histogram!("poq_gateway_quality").record(part);
    }
}
