//! `MsgRevealLeaves`.

use poq_proto::v1::{
    Chat, DrawnLeaf, Finish, LeafItem, LeafOfSession, MsgRevealLeaves, MsgRevealLeavesResponse,
    Session, SessionRules, SessionSettlement, SessionStatus,
};
use poq_proto::{Leaf, code, event, merkle};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result, ensure};
use crate::execution::Execution;
use crate::modules::sessions::lifecycle::{end_reveals_if_complete, settled};
use crate::modules::sessions::payment::pot;
use crate::modules::sessions::sample::{at_stake, has_free_place, hits};
use crate::modules::sessions::{get, node_of, put, require_node, require_phase, run_batch};
use crate::modules::tasks::{LeafTask, begin_leaf_task};

/// `MsgRevealLeaves`: the nodes of settled sessions reveal drawn leaves with their chats and answers.
pub fn reveal_leaves(
    ctx: &mut Execution<'_>,
    message: MsgRevealLeaves,
) -> Result<MsgRevealLeavesResponse> {
    let operator = message.operator;
    let items = message.items.into_iter().map(|item| (item.session, item));
    let results = run_batch(ctx, items.collect(), |ctx, id, item| {
        reveal_leaf(ctx, &operator, id, item)
    })?;
    Ok(MsgRevealLeavesResponse { results })
}

fn reveal_leaf(ctx: &mut Execution<'_>, operator: &str, id: u64, item: LeafItem) -> Result<()> {
    let mut session = get(ctx.state, id)?;
    require_node(&session, operator)?;
    require_phase(&session, &[SessionStatus::Revealing])?;
    let leaf = leaf_of(&item)?;
    let chat = item.chat.unwrap_or_default();
    let settlement = settled(&mut session)?.clone();
    require_in_log(&settlement, &leaf, &item.path)?;
    let points = drawn_points(&settlement, &leaf)?;
    check_contents(&session, &leaf, &chat, &item.answer)?;

    let mut drawn = DrawnLeaf {
        number: leaf.number,
        price: leaf.price,
        total: leaf.total,
        points,
        min_quality: leaf.min_quality,
        ..DrawnLeaf::default()
    };
    if item.answer.is_empty() {
        (drawn.ended, drawn.quality) = (true, Some(0));
    } else {
        let at_stake = at_stake(&settlement, leaf.price, points);
        let request = leaf_task(&session, &settlement, &leaf, &chat, item.answer, at_stake)?;
        drawn.task_id = begin_leaf_task(ctx, request)?;
    }
    emit_revealed(ctx, &session, operator, &drawn);
    record(settled(&mut session)?, drawn);
    end_reveals_if_complete(ctx, &mut session)?;
    put(ctx.state, &session)
}

fn leaf_of(item: &LeafItem) -> Result<Leaf> {
    let invalid = |reason: String| {
        let log = format!("a leaf of session {}: {reason}", item.session);
        Error::rejected(code::INVALID_LEAF, log)
    };
    let leaf = item.leaf.as_ref();
    let leaf = leaf.ok_or_else(|| invalid("there is none".into()))?;
    Leaf::try_from(leaf).map_err(|error| invalid(error.to_string()))
}

/// Requires that the path leads from the leaf to the session's root.
fn require_in_log(settlement: &SessionSettlement, leaf: &Leaf, path: &[Vec<u8>]) -> Result<()> {
    let path: Option<Vec<[u8; 32]>> = path
        .iter()
        .map(|hash| hash.as_slice().try_into().ok())
        .collect();
    let root = path.and_then(|path| {
        merkle::root_of_path(&leaf.encode(), leaf.number, settlement.count, &path)
    });
    ensure!(
        root.is_some_and(|root| root.as_slice() == settlement.root),
        code::NOT_IN_LOG,
        "leaf {} is not in the session's log of {} leaves: its path does not lead to the root",
        leaf.number,
        settlement.count
    );
    Ok(())
}

/// The open points that the leaf takes; 0 if every leaf is drawn.
fn drawn_points(settlement: &SessionSettlement, leaf: &Leaf) -> Result<u32> {
    let number = leaf.number;
    let is_revealed = settlement.leaves.iter().any(|one| one.number == number);
    ensure!(
        !is_revealed,
        code::DUPLICATE,
        "leaf {number} is already revealed"
    );
    ensure!(
        leaf.price > 0 && has_free_place(settlement, leaf.price, leaf.total),
        code::INVALID_LEAF,
        "leaf {number} has no place of its own in the session's amount: it costs {} and ends at {}",
        leaf.price,
        leaf.total
    );
    let points = hits(settlement, leaf.price, leaf.total);
    ensure!(
        settlement.all_drawn || points > 0,
        code::NOT_DRAWN,
        "leaf {number} is not drawn"
    );
    Ok(points)
}

/// Requires that the leaf describes the chat and the answer, and that both keep the rules.
fn check_contents(session: &Session, leaf: &Leaf, chat: &Chat, answer: &str) -> Result<()> {
    let rules = session.rules.unwrap_or_default();
    let terms = session.terms.unwrap_or_default();
    let price = terms.price(chat.prompt_bytes(), answer.len() as u64);
    let number = leaf.number;
    for (holds, rule) in [
        (leaf.request == chat.digest(), "the digest of the chat"),
        (
            leaf.answer == <[u8; 32]>::from(Sha256::digest(answer)),
            "the digest of the answer",
        ),
        (
            u64::from(leaf.prompt_bytes) == chat.prompt_bytes(),
            "the size of the chat",
        ),
        (
            leaf.answer_bytes as usize == answer.len(),
            "the size of the answer",
        ),
        (
            leaf.min_quality == chat.min_quality && chat.min_quality <= terms.quality_target,
            "min_quality",
        ),
        (
            matches!(leaf.finish, Finish::Stop | Finish::Length | Finish::User),
            "finish",
        ),
        (
            leaf.price == price && price <= rules.max_order_price,
            "the price",
        ),
        (chat.model == session.model, "the session's model"),
        (
            chat.prompt_bytes() <= rules.max_prompt_bytes.into(),
            "the longest prompt",
        ),
        (
            answer.len() as u64 <= longest_answer(&rules, chat),
            "the longest answer",
        ),
    ] {
        ensure!(
            holds,
            code::INVALID_LEAF,
            "leaf {number} does not match its chat and answer in {rule}"
        );
    }
    match chat.fault() {
        Some(fault) => Err(Error::rejected(
            code::INVALID_LEAF,
            format!("the chat of leaf {number}: {fault}"),
        )),
        None => Ok(()),
    }
}

fn longest_answer(rules: &SessionRules, chat: &Chat) -> u64 {
    chat.max_answer_bytes.min(rules.max_answer_bytes).into()
}

fn leaf_task<'s>(
    session: &'s Session,
    settlement: &'s SessionSettlement,
    leaf: &Leaf,
    chat: &Chat,
    answer: String,
    at_stake: u64,
) -> Result<LeafTask<'s>> {
    let operator = &node_of(session)?.operator;
    Ok(LeafTask {
        user: &session.user,
        model: &session.model,
        prompt: chat.scoring_text(),
        prompt_bytes: leaf.prompt_bytes,
        answer,
        operator,
        payout: &settlement.payout,
        prompt_tokens: leaf.prompt_tokens,
        answer_tokens: leaf.answer_tokens,
        max_answer_bytes: chat.max_answer_bytes,
        min_quality: leaf.min_quality,
        pot: pot(&session.rules.unwrap_or_default(), leaf.price),
        terms: session.terms.unwrap_or_default(),
        evaluator_models: &session.evaluator_models,
        leaf: LeafOfSession {
            session: session.id,
            number: leaf.number,
            price: leaf.price,
            at_stake,
        },
    })
}

fn emit_revealed(ctx: &mut Execution<'_>, session: &Session, operator: &str, leaf: &DrawnLeaf) {
    let mut attributes: Vec<(&str, &dyn ToString)> = vec![
        (event::SESSION, &session.id),
        (event::USER, &session.user),
        (event::NODE, &operator),
        (event::NUMBER, &leaf.number),
    ];
    if leaf.task_id != 0 {
        attributes.push((event::TASK, &leaf.task_id));
    }
    ctx.emit(event::LEAF_REVEALED, &attributes);
}

/// Adds a revealed leaf, which takes the points in its place.
fn record(settlement: &mut SessionSettlement, leaf: DrawnLeaf) {
    let place = leaf.total.saturating_sub(leaf.price)..leaf.total;
    settlement
        .open_points
        .retain(|point| !place.contains(point));
    let at = settlement
        .leaves
        .partition_point(|other| other.total < leaf.total);
    settlement.leaves.insert(at, leaf);
}
