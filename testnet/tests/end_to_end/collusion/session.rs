//! The same in a session: the node settles junk, and the committee of the drawn answer lies for it.

use poq_client::Key;
use poq_proto::v1::{
    Chat, ChatMessage, ChatRole, Finish, LeafItem, MsgOpenSessions, MsgRevealLeaves,
    MsgSettleSessions, MsgUpdateNode, Session, SessionScoring, SessionStatus, SettleItem, Stream,
};
use poq_proto::{Leaf, Voucher, merkle, v1};
use sha2::{Digest, Sha256};

use super::*;

/// Base units that the session holds.
const ESCROW: u64 = 1_000_000;
/// Share of full pay that a session's node keeps whatever its answers are worth, ppm.
const FLOOR: u32 = 100_000;

#[tokio::test]
async fn one_challenger_undoes_what_a_committee_agreed_on_for_a_session() {
    let scene = Scene::with_sessions("collusion-session").await;
    let challenger = scene.fixture.network.description().authority.clone();
    let challenger = scene.fixture.network.sender(&challenger).await.unwrap();
    let session = scene.settle_junk().await;

    let drawn = session.settlement.as_ref().unwrap().leaves[0];
    let task = scene.lie(drawn.task_id).await;
    assert_eq!(task.settlement.unwrap().quality, 1_000_000);
    let challenge = any(&MsgChallenge {
        challenger: challenger.address().into(),
        task_id: task.id,
        deposit: DEPOSIT,
    });
    send(&challenger, challenge, Fee::Auto).await;

    let paid = scene.session_with(session.id, SessionStatus::Final).await;
    let drawn = paid.settlement.as_ref().unwrap().leaves[0];
    assert!(drawn.quality.unwrap() < WORTHLESS, "{paid:?}");
    let (payment, amount) = (paid.payment.unwrap(), paid.settlement.unwrap().amount);
    assert_eq!(payment.earned_part, FLOOR);
    // The liars' pot goes back to the user too.
    assert!(payment.refund > amount / 2, "{payment:?}");
    for evaluator in &scene.evaluators {
        let node = scene.client.node(Role::Evaluator, evaluator.address());
        let node = node.await.unwrap();
        assert_eq!((node.slashed, node.earned), (SLASH, 0));
        assert_eq!(node.status(), NodeStatus::Jailed);
    }
    scene.end(paid.updated_height).await;
}

impl Scene {
    /// Opens a session, and settles and reveals a single answer, which is junk.
    async fn settle_junk(&self) -> Session {
        let key = Key::from_bytes(&[9; 32]).unwrap();
        let worker = self.fixture.network.description().inference_nodes[0].clone();
        let operator = self.inference.address().to_owned();
        let offer = any(&MsgUpdateNode {
            operator: operator.clone(),
            role: Role::Inference.into(),
            models: worker.models.clone(),
            stream: Some(Stream {
                url: "https://node.example:8443".into(),
                key: key.public_key(),
                tls_spki_sha256: vec![7; 32],
            }),
            ..MsgUpdateNode::default()
        });
        send(&self.inference, offer, Fee::Auto).await;
        let open = any(&MsgOpenSessions {
            user: self.user.address().into(),
            model: worker.models[0].clone(),
            nodes: 1,
            escrow: ESCROW,
            session_key: key.public_key(),
            blocks: 100,
            scoring: SessionScoring::Sampled.into(),
        });
        send(&self.user, open, Fee::Auto).await;
        let sessions = self.client.sessions_of_user(self.user.address()).await;
        let id = sessions.unwrap()[0].id;
        let session = self.session_with(id, SessionStatus::Open).await;

        let chat = chat(&session.model);
        let leaf = leaf(&session, &chat);
        let voucher = Voucher {
            session: id,
            number: 1,
            request: [0; 32],
            count: 1,
            root: merkle::root_of_path(&leaf.encode(), 0, 1, &[]).unwrap(),
            amount: leaf.total,
            authorized: leaf.total,
        };
        let digest = voucher.digest(self.user.chain_id());
        let settle = any(&MsgSettleSessions {
            operator: operator.clone(),
            items: vec![SettleItem {
                voucher: Some((&voucher).into()),
                signature: key.sign_digest(&digest).unwrap().to_vec(),
                unacknowledged: 0,
            }],
        });
        send(&self.inference, settle, Fee::Free).await;
        self.session_with(id, SessionStatus::Revealing).await;
        let reveal = any(&MsgRevealLeaves {
            operator,
            items: vec![LeafItem {
                session: id,
                leaf: Some((&leaf).into()),
                path: Vec::new(),
                chat: Some(chat),
                answer: JUNK.into(),
            }],
        });
        send(&self.inference, reveal, Fee::Free).await;
        self.session_with(id, SessionStatus::Scoring).await
    }

    async fn session_with(&self, id: u64, status: SessionStatus) -> Session {
        let started = Instant::now();
        loop {
            let session = self.client.session(id).await.unwrap();
            if session.status() == status {
                return session;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "{session:?} is not {status:?}"
            );
            sleep(Duration::from_millis(100)).await;
        }
    }
}

fn chat(model: &str) -> Chat {
    Chat {
        model: model.into(),
        messages: vec![ChatMessage {
            role: ChatRole::User.into(),
            text: PROMPTS[0].into(),
        }],
        max_answer_bytes: 512,
        ..Chat::default()
    }
}

fn leaf(session: &v1::Session, chat: &Chat) -> Leaf {
    let terms = session.terms.unwrap();
    let leaf = Leaf {
        number: 0,
        request: chat.digest(),
        answer: Sha256::digest(JUNK).into(),
        prompt_bytes: chat.prompt_bytes() as u32,
        answer_bytes: JUNK.len() as u32,
        prompt_tokens: 1,
        answer_tokens: 1,
        min_quality: 0,
        finish: Finish::Stop,
        price: terms.price(chat.prompt_bytes(), JUNK.len() as u64),
        total: 0,
    };
    leaf.after(0)
}
