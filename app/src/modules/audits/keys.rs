/// Prefix of the queue of settled tasks by the height whose beacon decides on their audit.
pub const LOTTERY: &str = "audits/lottery/";
/// Prefix of the queue of scheduled audits by the height at whose end their result is used.
pub const DUE: &str = "audits/due/";

/// Marks that the beacon of a height decides whether a task is audited.
pub fn lottery(height: u64, id: u64) -> String {
    format!("{LOTTERY}{height:020}/{id:020}")
}

/// Marks that the result of a task's audit is used at the end of a height, at the earliest.
pub fn due(height: u64, id: u64) -> String {
    format!("{DUE}{height:020}/{id:020}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_should_not_change() {
        insta::assert_snapshot!(lottery(9, 7), @"audits/lottery/00000000000000000009/00000000000000000007");
        insta::assert_snapshot!(due(9, 7), @"audits/due/00000000000000000009/00000000000000000007");
    }
}
