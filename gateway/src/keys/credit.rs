//! Prepaid credit of groups: what answers in progress may still cost is held.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::deposits::MEMO;
use crate::store::{self, Store, groups};

/// What groups have on hold. A restart forgets it, and with it the answers in progress, which then cost
/// no group anything.
pub(crate) struct Credits {
    store: Arc<Store>,
    account: Account,
    /// Sum of the highest prices of answers in progress by group, base units.
    held: Mutex<HashMap<i64, u64>>,
}

/// Where deposits go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// The gateway's account.
    pub address: Arc<str>,
    /// The chain's denom.
    pub denom: String,
}

/// Too little credit for a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the group `{group}` has a credit of {credit}{denom}, of which {held}{denom} are held for answers in progress; \
     this request may cost {needed}{denom}. Top up by a transfer to {address} with the memo `{MEMO}{group}`, or ask \
     the gateway's operator",
    denom = account.denom,
    address = account.address
)]
pub(crate) struct Short {
    /// The group's name.
    pub group: String,
    /// Base units.
    pub credit: u64,
    /// Base units.
    pub held: u64,
    /// Base units.
    pub needed: u64,
    /// Where to top up.
    pub account: Account,
}

/// Why nothing is held.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum NoHold {
    /// The credit is too small.
    #[error(transparent)]
    Short(#[from] Box<Short>),
    /// It is not known.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Credits {
    /// Without holds.
    pub(crate) fn new(store: Arc<Store>, account: Account) -> Self {
        Self {
            store,
            account,
            held: Mutex::default(),
        }
    }

    /// Where deposits go.
    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    /// What a group has on hold, base units.
    pub(crate) fn held(&self, group: i64) -> u64 {
        self.lock().get(&group).copied().unwrap_or(0)
    }

    /// Holds up to `amount` base units of a group's credit until the hold is dropped, which must not be
    /// before the charge is stored. Without a group nothing is held.
    ///
    /// # Errors
    /// [`NoHold`].
    pub(crate) fn hold(self: &Arc<Self>, group: Option<i64>, amount: u64) -> Result<Hold, NoHold> {
        let mut hold = Hold {
            credits: self.clone(),
            group,
            amount: 0,
        };
        hold.cover(amount)?;
        Ok(hold)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, u64>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Credit that is held for an answer in progress.
pub(crate) struct Hold {
    credits: Arc<Credits>,
    group: Option<i64>,
    amount: u64,
}

impl Hold {
    /// Holds `amount` base units if fewer are held.
    ///
    /// # Errors
    /// [`NoHold`]; then as much is held as before.
    pub(crate) fn cover(&mut self, amount: u64) -> Result<(), NoHold> {
        let Some(id) = self.group else {
            return Ok(());
        };
        let more = amount.saturating_sub(self.amount);
        let mut all = self.credits.lock();
        // Read under the lock: what is charged meanwhile is still held.
        let group = self.credits.store.read(|db| groups::get(db, id))?;
        let held = all.entry(id).or_default();
        let needed = held.saturating_add(more);
        if needed > group.credit {
            return Err(NoHold::Short(Box::new(Short {
                group: group.name,
                credit: group.credit,
                held: *held - self.amount,
                needed: amount,
                account: self.credits.account.clone(),
            })));
        }
        *held = needed;
        self.amount += more;
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Some(group) = self.group else {
            return;
        };
        let mut all = self.credits.lock();
        if let Some(held) = all.get_mut(&group) {
            *held = held.saturating_sub(self.amount);
            if *held == 0 {
                all.remove(&group);
            }
        }
    }
}

#[cfg(test)]
mod tests;
