//! Integer arithmetic on money and parts per million, without overflow.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "128 bits hold a product of two numbers of 64 bits, and each remainder is below its divisor"
)]

use poq_proto::PPM;

use crate::error::{Error, Result};

/// `⌊amount · ppm / 1_000_000⌋`; `ppm` above one million gives more than `amount`, saturating.
pub(crate) fn share(amount: u64, ppm: u64) -> u64 {
    saturate(u128::from(amount) * u128::from(ppm) / u128::from(PPM))
}

/// `⌊amount · numerator / denominator⌋`, saturating; a zero denominator gives 0.
pub(crate) fn ratio(amount: u64, numerator: u64, denominator: u64) -> u64 {
    (u128::from(amount) * u128::from(numerator))
        .checked_div(u128::from(denominator))
        .map_or(0, saturate)
}

/// `⌊amount · part / whole⌋` for `part <= whole`, without overflow; a zero whole gives 0.
pub(crate) fn portion(amount: u128, part: u64, whole: u64) -> u128 {
    let (part, whole) = (u128::from(part), u128::from(whole));
    match (amount.checked_div(whole), amount.checked_rem(whole)) {
        // Both factors of the second product are below 2^64.
        (Some(each), Some(rest)) => each * part + rest * part / whole,
        _ => 0,
    }
}

/// The sum of parts of the supply, which cannot overflow.
pub(crate) fn sum(amounts: impl IntoIterator<Item = u64>) -> Result<u64> {
    amounts
        .into_iter()
        .try_fold(0u64, u64::checked_add)
        .ok_or_else(|| Error::broken("a sum of amounts exceeds 64 bits"))
}

fn saturate(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_round_down() {
        assert_eq!(share(999_999, 500_000), 499_999);
        assert_eq!(share(u64::MAX, PPM), u64::MAX);
        assert_eq!(share(u64::MAX, 2 * PPM), u64::MAX);
        assert_eq!(ratio(10, 1, 3), 3);
        assert_eq!(ratio(10, 1, 0), 0);
        assert_eq!(portion(10, 2, 3), 6);
        assert_eq!(portion(u128::MAX, u64::MAX, u64::MAX), u128::MAX);
        assert_eq!(portion(10, 0, 0), 0);
    }
}
