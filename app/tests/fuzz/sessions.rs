//! Sessions in the phases in which messages change them.

use poq_app::modules::params::default_sessions;
use poq_proto::v1::*;
use tendermint_proto::google::protobuf::Any;

use crate::log::Log;
use crate::support::{Chain, MODEL, Wallet, any};
use crate::{public_key, session_key};

/// The session that is open.
const OPEN: u64 = 1;
/// The session whose drawn leaf is not revealed.
const SETTLED: u64 = 2;

/// Parameters with sessions.
pub(crate) fn params() -> SessionParams {
    SessionParams {
        sample_value: 20_000,
        ..default_sessions()
    }
}

/// Lets the nodes offer sessions, opens two, and settles one.
pub(crate) fn begin(chain: &mut Chain) {
    let offers: Vec<Vec<u8>> = chain
        .inference
        .iter_mut()
        .map(|wallet| {
            let message = any(&offer(wallet));
            wallet.sign(vec![message])
        })
        .collect();
    succeed(chain, &offers);
    let message = any(&opening(chain, 2));
    let tx = chain.user.sign(vec![message]);
    succeed(chain, &[tx]);
    chain.block(&[]);
    let (signer, message) = settling(chain, SETTLED);
    let tx = chain.inference[signer].sign(vec![message]);
    succeed(chain, &[tx]);
    chain.block(&[]);
}

fn succeed(chain: &mut Chain, txs: &[Vec<u8>]) {
    for result in chain.block(txs) {
        assert_eq!(result.code, 0, "{}", result.log);
    }
}

/// Messages that succeed, each with the address of its signer.
pub(crate) fn messages(chain: &Chain) -> Vec<(String, Any)> {
    let user = chain.user.address.clone();
    let reveal = MsgRevealLeaves {
        operator: operator(chain, SETTLED),
        items: vec![log(SETTLED).leaf_item(0)],
    };
    let (settler, settle) = settling(chain, OPEN);
    let close = MsgCloseSessions {
        user: user.clone(),
        sessions: vec![OPEN],
    };
    vec![
        (user.clone(), any(&opening(chain, 1))),
        (user, any(&close)),
        (chain.inference[settler].address.clone(), settle),
        (reveal.operator.clone(), any(&reveal)),
    ]
}

fn offer(wallet: &Wallet) -> MsgUpdateNode {
    MsgUpdateNode {
        operator: wallet.address.clone(),
        role: Role::Inference.into(),
        models: vec![MODEL.into()],
        capacity: crate::support::CAPACITY,
        stream: Some(Stream {
            url: "https://node.example".into(),
            key: public_key(wallet),
            tls_spki_sha256: Vec::new(),
        }),
        ..MsgUpdateNode::default()
    }
}

fn opening(chain: &Chain, nodes: u32) -> MsgOpenSessions {
    MsgOpenSessions {
        user: chain.user.address.clone(),
        model: MODEL.into(),
        nodes,
        escrow: 400_000,
        session_key: public_key(&session_key()),
        blocks: 100,
        scoring: SessionScoring::Sampled.into(),
    }
}

/// The log of a session with one answer.
fn log(session: u64) -> Log {
    let mut log = Log::new(session);
    log.serve("Why is the sky blue?", "By the scattering of light.");
    log
}

/// The settlement of a session, and the index of its node.
fn settling(chain: &Chain, session: u64) -> (usize, Any) {
    let operator = operator(chain, session);
    let mut wallets = chain.inference.iter();
    let signer = wallets.position(|wallet| wallet.address == operator);
    let message = MsgSettleSessions {
        operator,
        items: vec![log(session).settle_item(0)],
    };
    (signer.unwrap(), any(&message))
}

fn operator(chain: &Chain, session: u64) -> String {
    chain.session(session).node.unwrap().operator
}
