/// Id of the next session, `u64`; ids start at 1.
pub(super) const NEXT_ID: &str = "sessions/next-id";
/// Prefix of all sessions; the id follows.
pub(super) const SESSIONS: &str = "sessions/session/";
/// Prefix of the queue of sessions that need a draw, by its height.
pub(super) const DRAW: &str = "sessions/draw/";
/// Prefix of the queue of sessions by the height at whose end they advance.
pub(super) const DUE: &str = "sessions/due/";
/// Prefix of the queue of ended sessions by the height at whose end their record becomes compact.
pub(super) const COMPACT: &str = "sessions/compact/";

/// `poq.v1.Session`.
pub(super) fn session(id: u64) -> String {
    format!("{SESSIONS}{id:020}")
}

/// Marks that a session draws at the beginning of a height.
pub(super) fn draw(height: u64, id: u64) -> String {
    format!("{DRAW}{height:020}/{id:020}")
}

/// Marks that a session advances at the end of a height, at the latest.
pub(super) fn due(height: u64, id: u64) -> String {
    format!("{DUE}{height:020}/{id:020}")
}

/// Marks that the record of an ended session becomes compact at the end of a height.
pub(super) fn compact(height: u64, id: u64) -> String {
    format!("{COMPACT}{height:020}/{id:020}")
}

/// Prefix of the sessions of a user; the id follows.
pub(super) fn sessions_of(user: &str) -> String {
    format!("sessions/user/{user}/")
}

/// Marks that a session belongs to the user.
pub(super) fn session_of(user: &str, id: u64) -> String {
    format!("{}{id:020}", sessions_of(user))
}

/// Prefix of a node's sessions that are not over; the id follows.
pub(super) fn sessions_of_node(operator: &str) -> String {
    format!("sessions/node/{operator}/")
}

/// Marks that a session that is not over has this node.
pub(super) fn session_of_node(operator: &str, id: u64) -> String {
    format!("{}{id:020}", sessions_of_node(operator))
}

/// Number of a user's sessions that are not over, `u64`, absent when zero.
pub(super) fn open(user: &str) -> String {
    format!("sessions/open/{user}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_should_not_change() {
        insta::assert_snapshot!(NEXT_ID, @"sessions/next-id");
        insta::assert_snapshot!(session(7), @"sessions/session/00000000000000000007");
        insta::assert_snapshot!(draw(9, 7), @"sessions/draw/00000000000000000009/00000000000000000007");
        insta::assert_snapshot!(due(9, 7), @"sessions/due/00000000000000000009/00000000000000000007");
        insta::assert_snapshot!(compact(9, 7), @"sessions/compact/00000000000000000009/00000000000000000007");
        insta::assert_snapshot!(session_of("poq1x", 7), @"sessions/user/poq1x/00000000000000000007");
        insta::assert_snapshot!(session_of_node("poq1x", 7), @"sessions/node/poq1x/00000000000000000007");
        insta::assert_snapshot!(open("poq1x"), @"sessions/open/poq1x");
    }
}
