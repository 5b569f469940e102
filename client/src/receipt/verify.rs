//! The verification of a receipt, without a network.

use std::collections::BTreeSet;

use poq_proto::v1::{Finish, Session, SessionStatus, Task, Terms};
use poq_proto::{Leaf, merkle};
use prost::Message;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tendermint::Hash;

use super::answer_summary;
use super::report::TaskOutcome;
use super::{
    AnswerPart, Document, Holds, Outcome, Receipt, Report, SignedState, Subject, TaskPart,
};
use crate::is_signature;

/// Fields of a gateway's answer that the chain knows nothing of.
const WORD_OF_THE_GATEWAY: [&str; 2] = ["charged", "proof"];

/// The field of `quality` that the chain knows nothing of.
const ESTIMATE: &str = "estimate";

/// Fields of a gateway's answer that follow from the leaf alone.
const OF_THE_LEAF: [&str; 7] = [
    "receipt",
    "session",
    "answer_sha256",
    "price",
    "leaf",
    "signature",
    "path",
];

/// What the verifier trusts. Without an anchor nothing is verified. With both, both must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anchors {
    /// The hash of exactly the receipt's header.
    pub header: Option<[u8; 32]>,
    /// The hash of the validator set of the header's height, more than two thirds of whose power must
    /// have signed the header.
    pub validators: Option<[u8; 32]>,
}

/// Reads the hash of a header or of a validator set.
///
/// # Errors
/// If it is not 64 hex digits.
pub fn parse_hash(digits: &str) -> Result<[u8; 32], String> {
    let mut hash = [0; 32];
    match hex::decode_to_slice(digits.trim(), &mut hash) {
        Ok(()) => Ok(hash),
        Err(_) => Err(format!("`{digits}` is not the 64 hex digits of a SHA-256")),
    }
}

impl Document {
    /// Checks the receipt, and what the gateway says about it against the receipt.
    pub fn verify(&self, anchors: &Anchors) -> Report {
        let mut report = self.receipt.begin();
        let record = self.receipt.check_state(anchors, &mut report);
        match &self.receipt.subject {
            Subject::Task(part) => {
                if let Some(task) = record.and_then(|record| decoded::<Task>(record, &mut report)) {
                    check_task(part, &task, &mut report);
                }
            }
            Subject::Answer(part) => {
                let record = record.and_then(|record| decoded::<Session>(record, &mut report));
                self.check_answer(part, record.as_ref(), &mut report);
            }
        }
        report.concluded()
    }

    fn check_answer(&self, part: &AnswerPart, record: Option<&Session>, report: &mut Report) {
        let leaf = match Leaf::try_from(&part.leaf) {
            Ok(leaf) => leaf,
            Err(error) => return report.add("leaf", Holds::No, error.to_string()),
        };
        if leaf.total > 0 && part.path.is_none() {
            let detail = "it has a total, which nothing proves without a path";
            report.add("leaf", Holds::No, detail);
        }
        check_texts_of_answer(part, &leaf, record, report);
        let Some(record) = record else {
            return self.check_word(part, &leaf, report);
        };
        if record.id != part.session {
            let detail = format!("the record is of session {}", record.id);
            return report.add("record", Holds::No, detail);
        }
        check_signature(part, &leaf, &self.receipt.chain_id, record, report);
        check_price(&leaf, &record.terms.unwrap_or_default(), report);
        let is_anchored = check_path(part, &leaf, record, report);
        report.answer = Some(Outcome::new(record, &leaf, is_anchored));
        self.check_claims(part, record, is_anchored, report);
    }

    fn check_claims(
        &self,
        part: &AnswerPart,
        record: &Session,
        is_anchored: bool,
        report: &mut Report,
    ) {
        let Some(claims) = &self.claims else { return };
        let is_proven = self.receipt.state.is_some();
        let is_checked = |name: &str| match is_proven {
            true => !WORD_OF_THE_GATEWAY.contains(&name),
            false => OF_THE_LEAF.contains(&name),
        };
        let summary = answer_summary(&self.receipt.chain_id, part, record, is_anchored);
        let mut claims = claims.clone();
        if let Some(Value::Object(quality)) = claims.get_mut("quality") {
            quality.remove(ESTIMATE);
        }
        let checked = summary
            .map_err(|error| error.to_string())
            .and_then(|summary| compared(&claims, &summary, is_checked));
        report.check("gateway", checked);
    }

    /// Without a record the node's key is only the gateway's word.
    fn check_word(&self, part: &AnswerPart, leaf: &Leaf, report: &mut Report) {
        if self.receipt.state.is_none() {
            self.check_claims(part, &Session::default(), false, report);
        }
        let claims = self.claims.as_ref();
        let key = claims.and_then(|claims| hex::decode(claims.get("node_key")?.as_str()?).ok());
        let digest = leaf.receipt_digest(&self.receipt.chain_id, part.session);
        match key {
            Some(key) if !is_signature(&key, &digest, &part.signature) => {
                let detail = "the leaf is not signed by the key that the gateway names";
                report.add("signature", Holds::No, detail);
            }
            Some(_) => {
                let detail =
                    "by the key that the gateway names; the session's record has the node's";
                report.add("signature", Holds::NotYet, detail);
            }
            None => {
                let detail = "the node's key is in the session's record, which is missing";
                report.add("signature", Holds::NotYet, detail);
            }
        }
    }
}

impl Receipt {
    /// Checks the receipt.
    pub fn verify(&self, anchors: &Anchors) -> Report {
        let document = Document {
            receipt: self.clone(),
            claims: None,
        };
        document.verify(anchors)
    }

    fn begin(&self) -> Report {
        let subject = match &self.subject {
            Subject::Task(task) => format!("task {}", task.id),
            Subject::Answer(part) => {
                format!("answer {} of session {}", part.leaf.number, part.session)
            }
        };
        Report::new(&self.chain_id, subject)
    }

    /// Checks header and record; the record if it is the one of the state.
    fn check_state<'r>(&'r self, anchors: &Anchors, report: &mut Report) -> Option<&'r [u8]> {
        let Some(state) = &self.state else {
            let detail = "the receipt has none: `poqd receipt get` adds it";
            report.add("record", Holds::NotYet, detail);
            return None;
        };
        let (height, hash) = (state.header_height(), state.header_hash());
        let commit = state.check_commit().map(|()| {
            let set = state.validators_hash();
            format!("block {height}, {hash}, signed by more than 2/3 of the validators {set}")
        });
        report.check("header", commit);
        check_anchors(state, anchors, report);
        let chain = state.signed_header.header.chain_id.as_str();
        if chain != self.chain_id {
            let detail = format!("the header is of `{chain}`, not of `{}`", self.chain_id);
            report.add("chain", Holds::No, detail);
        }
        let key = self.key();
        let detail = format!("{key} in the state after block {}", state.height());
        let record = state.check_record(&key).map(|()| detail);
        report
            .check("record", record)
            .then_some(state.record.as_slice())
    }
}

fn check_anchors(state: &SignedState, anchors: &Anchors, report: &mut Report) {
    let anchored = |expected: [u8; 32], found: Hash, what: &str| match found.as_bytes() == expected
    {
        true => Ok(format!("{what} is the trusted one")),
        false => Err(format!(
            "{what} is {found}, the trusted one is {}",
            hex::encode_upper(expected)
        )),
    };
    if let Some(expected) = anchors.header {
        report.check(
            "trust",
            anchored(expected, state.header_hash(), "the header"),
        );
    }
    if let Some(expected) = anchors.validators {
        let found = state.validators_hash();
        report.check("trust", anchored(expected, found, "the validator set"));
    }
    if *anchors == Anchors::default() {
        let detail = format!(
            "no anchor: compare the hash of block {} with a source that you trust, and give it",
            state.header_height()
        );
        report.add("trust", Holds::Untrusted, detail);
    }
}

fn decoded<M: Message + Default>(record: &[u8], report: &mut Report) -> Option<M> {
    match M::decode(record) {
        Ok(message) => Some(message),
        Err(error) => {
            let detail = format!("the record is not of the expected kind: {error}");
            report.add("record", Holds::No, detail);
            None
        }
    }
}

fn check_signature(
    part: &AnswerPart,
    leaf: &Leaf,
    chain_id: &str,
    record: &Session,
    report: &mut Report,
) {
    let checked = match &record.node {
        None => Err("the session has no node".to_owned()),
        Some(node) => {
            let digest = leaf.receipt_digest(chain_id, part.session);
            match is_signature(&node.key, &digest, &part.signature) {
                true => Ok(format!("the leaf is signed by the node {}", node.operator)),
                false => Err(format!("the node {} did not sign this leaf", node.operator)),
            }
        }
    };
    report.check("signature", checked);
}

/// The price of an answer is the formula's; what was not served costs nothing.
fn check_price(leaf: &Leaf, terms: &Terms, report: &mut Report) {
    let price = match leaf.finish {
        Finish::Void => 0,
        _ => terms.price(leaf.prompt_bytes.into(), leaf.answer_bytes.into()),
    };
    let checked = match leaf.price == price {
        true => Ok(format!("{price} by the session's terms")),
        false => Err(format!(
            "the leaf says {}, the session's terms {price}",
            leaf.price
        )),
    };
    report.check("price", checked);
}

/// Whether the leaf is below the root in the record.
fn check_path(part: &AnswerPart, leaf: &Leaf, record: &Session, report: &mut Report) -> bool {
    let name = "path";
    let settlement = match (&record.settlement, &part.path) {
        (Some(settlement), _) => settlement,
        (None, Some(_)) => {
            let detail = "there is a path, but the session is not settled";
            report.add(name, Holds::No, detail);
            return false;
        }
        (None, None) if record.status() == SessionStatus::Refunded => {
            let detail = "the node never settled the session: nothing was paid";
            report.add(name, Holds::Unchecked, detail);
            return false;
        }
        (None, None) => {
            let detail = "the node has not settled the session";
            report.add(name, Holds::NotYet, detail);
            return false;
        }
    };
    let count = settlement.count;
    let Some(path) = &part.path else {
        let detail = match leaf.number < count {
            true => "the receipt has none: ask the gateway for the receipt again",
            false => "the node's root leaves the answer out: it was not paid for",
        };
        report.add(name, Holds::NotYet, detail);
        return false;
    };
    let path: Vec<_> = path.iter().map(|sibling| sibling.0).collect();
    let root = merkle::root_of_path(&leaf.encode(), leaf.number, count, &path);
    let checked = match root.is_some_and(|root| root.as_slice() == settlement.root) {
        true => Ok(format!(
            "leaf {} of {count} below the settled root",
            leaf.number
        )),
        false => Err("the leaf does not lead to the settled root"),
    };
    report.check(name, checked)
}

fn check_texts_of_answer(
    part: &AnswerPart,
    leaf: &Leaf,
    record: Option<&Session>,
    report: &mut Report,
) {
    match &part.chat {
        None => report.add(
            "chat",
            Holds::Unchecked,
            "not in the receipt, only its digest",
        ),
        Some(chat) => {
            let faults = [
                (chat.digest() != leaf.request, "digest"),
                (chat.prompt_bytes() != u64::from(leaf.prompt_bytes), "size"),
                (chat.min_quality != leaf.min_quality, "min_quality"),
                (
                    record.is_some_and(|record| record.model != chat.model),
                    "model",
                ),
            ];
            report.check("chat", matched(&faults, "what was ordered"));
        }
    }
    let text = part.answer.as_deref();
    if leaf.finish != Finish::Void {
        let expected = (leaf.answer.as_slice(), leaf.answer_bytes);
        return check_text("answer", text, expected, report);
    }
    // Zeros are in the place of a digest.
    let is_void = leaf.answer == [0; 32] && leaf.answer_bytes == 0;
    let checked = match is_void && text.is_none_or(str::is_empty) {
        true => Ok("there is none: the node did not serve it"),
        false => Err("it was not served, and has a text or a digest all the same"),
    };
    report.check("answer", checked);
}

fn check_task(part: &TaskPart, task: &Task, report: &mut Report) {
    if task.id != part.id {
        let detail = format!("the record is of task {}", task.id);
        return report.add("record", Holds::No, detail);
    }
    // A task that scores an answer of a session has the size of the chat, and its scoring text.
    let prompt = part.prompt.as_deref();
    let bytes = match (task.leaf, prompt) {
        (Some(_), Some(prompt)) => u32::try_from(prompt.len()).unwrap_or(u32::MAX),
        _ => task.prompt_bytes,
    };
    check_text(
        "prompt",
        prompt,
        (task.prompt_sha256.as_slice(), bytes),
        report,
    );
    match (&task.answer, part.answer.as_deref()) {
        (Some(answer), text) => {
            check_text(
                "answer",
                text,
                (answer.sha256.as_slice(), answer.bytes),
                report,
            );
        }
        (None, Some(_)) => report.add("answer", Holds::No, "the task has no answer"),
        (None, None) => {}
    }
    check_price_of_task(task, report);
    let settlement = task.settlement.as_ref();
    report.task = Some(TaskOutcome {
        status: task.status().as_str_name().into(),
        quality: settlement.map(|settlement| settlement.quality),
        price: settlement.map(|settlement| settlement.price),
        refund: settlement.map(|settlement| settlement.refund),
    });
}

/// A settled task costs what the formula says, at most its escrow. The task of a leaf has a pot.
fn check_price_of_task(task: &Task, report: &mut Report) {
    let (Some(settlement), Some(answer), None) = (&task.settlement, &task.answer, task.leaf) else {
        return;
    };
    let terms = task.terms.unwrap_or_default();
    let price = terms.price(task.prompt_bytes.into(), answer.bytes.into());
    let price = price.min(task.escrow);
    let checked = match settlement.price == price {
        true => Ok(format!("{price} by the task's terms")),
        false => Err(format!(
            "the record says {}, its terms {price}",
            settlement.price
        )),
    };
    report.check("price", checked);
}

fn check_text(
    name: &'static str,
    text: Option<&str>,
    (digest, bytes): (&[u8], u32),
    report: &mut Report,
) {
    let Some(text) = text else {
        let detail = format!(
            "not in the receipt, only its digest {}",
            hex::encode(digest)
        );
        return report.add(name, Holds::Unchecked, detail);
    };
    let faults = [
        (Sha256::digest(text).as_slice() != digest, "digest"),
        (u32::try_from(text.len()) != Ok(bytes), "size"),
    ];
    report.check(name, matched(&faults, "the text"));
}

fn matched(faults: &[(bool, &str)], what: &str) -> Result<String, String> {
    let wrong: Vec<_> = faults
        .iter()
        .filter(|fault| fault.0)
        .map(|fault| fault.1)
        .collect();
    match wrong.is_empty() {
        true => Ok(format!("{what} has the digest and size")),
        false => Err(format!("it has not the {} of {what}", wrong.join(" and "))),
    }
}

/// Holds fields of a gateway's answer against what follows from the record or the leaf.
fn compared(
    claims: &Map<String, Value>,
    summary: &Map<String, Value>,
    is_checked: impl Fn(&str) -> bool,
) -> Result<String, String> {
    let names = claims.keys().chain(summary.keys()).map(String::as_str);
    let wrong: BTreeSet<_> = names
        .filter(|name| is_checked(name) && claims.get(*name) != summary.get(*name))
        .collect();
    if wrong.is_empty() {
        return Ok(
            "what the gateway says beside it fits; what it charged and estimates is its own word"
                .into(),
        );
    }
    let wrong: Vec<_> = wrong.into_iter().collect();
    Err(format!("the gateway says otherwise: {}", wrong.join(", ")))
}
