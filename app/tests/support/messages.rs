//! Messages as honest participants send them.

use cosmos_sdk_proto::cosmos::bank::v1beta1::MsgSend;
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use poq_app::Address;
use poq_proto::v1::*;
use prost::{Message, Name};
use tendermint_proto::google::protobuf::Any;

use super::{CHAIN_ID, DENOM, MODEL, Wallet};

pub(crate) fn any<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

pub(crate) fn coin(amount: u64) -> Coin {
    Coin {
        denom: DENOM.into(),
        amount: amount.to_string(),
    }
}

pub(crate) fn send(from: &Wallet, to: &str, amount: u64) -> Any {
    any(&MsgSend {
        from_address: from.address.clone(),
        to_address: to.into(),
        amount: vec![coin(amount)],
    })
}

pub(crate) fn submit_message(user: &Wallet) -> MsgSubmitTask {
    MsgSubmitTask {
        user: user.address.clone(),
        model: MODEL.into(),
        prompt: "What is the capital of France?".into(),
        max_answer_bytes: 1_000,
        max_fee: 50_000,
        ..MsgSubmitTask::default()
    }
}

pub(crate) fn challenge_message(challenger: &Wallet, task_id: u64, deposit: u64) -> Any {
    any(&MsgChallenge {
        challenger: challenger.address.clone(),
        task_id,
        deposit,
    })
}

pub(crate) fn commit_message(
    wallet: &Wallet,
    task: u64,
    attempt: u32,
    score: i32,
) -> MsgCommitScores {
    let address = Address::parse(&wallet.address, "poq").unwrap();
    let commitment =
        poq_proto::commitment(CHAIN_ID, task, attempt, address.bytes(), score, &[9; 32]);
    MsgCommitScores {
        operator: wallet.address.clone(),
        items: vec![CommitItem {
            task_id: task,
            commitment: commitment.to_vec(),
        }],
    }
}

pub(crate) fn reveal_message(wallet: &Wallet, task: u64, score: i32) -> MsgRevealScores {
    MsgRevealScores {
        operator: wallet.address.clone(),
        items: vec![RevealItem {
            task_id: task,
            raw_score: score,
            salt: vec![9; 32],
        }],
    }
}

/// A worker's message for duties of one phase: the answer, commitments to the score, or reveals.
pub(crate) fn duty_message(wallet: &Wallet, duties: &[Duty], answer: &str, score: i32) -> Any {
    let operator = wallet.address.clone();
    match duties[0].phase() {
        TaskStatus::Assigned => any(&MsgSubmitAnswers {
            operator,
            items: duties
                .iter()
                .map(|duty| AnswerItem {
                    task_id: duty.task_id,
                    answer: answer.into(),
                    ..AnswerItem::default()
                })
                .collect(),
        }),
        TaskStatus::Committing => any(&MsgCommitScores {
            operator,
            items: duties
                .iter()
                .flat_map(|duty| commit_message(wallet, duty.task_id, duty.attempt, score).items)
                .collect(),
        }),
        _ => any(&MsgRevealScores {
            operator,
            items: duties
                .iter()
                .flat_map(|duty| reveal_message(wallet, duty.task_id, score).items)
                .collect(),
        }),
    }
}
