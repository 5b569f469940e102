use poq_proto::v1::AuditCause;

/// Prefix of the queue of settled tasks by the height whose beacon is the first to draw.
pub(super) const LOTTERY: &str = "audits/lottery/";
/// The causes of audits in the order in which results are used: challenges, which anyone can pay
/// for, come after the audits that the beacon draws.
pub(super) const CAUSES: [AuditCause; 2] = [AuditCause::Drawn, AuditCause::Challenged];

/// Prefix of the queue of the audits scheduled for a cause, by the height at whose end their result
/// is used.
pub(super) fn queue(cause: AuditCause) -> &'static str {
    match cause {
        AuditCause::Challenged => "audits/challenged/",
        AuditCause::Drawn | AuditCause::Unspecified => "audits/drawn/",
    }
}

/// The probability and the last height of the draws for a task's audit. The beacon of `height`
/// draws first.
pub(super) fn lottery(height: u64, id: u64) -> String {
    format!("{LOTTERY}{height:020}/{id:020}")
}

/// Marks that the result of a task's audit is used at the end of a height, at the earliest.
pub(super) fn due(cause: AuditCause, height: u64, id: u64) -> String {
    format!("{}{height:020}/{id:020}", queue(cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_should_not_change() {
        insta::assert_snapshot!(lottery(9, 7), @"audits/lottery/00000000000000000009/00000000000000000007");
        insta::assert_snapshot!(due(AuditCause::Drawn, 9, 7), @"audits/drawn/00000000000000000009/00000000000000000007");
        insta::assert_snapshot!(due(AuditCause::Challenged, 9, 7), @"audits/challenged/00000000000000000009/00000000000000000007");
    }
}
