//! Earnings and open work of an operator's node.

use poq_client::{Client, Event, Order, Result, found};
use poq_proto::event;
use poq_proto::v1::Role;
use serde::Serialize;

/// A node's money on the chain. Amounts are in base units of `denom`; print with
/// [`poq_client::json`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Earnings {
    /// The node's operator.
    pub operator: String,
    /// Denom of all amounts.
    pub denom: String,
    /// Earned since the registration.
    pub earned: u64,
    /// Slashed since the registration.
    pub slashed: u64,
    /// Current stake.
    pub stake: u64,
    /// In parts per million.
    pub reputation: u32,
    /// Duties that were done.
    pub duties_done: u64,
    /// Duties that were missed.
    pub duties_missed: u64,
    /// Open tasks whose outcome depends on the node.
    pub open_duties: u32,
    /// Account that receives the earnings.
    pub payout: String,
    /// Balance of that account.
    pub payout_balance: u128,
    /// The newest payments to the operator's nodes, newest first.
    pub recent: Vec<Payment>,
}

/// One payment to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Payment {
    /// Height of the block that paid.
    pub height: u64,
    /// The paid task.
    pub task: u64,
    /// In base units.
    pub amount: u64,
    /// The receiving account.
    pub payout: String,
}

impl Earnings {
    /// Queries a node's earnings and its newest payments, at most `recent` (up to 100). `None` if
    /// there is no such node.
    pub(crate) async fn read(
        client: &Client,
        role: Role,
        operator: &str,
        recent: u8,
    ) -> Result<Option<Self>> {
        let Some(node) = found(client.node(role, operator).await)? else {
            return Ok(None);
        };
        let denom = client.params().await?.denom;
        Ok(Some(Self {
            payout_balance: client.balance(&node.payout, &denom).await?,
            recent: payments(client, operator, recent).await?,
            operator: node.operator,
            denom,
            earned: node.earned,
            slashed: node.slashed,
            stake: node.stake,
            reputation: node.reputation,
            duties_done: node.duties_done,
            duties_missed: node.duties_missed,
            open_duties: node.open_duties,
            payout: node.payout,
        }))
    }

    /// Labels and values for display.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let money = |amount: u128| format!("{amount} {}", self.denom);
        let mut lines = vec![
            ("operator", self.operator.clone()),
            ("earned", money(self.earned.into())),
            ("slashed", money(self.slashed.into())),
            ("stake", money(self.stake.into())),
            ("reputation", format!("{} ppm", self.reputation)),
            ("duties done", self.duties_done.to_string()),
            ("duties missed", self.duties_missed.to_string()),
            ("open duties", self.open_duties.to_string()),
            ("payout account", self.payout.clone()),
            ("its balance", money(self.payout_balance)),
        ];
        lines.extend(self.recent.iter().map(|payment| {
            let (height, task) = (payment.height, payment.task);
            let amount = money(payment.amount.into());
            (
                "paid",
                format!("{amount} for task {task} in block {height}"),
            )
        }));
        lines
    }
}

/// The newest payments in blocks that the node has indexed.
async fn payments(client: &Client, operator: &str, most: u8) -> Result<Vec<Payment>> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let query = format!("{}.{}='{}'", event::NODE_PAID, event::NODE, operator);
    let heights = client
        .block_search(&query, 1, most, Order::Descending)
        .await?;
    let mut payments = Vec::new();
    for height in heights {
        let events = client.block_results(Some(height)).await?.events;
        let paid = events.iter().rev().filter(|paid| {
            paid.kind == event::NODE_PAID && paid.get(event::NODE) == Some(operator)
        });
        payments.extend(paid.map(|paid| payment(height, paid)));
        if payments.len() >= most.into() {
            break;
        }
    }
    payments.truncate(most.into());
    Ok(payments)
}

fn payment(height: u64, paid: &Event) -> Payment {
    let number = |key| {
        paid.get(key)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    };
    Payment {
        height,
        task: number(event::TASK),
        amount: number(event::AMOUNT),
        payout: paid.get(event::PAYOUT).unwrap_or_default().to_owned(),
    }
}
