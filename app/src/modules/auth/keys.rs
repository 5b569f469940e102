use crate::address::Address;

/// Account number of the next new account, `u64`.
pub(super) const NEXT_NUMBER: &str = "auth/next-number";

/// Prefix of all accounts; the address follows.
pub(super) const ACCOUNTS: &str = "auth/account/";

/// `poq.v1.Account` of an address.
pub(super) fn account(address: &Address) -> String {
    [ACCOUNTS, address.as_str()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_should_not_change() {
        let address = Address::from_public_key(&[2; 33], "poq").unwrap();
        insta::assert_snapshot!(account(&address), @"auth/account/poq12xq57yyxwzkw6tthcxq9mhtxxj7f63e324de5e");
    }
}
