//! What answers cost their user, all in, and where its money goes.

use poq_proto::event;
use serde::Serialize;
use tendermint_proto::v0_38::abci::Event;

use super::{NODE, USER};
use crate::chain::{Chain, Notice};
use crate::error::{Error, Result};

/// The payments of a run's user, base units; refunds are taken off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bill {
    /// Number of answers that the user got.
    pub answers: u64,
    /// Number of these that a committee scored.
    pub scored: u64,
    /// What the user's balance fell by.
    pub paid: u64,
    /// To the inference node.
    pub node: u64,
    /// To the evaluators.
    pub evaluators: u64,
    /// The protocol's share of the prices.
    pub protocol: u64,
    /// Fees of the user's transactions.
    pub gas: u64,
}

impl Bill {
    /// The bill at the end of a run.
    ///
    /// # Errors
    /// [`Error::Money`] if the payments are not what the user's balance fell by.
    pub(super) fn of(
        chain: &Chain,
        ledger: Ledger,
        before: &[u128],
        (answers, scored): (u64, u64),
        protocol: u64,
    ) -> Result<Self> {
        let fallen = before[USER].saturating_sub(chain.wealth()?[USER]);
        let bill = Self {
            answers,
            scored,
            paid: narrow(fallen)?,
            node: ledger.node,
            evaluators: ledger.evaluators,
            protocol,
            gas: narrow(chain.fees(USER))?,
        };
        match bill.sum() == bill.paid {
            true => Ok(bill),
            false => Err(Error::Money(format!(
                "the parts of a user's payments are {}: {bill:?}",
                bill.sum()
            ))),
        }
    }

    /// The sum of all payments, base units.
    pub fn sum(&self) -> u64 {
        self.node + self.evaluators + self.protocol + self.gas
    }
}

fn narrow(amount: u128) -> Result<u64> {
    u64::try_from(amount).map_err(|error| Error::unreadable("amount", error))
}

/// What the chain paid to nodes, base units, by its events.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ledger {
    node: u64,
    evaluators: u64,
}

impl Ledger {
    pub(super) fn read(&mut self, event: &Event, chain: &Chain) -> Result<()> {
        if event.r#type == event::NODE_PAID {
            let notice = Notice(event);
            let amount = notice.number(event::AMOUNT)?;
            match chain.member(notice.text(event::NODE)?)? {
                NODE => self.node += amount,
                _ => self.evaluators += amount,
            }
        }
        Ok(())
    }
}
