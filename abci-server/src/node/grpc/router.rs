use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use poq_app::App;
use poq_proto::code::{self, Code as ResultCode};
use prost::bytes::Bytes;
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::{RequestQuery, ResponseQuery};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};

use super::codec::Raw;
use crate::node::comet_queries::CometQueries;

/// The requested height of the state, and in the answer the height that was used.
const HEIGHT: &str = "x-cosmos-block-height";
/// The method whose refusals concern the transaction, not the request.
const SIMULATE: &str = "/cosmos.tx.v1beta1.Service/Simulate";

/// Routes calls to CometBFT's RPC or to the application.
#[derive(Clone)]
pub(crate) struct Router {
    app: App,
    comet: CometQueries,
}

impl Router {
    /// Routes to the application in this process, and to CometBFT's RPC.
    pub(crate) fn new(app: App, comet: CometQueries) -> Self {
        Self { app, comet }
    }

    /// Answers one call. A refusal is also a response.
    pub(super) async fn call(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Response<tonic::body::Body> {
        let path = request.uri().path().to_owned();
        let call = Call { router: self, path };
        Grpc::new(Raw).unary(call, request).await
    }

    async fn answer(
        &self,
        path: String,
        request: tonic::Request<Bytes>,
    ) -> Result<tonic::Response<Bytes>, Status> {
        let height = asked_height(request.metadata())?;
        let data = request.into_inner();
        if CometQueries::answers(&path) {
            let answer = self.comet.answer(&path, data).await;
            return answer.map(tonic::Response::new);
        }
        let app = self.app.clone();
        let query = RequestQuery {
            path: path.clone(),
            data,
            height,
            prove: false,
        };
        // The query may block on the database.
        let answer = tokio::task::spawn_blocking(move || Application::query(&app, query))
            .await
            .map_err(|error| Status::internal(format!("the query was aborted: {error}")))?;
        respond(&path, answer)
    }
}

/// One call, as a tonic service.
struct Call {
    router: Arc<Router>,
    path: String,
}

impl UnaryService<Bytes> for Call {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Bytes>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let (router, path) = (Arc::clone(&self.router), std::mem::take(&mut self.path));
        Box::pin(async move { router.answer(path, request).await })
    }
}

fn asked_height(metadata: &MetadataMap) -> Result<i64, Status> {
    let Some(height) = metadata.get(HEIGHT) else {
        return Ok(0);
    };
    let parsed = height.to_str().ok().and_then(|text| text.parse().ok());
    parsed
        .filter(|height| *height >= 0)
        .ok_or_else(|| Status::invalid_argument(format!("{HEIGHT} is not a block height")))
}

fn respond(path: &str, answer: ResponseQuery) -> Result<tonic::Response<Bytes>, Status> {
    let height = MetadataValue::from(answer.height);
    if answer.code == 0 {
        let mut response = tonic::Response::new(answer.value);
        response.metadata_mut().insert(HEIGHT, height);
        return Ok(response);
    }
    // The prefix repeats the status.
    let text = answer.log.strip_prefix("rpc error: code = ");
    let text = text.and_then(|text| Some(text.split_once(" desc = ")?.1));
    let text = text.unwrap_or(&answer.log);
    let mut status = Status::new(status_code(path, &answer), text);
    status.metadata_mut().insert(HEIGHT, height);
    Err(status)
}

fn status_code(path: &str, answer: &ResponseQuery) -> Code {
    let any_of = |codes: &[ResultCode]| {
        codes
            .iter()
            .any(|code| (code.number, code.codespace) == (answer.code, &*answer.codespace))
    };
    if any_of(code::ABSENT) {
        Code::NotFound
    } else if any_of(&[code::NO_BLOCK]) {
        Code::Unavailable
    } else if any_of(&[code::INTERNAL]) {
        Code::Internal
    } else if path == SIMULATE {
        Code::Unknown
    } else if any_of(&[code::UNKNOWN_REQUEST]) {
        Code::Unimplemented
    } else {
        Code::InvalidArgument
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(path: &str, code: ResultCode, log: &str) -> Status {
        let answer = ResponseQuery {
            code: code.number,
            codespace: code.codespace.into(),
            log: log.into(),
            height: 5,
            ..ResponseQuery::default()
        };
        respond(path, answer).unwrap_err()
    }

    #[test]
    fn refusals_have_the_codes_of_grpc() {
        let missing = "rpc error: code = NotFound desc = account a not found";
        let missing = status("/q", code::NOT_FOUND, missing);
        assert_eq!(
            (missing.code(), missing.message()),
            (Code::NotFound, "account a not found")
        );
        assert_eq!(missing.metadata().get(HEIGHT).unwrap(), "5");
        let code = |path, code| status(path, code, "").code();
        assert_eq!(code("/q", code::UNKNOWN_TASK), Code::NotFound);
        assert_eq!(code("/q", code::NO_BLOCK), Code::Unavailable);
        assert_eq!(code("/q", code::UNKNOWN_REQUEST), Code::Unimplemented);
        assert_eq!(code("/q", code::INVALID_ADDRESS), Code::InvalidArgument);
        assert_eq!(code(SIMULATE, code::UNKNOWN_REQUEST), Code::Unknown);
        assert_eq!(code(SIMULATE, code::WRONG_SEQUENCE), Code::Unknown);
        assert_eq!(code(SIMULATE, code::INTERNAL), Code::Internal);
    }

    #[test]
    fn heights() {
        let height = |text: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert(HEIGHT, text.parse().unwrap());
            asked_height(&metadata).ok()
        };
        assert_eq!(asked_height(&MetadataMap::new()).ok(), Some(0));
        assert_eq!(height("7"), Some(7));
        assert_eq!([height("-1"), height("x"), height("")], [None; 3]);
    }
}
