//! The receipt of a paid answer of a session, for people and programs.

use std::fmt::{self, Display, Formatter};

use poq_client::network::Description;
use serde::Serialize;

use crate::ordered::{Ordered, SessionSeen, SessionStep, SessionWatch};
use crate::receipt::{EvaluatorPart, committee, indented, millis, ratio};
use crate::watch::Step;

/// A paid answer. Money is in base units of the denom, qualities are parts per million.
#[derive(Clone, Debug, Serialize)]
pub struct SessionReceipt {
    /// The chain's id.
    pub chain_id: String,
    /// Denom of all amounts.
    pub denom: String,
    /// Id of the session.
    pub session: u64,
    /// The answer's number in it.
    pub number: u64,
    /// Account of the gateway.
    pub user: String,
    /// Id of the language model.
    pub model: String,
    /// Text of the prompt.
    pub prompt: String,
    /// Text of the answer.
    pub answer: String,
    /// The node's name in this network.
    pub node: String,
    /// Its account.
    pub operator: String,
    /// The task that scored the answer.
    pub task: u64,
    /// The evaluators, in the order of the seats.
    pub committee: Vec<EvaluatorPart>,
    /// Consensus quality of this answer.
    pub quality: u32,
    /// Answers in the session's log.
    pub answers: u64,
    /// Sum of their prices.
    pub amount: u64,
    /// The node's pay for all of them.
    pub paid_to_node: u64,
    /// Pots of the committees that scored drawn answers.
    pub evaluators: u64,
    /// Share of the validators.
    pub protocol: u64,
    /// What the user has back of `amount`, besides what the pots left.
    pub refund: u64,
    /// Duration of each phase, as seen by the user.
    pub milliseconds: Milliseconds,
}

/// Times since the question was sent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Milliseconds {
    /// The first text came.
    pub first_token: u64,
    /// The answer was complete, with the node's receipt.
    pub answered: u64,
    /// The session was settled.
    pub settled: u64,
    /// The committee's quality was known.
    pub scored: u64,
    /// The session was paid.
    pub paid: u64,
}

impl SessionReceipt {
    /// The receipt of an answer that was followed to its payout; `None` if it has no quality.
    pub(crate) fn new(
        network: &Description,
        ordered: &Ordered,
        prompt: &str,
        watch: &SessionWatch<'_>,
        seen: &[SessionSeen],
    ) -> Option<Self> {
        let session = &watch.session;
        let (settlement, payment) = (session.settlement.as_ref()?, session.payment.as_ref()?);
        let task = watch.task.as_ref()?.task();
        let scored = task.settlement.as_ref()?;
        let operator = session.node.as_ref()?.operator.clone();
        Some(Self {
            chain_id: network.chain_id.clone(),
            denom: network.denom.clone(),
            session: session.id,
            number: ordered.number,
            user: session.user.clone(),
            model: session.model.clone(),
            prompt: prompt.into(),
            answer: ordered.said.text.clone(),
            node: network.name(&operator).into(),
            operator,
            task: task.id,
            committee: committee(network, task, scored),
            quality: scored.quality,
            answers: settlement.count,
            amount: settlement.amount,
            paid_to_node: payment.node,
            evaluators: payment.evaluators,
            protocol: payment.protocol,
            refund: payment.refund,
            milliseconds: Milliseconds::new(ordered, seen),
        })
    }
}

impl Milliseconds {
    fn new(ordered: &Ordered, seen: &[SessionSeen]) -> Self {
        let at = |matches: fn(&SessionStep) -> bool| {
            let first = seen.iter().find(|seen| matches(&seen.step));
            first.map_or(0, |seen| millis(seen.after))
        };
        Self {
            first_token: millis(ordered.said.first_token),
            answered: millis(ordered.said.whole),
            settled: at(|step| matches!(step, SessionStep::Settled { .. })),
            scored: at(|step| matches!(step, SessionStep::Scoring(Step::Settled { .. }))),
            paid: at(|step| matches!(step, SessionStep::Final)),
        }
    }
}

impl Display for SessionReceipt {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            denom,
            session,
            number,
            ..
        } = self;
        writeln!(f, "Receipt {session}-{number} on {}", self.chain_id)?;
        writeln!(f, "  user          {}", self.user)?;
        writeln!(f, "  model         {}", self.model)?;
        writeln!(f, "  prompt        {}", indented(&self.prompt))?;
        writeln!(f, "  answer        {}", indented(&self.answer))?;
        writeln!(f, "  quality       {}", ratio(self.quality))?;
        writeln!(
            f,
            "  session       {session}: {} {denom}, answers: {}",
            self.amount, self.answers
        )?;
        writeln!(
            f,
            "  inference     {}, paid {} {denom}",
            self.node, self.paid_to_node
        )?;
        for evaluator in &self.committee {
            writeln!(f, "  evaluator     {}", evaluator.text(denom))?;
        }
        writeln!(f, "  protocol      {} {denom}", self.protocol)?;
        writeln!(f, "  refund        {} {denom}", self.refund)?;
        let ms = &self.milliseconds;
        write!(
            f,
            "  milliseconds  first token {}, answered {}, settled {}, scored {}, paid {}",
            ms.first_token, ms.answered, ms.settled, ms.scored, ms.paid
        )
    }
}
