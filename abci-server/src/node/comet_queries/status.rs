//! The gRPC status of failed requests.

use prost::Message;
use prost::bytes::Bytes;
use tendermint_rpc::error::ErrorDetail;
use tonic::Status;

/// Decodes the request of a method.
pub(super) fn decode<M: Message + Default>(data: Bytes) -> Result<M, Status> {
    M::decode(data)
        .map_err(|error| Status::invalid_argument(format!("the request is malformed: {error}")))
}

/// The status of a failed request to CometBFT.
pub(super) fn failed(error: &tendermint_rpc::Error) -> Status {
    match error.detail() {
        ErrorDetail::Response(response) => {
            let text = response.source.to_string();
            if text.contains("not found") {
                Status::not_found(text)
            } else if text.contains("mempool is full") {
                Status::resource_exhausted(text)
            } else {
                Status::invalid_argument(text)
            }
        }
        _ => Status::unavailable(format!("CometBFT does not answer: {}", error.trace())),
    }
}
