/// Prefix of the validators; the operator follows.
pub(super) const VALIDATORS: &str = "validators/validator/";
/// Prefix of the validators that have voting power; the operator follows.
pub(super) const ACTIVE: &str = "validators/active/";
/// Prefix of the changes of power that the end of the block reports; the operator follows.
pub(super) const CHANGED: &str = "validators/changed/";

/// `poq.v1.Validator` of an operator.
pub(super) fn validator(operator: &str) -> String {
    format!("{VALIDATORS}{operator}")
}

/// Operator of the validator whose key has this consensus address.
pub(super) fn address(address: &[u8]) -> String {
    format!("validators/address/{}", hex::encode(address))
}

/// Voting power, `u64`, absent when zero.
pub(super) fn active(operator: &str) -> String {
    format!("{ACTIVE}{operator}")
}

/// The power before the block, `u64`; only during a block that changes it.
pub(super) fn changed(operator: &str) -> String {
    format!("{CHANGED}{operator}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_should_not_change() {
        insta::assert_snapshot!(validator("poq1x"), @"validators/validator/poq1x");
        insta::assert_snapshot!(address(&[0xab; 20]), @"validators/address/abababababababababababababababababababab");
        insta::assert_snapshot!(active("poq1x"), @"validators/active/poq1x");
        insta::assert_snapshot!(changed("poq1x"), @"validators/changed/poq1x");
    }
}
