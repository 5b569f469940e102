//! Accounts: numbers, sequences and public keys.

mod keys;
pub mod query;

use poq_proto::v1::Account;
use poq_store::State;

use crate::address::Address;
use crate::error::{Error, Result};

/// The account, if it exists.
pub fn account(state: &State, address: &Address) -> Result<Option<Account>> {
    Ok(state.get_message(keys::account(address))?)
}

/// Creates the account if it does not exist, with the next account number.
pub fn create_if_missing(state: &mut State, address: &Address) -> Result<()> {
    let key = keys::account(address);
    if state.contains(&key)? {
        return Ok(());
    }
    let account_number = state.get_u64(keys::NEXT_NUMBER)?.unwrap_or(0);
    state.put_u64(keys::NEXT_NUMBER, account_number.saturating_add(1))?;
    state.put_message(
        key,
        &Account {
            address: address.to_string(),
            account_number,
            ..Account::default()
        },
    )?;
    Ok(())
}

/// Increments the sequence of an account that was just read, and stores the key that signed; a
/// simulation has none.
pub fn record_signature(
    state: &mut State,
    address: &Address,
    mut account: Account,
    public_key: Option<&[u8]>,
) -> Result<()> {
    account.sequence = account
        .sequence
        .checked_add(1)
        .ok_or_else(|| Error::broken(format!("sequence of {address} is exhausted")))?;
    if let Some(public_key) = public_key.filter(|key| *key != account.public_key) {
        account.public_key = public_key.to_vec();
    }
    state.put_message(keys::account(address), &account)?;
    Ok(())
}
