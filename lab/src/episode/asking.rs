//! The order in which users ask questions.

use std::collections::VecDeque;

use poq_client::{Any, tx::any};
use poq_proto::v1::MsgSubmitTask;

use super::{Cast, Setting};
use crate::error::{Error, Result};
use crate::strategy::{Asks, User};
use crate::world::MODEL;

/// Index of the ordinary user among the members.
const USER: usize = 0;
/// Distance between the first question numbers of two users: their ranges are disjoint, so that one
/// user's questions do not change the worth of another's answers.
const NUMBERS: u64 = 1 << 32;

/// A question, which becomes a new task each time it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// The user's index among the members.
    pub user: usize,
    /// The user's strategy.
    pub strategy: User,
    /// The question's number in the run, which seeds everything about it.
    pub number: u64,
}

/// A user and its remaining questions.
struct Asker {
    member: usize,
    strategy: User,
    next: u64,
    left: u32,
    /// Questions per round.
    batch: u32,
}

/// The questions of a run.
pub(super) struct Asking<'a> {
    setting: &'a Setting,
    seed: u64,
    askers: Vec<Asker>,
    /// Cancelled questions, to be asked again.
    again: Vec<Question>,
    /// Sent, but not yet tasks.
    sent: VecDeque<Question>,
    /// By task id; ids begin at 1 and have no gaps.
    tasks: Vec<Question>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(setting: &'a Setting, cast: &Cast, seed: u64) -> Self {
        let batch = setting.batch.max(1);
        let ordinary = Asker {
            member: USER,
            strategy: User::HONEST,
            next: 1,
            left: setting.tasks,
            batch,
        };
        let first = 1 + cast.inference.len() + cast.evaluators.len();
        let others = (first..).zip(&cast.users).map(|(member, role)| Asker {
            member,
            strategy: role.strategy,
            next: member as u64 * NUMBERS,
            left: match role.strategy.asks {
                Asks::Nothing => 0,
                _ => part(setting.tasks, role.percent),
            },
            batch: part(batch, role.percent).max(1),
        });
        Self {
            setting,
            seed,
            askers: [ordinary].into_iter().chain(others).collect(),
            again: Vec::new(),
            sent: VecDeque::new(),
            tasks: Vec::new(),
        }
    }

    /// Whether every question has been asked and none is cancelled.
    pub(super) fn is_over(&self) -> bool {
        self.unasked() == 0
    }

    /// Number of questions that are not tasks yet.
    pub(super) fn unasked(&self) -> usize {
        let left: u32 = self.askers.iter().map(|asker| asker.left).sum();
        left as usize + self.again.len() + self.sent.len()
    }

    /// Chooses the next questions, in the order in which they are sent.
    pub(super) fn begin_round(&mut self) {
        let mut round = std::mem::take(&mut self.again);
        for asker in &mut self.askers {
            let count = asker.left.min(asker.batch);
            asker.left -= count;
            let numbers = asker.next..asker.next + u64::from(count);
            asker.next = numbers.end;
            let (user, strategy) = (asker.member, asker.strategy);
            round.extend(numbers.map(|number| Question {
                user,
                strategy,
                number,
            }));
        }
        // A user's questions are one transaction, and transactions follow the order of the members.
        round.sort_by_key(|question| question.user);
        self.sent = round.into();
    }

    /// The questions of the round, while the chain has no room for them.
    pub(super) fn messages(&self, address: impl Fn(usize) -> String) -> Vec<(usize, Vec<Any>)> {
        let mut sent: Vec<(usize, Vec<Any>)> = Vec::new();
        for question in &self.sent {
            let message = any(&self.message(question, address(question.user)));
            match sent.last_mut() {
                Some((user, messages)) if *user == question.user => messages.push(message),
                _ => sent.push((question.user, vec![message])),
            }
        }
        sent
    }

    fn message(&self, question: &Question, user: String) -> MsgSubmitTask {
        let Setting {
            questions, world, ..
        } = self.setting;
        let asks = question.strategy.asks;
        let limits = asks.limits(world, questions.max_answer_bytes());
        MsgSubmitTask {
            user,
            model: MODEL.into(),
            prompt: questions.prompt(self.seed, question.number).to_owned(),
            max_answer_bytes: limits.max_answer_bytes,
            min_quality: limits.min_quality,
            max_fee: world.price(),
            ..MsgSubmitTask::default()
        }
    }

    /// The next of the sent questions becomes a task.
    pub(super) fn asked(&mut self) -> Result<()> {
        let question = self.sent.pop_front();
        let question =
            question.ok_or_else(|| Error::unreadable("event", "no question was sent"))?;
        self.tasks.push(question);
        Ok(())
    }

    /// The question of a task.
    pub(super) fn of(&self, task: u64) -> Result<Question> {
        let question = self.tasks.get((task as usize).wrapping_sub(1)).copied();
        question.ok_or_else(|| Error::unreadable("event", format!("task {task} was never asked")))
    }

    /// Queues a cancelled question to be asked again.
    pub(super) fn again(&mut self, question: Question) {
        self.again.push(question);
    }
}

fn part(whole: u32, percent: u32) -> u32 {
    (u64::from(whole) * u64::from(percent) / 100) as u32
}

impl Question {
    /// Whether the user cancels it when its own node, or another one, is drawn for it.
    pub(super) fn goes_back(&self, own: bool) -> bool {
        self.strategy.takes_back.applies(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episode::UserRole;
    use crate::strategy::TakesBack;

    fn cast(strategy: User) -> Cast {
        Cast {
            users: vec![UserRole {
                strategy,
                percent: 50,
                studied: true,
            }],
            ..Cast::default()
        }
    }

    fn setting() -> Setting {
        Setting {
            batch: 4,
            ..Setting::new(6)
        }
    }

    fn round(asking: &mut Asking<'_>) -> Vec<(usize, u64)> {
        asking.begin_round();
        let questions: Vec<_> = asking.sent.iter().copied().collect();
        for _ in &questions {
            asking.asked().unwrap();
        }
        let pair = |question: &Question| (question.user, question.number % NUMBERS);
        questions.iter().map(pair).collect()
    }

    #[test]
    fn users_ask_in_proportion_and_what_is_taken_back_comes_again() {
        let setting = setting();
        let taking_back = User {
            takes_back: TakesBack::Own,
            ..User::HONEST
        };
        let mut asking = Asking::new(&setting, &cast(taking_back), 1);
        assert_eq!(asking.unasked(), 9);
        let first = [(0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1)];
        assert_eq!(round(&mut asking), first);
        let question = asking.of(5).unwrap();
        assert!(question.goes_back(true) && !question.goes_back(false));
        asking.again(question);
        assert_eq!(round(&mut asking), [(0, 5), (0, 6), (1, 0), (1, 2)]);
        assert!(asking.is_over());
        assert!(asking.of(0).is_err() && asking.of(11).is_err());
    }

    #[test]
    fn who_asks_nothing_is_nobody() {
        let setting = setting();
        let silent = User {
            asks: Asks::Nothing,
            ..User::HONEST
        };
        let mut asking = Asking::new(&setting, &cast(silent), 1);
        assert_eq!(asking.unasked(), 6);
        round(&mut asking);
        assert_eq!(asking.messages(|_| String::new()).len(), 0);
    }
}
