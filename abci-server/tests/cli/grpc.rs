//! The gRPC server of a running node.

use std::net::TcpListener;

use cosmos_sdk_proto::cosmos::auth::v1beta1::{QueryAccountRequest, QueryAccountResponse};
use cosmos_sdk_proto::cosmos::base::tendermint::v1beta1::{
    GetBlockByHeightRequest, GetBlockByHeightResponse, GetNodeInfoResponse,
};
use cosmos_sdk_proto::cosmos::tx::v1beta1::{
    BroadcastMode, BroadcastTxRequest, BroadcastTxResponse, GetTxRequest, GetTxResponse,
    GetTxsEventRequest, GetTxsEventResponse,
};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use poq_proto::v1::{QueryBeaconRequest, QueryBeaconResponse, QueryTaskRequest};
use prost::Message;
use prost::bytes::Bytes;

use crate::support::{Network, Run};

const OK: i32 = 0;
const INVALID_ARGUMENT: i32 = 3;
const NOT_FOUND: i32 = 5;
const RESOURCE_EXHAUSTED: i32 = 8;
const OUT_OF_RANGE: i32 = 11;
const UNIMPLEMENTED: i32 = 12;

/// The result of a call.
struct Ended {
    status: i32,
    message: String,
    height: String,
    body: Bytes,
}

impl Ended {
    fn decode<M: Message + Default>(&self) -> M {
        assert_eq!(self.status, OK, "{}", self.message);
        M::decode(self.body.slice(5..)).unwrap()
    }
}

/// One call on a connection of its own.
async fn call(address: &str, path: &str, message: &impl Message, height: Option<&str>) -> Ended {
    let message = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut request = Request::post(format!("http://{address}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(height) = height {
        request = request.header("x-cosmos-block-height", height);
    }
    let body = Full::new(Bytes::from(frame));
    let response = sender.send_request(request.body(body).unwrap());
    let (head, body) = response.await.unwrap().into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let text = |name: &str| {
        let value = head.headers.get(name).or_else(|| trailers.get(name));
        value.map_or("", |value| value.to_str().unwrap()).to_owned()
    };
    Ended {
        status: text("grpc-status").parse().unwrap(),
        message: text("grpc-message").replace("%20", " "),
        height: text("x-cosmos-block-height"),
        body: body.to_bytes(),
    }
}

#[tokio::test]
async fn queries_and_transactions_over_grpc() {
    let network = Network::new();
    let _node = network.start();
    let address = network.get("/validators/0/grpc");
    let (user, friend) = (
        network.get("/user/address"),
        network.get("/authority/address"),
    );
    let sent = network
        .user(&format!("tx bank send {friend} 1000upoq --from user --yes"))
        .json();
    let hash = sent["hash"].as_str().unwrap().to_owned();

    let account = async |address_of: String, height| {
        let request = QueryAccountRequest {
            address: address_of,
        };
        call(
            &address,
            "/cosmos.auth.v1beta1.Query/Account",
            &request,
            height,
        )
        .await
    };
    let found = account(user.clone(), None).await;
    assert_ne!(found.decode::<QueryAccountResponse>().account, None);
    assert!(found.height.parse::<u64>().unwrap() > 1);
    let missing = account("poq12xq57yyxwzkw6tthcxq9mhtxxj7f63e324de5e".into(), None).await;
    assert_eq!(missing.status, NOT_FOUND);
    assert!(
        missing.message.starts_with("account poq1"),
        "{}",
        missing.message
    );
    assert_eq!(account("?".into(), None).await.status, INVALID_ARGUMENT);

    let beacon = async |height| {
        let path = "/poq.v1.Query/Beacon";
        call(&address, path, &QueryBeaconRequest {}, height).await
    };
    assert_eq!(
        beacon(Some("1"))
            .await
            .decode::<QueryBeaconResponse>()
            .height,
        1
    );
    assert_eq!(beacon(Some("1")).await.height, "1");
    for wrong in ["-1", "x", "99999999"] {
        assert_eq!(
            beacon(Some(wrong)).await.status,
            INVALID_ARGUMENT,
            "{wrong}"
        );
    }
    let task = call(
        &address,
        "/poq.v1.Query/Task",
        &QueryTaskRequest { id: 9 },
        None,
    )
    .await;
    assert_eq!(task.status, NOT_FOUND);
    for path in ["/poq.v1.Query/Nothing", "/", "/cosmos.gov.v1.Query/Params"] {
        assert_eq!(
            call(&address, path, &(), None).await.status,
            UNIMPLEMENTED,
            "{path}"
        );
    }
    let huge = BroadcastTxRequest {
        tx_bytes: vec![0; 5 << 20],
        mode: BroadcastMode::Sync.into(),
    };
    let path = "/cosmos.tx.v1beta1.Service/BroadcastTx";
    let refused = call(&address, path, &huge, None).await;
    assert!([OUT_OF_RANGE, RESOURCE_EXHAUSTED].contains(&refused.status));
    let garbage = BroadcastTxRequest {
        tx_bytes: b"garbage".to_vec(),
        ..huge
    };
    let answer = call(&address, path, &garbage, None).await;
    let response = answer.decode::<BroadcastTxResponse>().tx_response.unwrap();
    assert_eq!((response.code, response.codespace.as_str()), (2, "sdk"));

    let get = async |hash: &str| {
        let request = GetTxRequest { hash: hash.into() };
        call(&address, "/cosmos.tx.v1beta1.Service/GetTx", &request, None).await
    };
    let found = get(&hash).await.decode::<GetTxResponse>();
    let response = found.tx_response.unwrap();
    assert_eq!(
        (response.txhash.as_str(), response.code),
        (hash.as_str(), 0)
    );
    assert_eq!(response.height.to_string(), sent["height"]);
    assert!(response.timestamp.ends_with('Z') && !response.data.is_empty());
    assert_eq!(found.tx.unwrap().body.unwrap().messages.len(), 1);
    let missing = get(&"0".repeat(64)).await;
    assert_eq!(missing.status, NOT_FOUND);
    assert!(
        missing.message.starts_with("tx not found"),
        "{}",
        missing.message
    );
    assert_eq!(get("?").await.status, INVALID_ARGUMENT);
    let request = GetTxsEventRequest {
        query: format!("message.sender='{user}'"),
        ..GetTxsEventRequest::default()
    };
    let path = "/cosmos.tx.v1beta1.Service/GetTxsEvent";
    let found = call(&address, path, &request, None).await;
    let found = found.decode::<GetTxsEventResponse>();
    assert_eq!(
        (found.total, found.tx_responses[0].txhash.as_str()),
        (1, &*hash)
    );

    let service = "/cosmos.base.tendermint.v1beta1.Service";
    let info = call(&address, &format!("{service}/GetNodeInfo"), &(), None).await;
    let info = info.decode::<GetNodeInfoResponse>();
    assert_eq!(
        info.default_node_info.unwrap().network,
        network.get("/chain_id")
    );
    let request = GetBlockByHeightRequest { height: 1 };
    let path = format!("{service}/GetBlockByHeight");
    let block = call(&address, &path, &request, None).await;
    let block = block.decode::<GetBlockByHeightResponse>();
    #[allow(deprecated)]
    let header = block.block.unwrap().header.unwrap();
    assert_eq!(header.height, 1);
}

#[test]
fn grpc_can_be_off_and_its_address_must_be_free() {
    let network = Network::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut refused = network.spawn(&["--grpc-address".as_ref(), address.as_ref()]);
    assert_eq!(refused.ended(), Some(1));
    assert!(
        refused.log().contains("cannot serve gRPC on"),
        "{}",
        refused.log()
    );
    let grpc = network.get("/validators/0/grpc");
    let _node = network.start_with(&["--grpc-address".as_ref(), "".as_ref()]);
    assert!(std::net::TcpStream::connect(grpc).is_err());
}
