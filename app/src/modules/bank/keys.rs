use crate::address::Address;

/// Prefix of all balances; address and denom follow.
pub(super) const BALANCES: &str = "bank/balance/";

/// Prefix of the balances of an account; the denom follows.
pub(super) fn balances(address: &Address) -> String {
    [BALANCES, address.as_str(), "/"].concat()
}

/// `u128`, absent when zero.
pub(super) fn balance(address: &Address, denom: &str) -> String {
    [BALANCES, address.as_str(), "/", denom].concat()
}

/// Prefix of all supplies; the denom follows.
pub(super) const SUPPLIES: &str = "bank/supply/";

/// `u128`.
pub(super) fn supply(denom: &str) -> String {
    format!("{SUPPLIES}{denom}")
}

/// `u128`, absent when nothing was burnt.
pub(super) fn burnt(denom: &str) -> String {
    format!("bank/burnt/{denom}")
}

/// Prefix of the denoms' metadata; the denom follows.
pub(super) const METADATA: &str = "bank/metadata/";

/// `poq.v1.DenomMetadata`.
pub(super) fn metadata(denom: &str) -> String {
    format!("{METADATA}{denom}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_should_not_change() {
        let address = Address::from_public_key(&[2; 33], "poq").unwrap();
        insta::assert_snapshot!(balance(&address, "upoq"), @"bank/balance/poq12xq57yyxwzkw6tthcxq9mhtxxj7f63e324de5e/upoq");
        insta::assert_snapshot!(supply("upoq"), @"bank/supply/upoq");
        insta::assert_snapshot!(burnt("upoq"), @"bank/burnt/upoq");
        insta::assert_snapshot!(metadata("upoq"), @"bank/metadata/upoq");
    }
}
