use poq_proto::v1::Role;

use crate::error::{Error, Result};
use crate::modules::nodes;

/// Id of the next task, `u64`; ids start at 1.
pub(super) const NEXT_ID: &str = "tasks/next-id";
/// Prefix of all tasks; the id follows.
pub(super) const TASKS: &str = "tasks/task/";
/// Prefix of the queue of tasks that need a draw, by the height of the next try.
pub(super) const DRAW: &str = "tasks/draw/";
/// Prefix of the queue of tasks by the height at whose end they advance.
pub(super) const DUE: &str = "tasks/due/";

/// Prefix of the queue of ended tasks by the height at whose end their record becomes compact.
pub(super) const COMPACT: &str = "tasks/compact/";

/// `poq.v1.Task`.
pub(super) fn task(id: u64) -> String {
    format!("{TASKS}{id:020}")
}

/// Marks that a task draws nodes at the beginning of a height.
pub(super) fn draw(height: u64, id: u64) -> String {
    format!("{DRAW}{height:020}/{id:020}")
}

/// Marks that a task advances at the end of a height, at the latest.
pub(super) fn due(height: u64, id: u64) -> String {
    format!("{DUE}{height:020}/{id:020}")
}

/// Marks that the record of an ended task becomes compact at the end of a height.
pub(super) fn compact(height: u64, id: u64) -> String {
    format!("{COMPACT}{height:020}/{id:020}")
}

/// The height and the task in a key of one of the queues.
pub fn parse_queued(queue: &str, key: &[u8]) -> Result<(u64, u64)> {
    let parsed = std::str::from_utf8(key).ok().and_then(|key| {
        let (height, id) = key.strip_prefix(queue)?.split_once('/')?;
        Some((height.parse().ok()?, id.parse().ok()?))
    });
    parsed.ok_or_else(|| Error::broken(format!("a key of the queue {queue} is corrupt")))
}

/// Prefix of the tasks of a user; the id follows.
pub(super) fn tasks_of(user: &str) -> String {
    format!("tasks/user/{user}/")
}

/// Marks that a task belongs to the user.
pub(super) fn task_of(user: &str, id: u64) -> String {
    format!("{}{id:020}", tasks_of(user))
}

/// Number of a user's open tasks, `u64`, absent when zero.
pub(super) fn open(user: &str) -> String {
    format!("tasks/open/{user}")
}

/// Prefix of a node's open duties; the task id follows.
pub(super) fn duties(role: Role, operator: &str) -> String {
    format!("tasks/duty/{}/{operator}/", nodes::name(role))
}

/// Marks that a node has an open duty for a task.
pub(super) fn duty(role: Role, operator: &str, id: u64) -> String {
    format!("{}{id:020}", duties(role, operator))
}

/// Payload: the prompt's bytes.
pub(super) fn prompt(id: u64) -> String {
    format!("tasks/prompt/{id:020}")
}

/// Payload: the answer's bytes.
pub(super) fn answer(id: u64) -> String {
    format!("tasks/answer/{id:020}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_read_back() {
        let key = due(9, 7);
        assert_eq!(parse_queued(DUE, key.as_bytes()).unwrap(), (9, 7));
        assert!(parse_queued(COMPACT, key.as_bytes()).is_err());
    }

    #[test]
    fn keys_should_not_change() {
        insta::assert_snapshot!(task(7), @"tasks/task/00000000000000000007");
        insta::assert_snapshot!(draw(9, 7), @"tasks/draw/00000000000000000009/00000000000000000007");
        insta::assert_snapshot!(due(9, 7), @"tasks/due/00000000000000000009/00000000000000000007");
        insta::assert_snapshot!(compact(9, 7), @"tasks/compact/00000000000000000009/00000000000000000007");
        insta::assert_snapshot!(task_of("poq1x", 7), @"tasks/user/poq1x/00000000000000000007");
        insta::assert_snapshot!(open("poq1x"), @"tasks/open/poq1x");
        insta::assert_snapshot!(duty(Role::Evaluator, "poq1x", 7), @"tasks/duty/evaluator/poq1x/00000000000000000007");
        insta::assert_snapshot!(prompt(7), @"tasks/prompt/00000000000000000007");
        insta::assert_snapshot!(answer(7), @"tasks/answer/00000000000000000007");
    }
}
