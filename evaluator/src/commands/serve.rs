use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::middleware::from_fn_with_state;
use poq_proto::v1::EvaluatorModel;
use poq_worker::program::http_server::{self, Limits as ServerLimits};
use poq_worker::program::{metrics, shutdown_on_signals};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cli;
use crate::compute;
use crate::config::ScoringConfig;
use crate::http::{self, Limits};
use crate::scorer::open_all;

/// How long open requests may take to end after a signal.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves scores over HTTP until SIGINT or SIGTERM.
pub(super) async fn serve(args: cli::Serve) -> Result<()> {
    let limits = limits(&args)?;
    let scoring = ScoringConfig {
        sessions: args.engine.sessions,
        threads: args.engine.threads,
        batch_tokens: args.batch_tokens,
        queue: args.queue,
        ..ScoringConfig::default()
    };
    scoring.validate()?;
    let shutdown = shutdown_on_signals()?;
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}; choose --listen", args.listen))?;
    let models = args.model.find().await?;
    let entries: Vec<EvaluatorModel> = models.iter().map(|(entry, _)| entry.clone()).collect();
    let engine = scoring.engine();
    let models = tokio::task::spawn_blocking(move || open_all(&models, engine)).await??;
    let jobs = compute::start(models, scoring.queue, scoring.batch_tokens)?;
    let router = http::router(jobs, &entries, limits).merge(metrics::routes(shutdown.clone())?);
    let origins = Arc::new(args.cors_allow_origin);
    let router = router.layer(from_fn_with_state(origins, http_server::share));
    let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    info!(
        models = ids.join(", "),
        "serving http://{}",
        listener.local_addr()?
    );
    let server = http_server::serve(listener, router, ServerLimits::default(), shutdown.clone());
    tokio::select! {
        result = server => result.context("the server failed"),
        () = drained(shutdown) => {
            warn!("stopped with open requests");
            Ok(())
        }
    }
}

fn limits(args: &cli::Serve) -> Result<Limits> {
    ensure!(
        (1..=args.queue).contains(&args.max_client_batch_size),
        "--max-client-batch-size is {}, expected 1 to the value of --queue, which is {}: a \
         request's texts are queued together",
        args.max_client_batch_size,
        args.queue
    );
    Ok(Limits {
        texts: args.max_client_batch_size,
        body: args.payload_limit,
        queue: args.queue,
        batch_tokens: args.batch_tokens,
        truncate: args.auto_truncate,
    })
}

async fn drained(shutdown: CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(DRAIN).await;
}
