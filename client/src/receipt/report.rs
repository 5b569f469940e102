//! What the verification of a receipt found.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::Outcome;

/// The findings, in the order of the checks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What it all comes to.
    pub verdict: Verdict,
    /// The chain's id.
    pub chain_id: String,
    /// What the receipt is about, as `task 7` or `answer 3 of session 7`.
    pub subject: String,
    /// Each check.
    pub checks: Vec<Check>,
    /// What became of an answer of a session; absent unless its record is proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Outcome>,
    /// What became of a task; absent unless its record is proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskOutcome>,
}

/// What became of a task, out of its proven record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskOutcome {
    /// The task's status.
    pub status: String,
    /// Consensus quality, ppm; absent before the settlement.
    pub quality: Option<u32>,
    /// Price, base units; absent before the settlement.
    pub price: Option<u64>,
    /// Returned to the user, base units; absent before the settlement.
    pub refund: Option<u64>,
}

/// What the findings come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that the receipt says is proven against the trust anchor.
    Verified,
    /// Nothing is wrong, but the chain does not commit to the answer (yet).
    Provisional,
    /// Nothing is wrong, but no trust anchor was given, so the header may be anyone's.
    Untrusted,
    /// Something is wrong.
    Failed,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked; stable.
    pub name: &'static str,
    /// Its result.
    pub result: Holds,
    /// Values, or what is wrong, or what is missing.
    pub detail: String,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// It holds.
    Yes,
    /// It does not hold.
    No,
    /// The receipt has not what the check needs.
    Unchecked,
    /// It cannot hold before the chain commits to the answer.
    NotYet,
    /// It needs a trust anchor.
    Untrusted,
}

impl Report {
    pub(super) fn new(chain_id: &str, subject: String) -> Self {
        Self {
            verdict: Verdict::Failed,
            chain_id: chain_id.into(),
            subject,
            checks: Vec::new(),
            answer: None,
            task: None,
        }
    }

    /// Whether everything is proven.
    pub fn is_verified(&self) -> bool {
        self.verdict == Verdict::Verified
    }

    pub(super) fn add(&mut self, name: &'static str, result: Holds, detail: impl Into<String>) {
        self.checks.push(Check {
            name,
            result,
            detail: detail.into(),
        });
    }

    /// Adds a check that holds with one text, or fails with another; says whether it holds.
    pub(super) fn check(
        &mut self,
        name: &'static str,
        result: Result<impl Into<String>, impl Display>,
    ) -> bool {
        match result {
            Ok(detail) => self.add(name, Holds::Yes, detail),
            Err(reason) => {
                self.add(name, Holds::No, reason.to_string());
                return false;
            }
        }
        true
    }

    /// Sums up.
    pub(super) fn concluded(mut self) -> Self {
        let has = |result| self.checks.iter().any(|check| check.result == result);
        self.verdict = if has(Holds::No) {
            Verdict::Failed
        } else if has(Holds::Untrusted) {
            Verdict::Untrusted
        } else if has(Holds::NotYet) {
            Verdict::Provisional
        } else {
            Verdict::Verified
        };
        self
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "receipt of {} on {}", self.subject, self.chain_id)?;
        for Check {
            name,
            result,
            detail,
        } in &self.checks
        {
            let mark = match result {
                Holds::Yes => "ok",
                Holds::No => "WRONG",
                Holds::Unchecked => "-",
                Holds::NotYet => "not yet",
                Holds::Untrusted => "UNTRUSTED",
            };
            writeln!(f, "  {mark:9}  {name:11}  {detail}")?;
        }
        if let Some(answer) = &self.answer {
            writeln!(f, "  phase      {answer}")?;
        }
        if let Some(task) = &self.task {
            writeln!(f, "  status     {task}")?;
        }
        f.write_str(match self.verdict {
            Verdict::Verified => "verified",
            Verdict::Provisional => {
                "provisional: nothing is wrong, but the chain does not commit to the answer"
            }
            Verdict::Untrusted => {
                "not verified: the parts fit together, but nothing shows that the header is the chain's"
            }
            Verdict::Failed => "FAILED: the receipt is wrong",
        })
    }
}

impl Display for TaskOutcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.status)?;
        if let Some(quality) = self.quality {
            write!(f, ", quality {quality} ppm")?;
        }
        if let (Some(price), Some(refund)) = (self.price, self.refund) {
            write!(f, ", price {price}, refund {refund}")?;
        }
        Ok(())
    }
}
