//! Arithmetic on a stake and its unbonding parts.

use poq_proto::code;
use poq_proto::v1::Unbonding;

use crate::arithmetic::share;
use crate::error::{Error, Result, ensure};

/// The most unbonding parts of one stake.
const MAX_UNBONDINGS: usize = 8;

/// The stake after adding `amount`, base units.
pub(crate) fn increased(stake: u64, amount: u64) -> Result<u64> {
    stake.checked_add(amount).ok_or_else(|| {
        Error::rejected(
            code::INVALID_COINS,
            format!("a stake of {stake} and {amount} more exceed 64 bits"),
        )
    })
}

/// The stake after removing `amount`, base units.
pub(crate) fn reduced(stake: u64, amount: u64) -> Result<u64> {
    stake.checked_sub(amount).ok_or_else(|| {
        Error::rejected(
            code::INSUFFICIENT_FUNDS,
            format!("the stake is {stake}, smaller than {amount}"),
        )
    })
}

/// Adds an unbonding part; parts of one height are merged.
pub(crate) fn begin(parts: &mut Vec<Unbonding>, amount: u64, release_height: u64) -> Result<()> {
    let same = |part: &&mut Unbonding| part.release_height == release_height;
    if let Some(part) = parts.iter_mut().find(same) {
        part.amount = increased(part.amount, amount)?;
        return Ok(());
    }
    ensure!(
        parts.len() < MAX_UNBONDINGS,
        code::TOO_MANY_UNBONDINGS,
        "{MAX_UNBONDINGS} parts of this stake are already unbonding; wait until the first is released"
    );
    parts.push(Unbonding {
        amount,
        release_height,
    });
    Ok(())
}

/// Removes the parts that are due at a height and returns their sum, base units. They come from one
/// stake, so the sum does not overflow.
pub(crate) fn take(parts: &mut Vec<Unbonding>, height: u64) -> u64 {
    let due = |part: &Unbonding| part.release_height <= height;
    let amounts = parts
        .iter()
        .filter(|part| due(part))
        .map(|part| part.amount);
    let amount = amounts.fold(0u64, u64::saturating_add);
    parts.retain(|part| !due(part));
    amount
}

/// Removes the fraction (ppm) from the stake and from each unbonding part. Returns the base units
/// lost.
pub(crate) fn slash(stake: &mut u64, parts: &mut [Unbonding], ppm: u32) -> u64 {
    let amounts = parts.iter_mut().map(|part| &mut part.amount);
    let mut lost = 0u64;
    for amount in std::iter::once(stake).chain(amounts) {
        let part = share(*amount, ppm.into()).min(*amount);
        *amount = amount.saturating_sub(part);
        lost = lost.saturating_add(part);
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_one_height_are_one_and_their_number_is_limited() {
        let mut parts = Vec::new();
        for height in 1..=8 {
            begin(&mut parts, 10, height).unwrap();
        }
        begin(&mut parts, 5, 8).unwrap();
        assert!(begin(&mut parts, 10, 9).is_err());
        assert!(begin(&mut parts, u64::MAX, 8).is_err());
        assert_eq!(take(&mut parts, 1), 10);
        assert_eq!(take(&mut parts, 7), 60);
        assert_eq!(take(&mut parts, 7), 0);
        assert_eq!(parts.len(), 1);
        begin(&mut parts, 10, 9).unwrap();
    }

    #[test]
    fn a_slash_reaches_what_is_on_its_way_back() {
        let (mut stake, mut parts) = (1_000, Vec::new());
        begin(&mut parts, 500, 1).unwrap();
        begin(&mut parts, 9, 2).unwrap();
        assert_eq!(slash(&mut stake, &mut parts, 100_000), 150);
        assert_eq!((stake, parts[0].amount, parts[1].amount), (900, 450, 9));
        assert_eq!(slash(&mut stake, &mut parts, 1_000_000), 1_359);
        assert_eq!((stake, parts[0].amount, parts[1].amount), (0, 0, 0));
    }

    #[test]
    fn sums_do_not_overflow() {
        assert_eq!(increased(1, 2).unwrap(), 3);
        assert!(increased(u64::MAX, 1).is_err());
        assert!(reduced(1, 2).is_err());
    }
}
