use poq_proto::v1::Role;

use crate::error::{Error, Result};
use crate::modules::nodes::name;

/// Prefix of the queue of stakes by the height at whose end they are released.
pub(super) const RELEASES: &str = "stake/release/";

/// Marks that a part of an operator's stake is released at the end of a height.
pub(super) fn release(height: u64, role: Role, operator: &str) -> String {
    format!("{RELEASES}{height:020}/{}/{operator}", name(role))
}

/// The height, role and operator in a key of the queue.
pub(super) fn parse_release(key: &[u8]) -> Result<(u64, Role, String)> {
    let parsed = std::str::from_utf8(key).ok().and_then(|key| {
        let (height, rest) = key.strip_prefix(RELEASES)?.split_once('/')?;
        let (word, operator) = rest.split_once('/')?;
        let role = [Role::Inference, Role::Evaluator, Role::Validator]
            .into_iter()
            .find(|role| name(*role) == word)?;
        Some((height.parse().ok()?, role, operator.to_owned()))
    });
    parsed.ok_or_else(|| Error::broken("a key of the queue of releases is corrupt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_should_not_change() {
        let key = release(9, Role::Validator, "poq1x");
        insta::assert_snapshot!(key, @"stake/release/00000000000000000009/validator/poq1x");
        assert_eq!(
            parse_release(key.as_bytes()).unwrap(),
            (9, Role::Validator, "poq1x".to_owned())
        );
        assert!(parse_release(b"stake/release/9").is_err());
    }
}
