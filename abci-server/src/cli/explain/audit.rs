//! The history of a task's audit.

use poq_proto::v1::{Audit, AuditCause, AuditResult, Settlement};

use super::{CHAIN, Happening, fraction};

/// The cause of the audit and its outcome.
pub(super) fn audited(audit: &Audit, settlement: &Settlement, denom: &str) -> Vec<Happening> {
    let due = format!("its result counts from block {}", audit.due_height);
    let asked = match audit.cause() {
        AuditCause::Challenged => Happening::new(
            audit.height,
            &audit.challenger,
            format!(
                "challenges the scores with a deposit of {}{denom}; {due}",
                audit.deposit
            ),
        ),
        AuditCause::Drawn | AuditCause::Unspecified => Happening::new(
            audit.height,
            CHAIN,
            format!(
                "draws the task for an audit, which had a probability of {}; {due}",
                fraction(settlement.audit_probability)
            ),
        ),
    };
    let mut all = vec![asked];
    if let Some(result) = &audit.result {
        all.extend(concluded(audit, result, settlement, denom));
    }
    all
}

fn concluded(
    audit: &Audit,
    result: &AuditResult,
    settlement: &Settlement,
    denom: &str,
) -> Vec<Happening> {
    let at = |who: &str, what: String| Happening::new(result.height, who, what);
    let mut all: Vec<Happening> = result
        .scores
        .iter()
        .map(|score| {
            at(
                CHAIN,
                format!(
                    "audits: the reference of {} is {}, quality {}",
                    score.evaluator_model,
                    score.raw_score,
                    fraction(score.quality)
                ),
            )
        })
        .collect();
    if result.scores.is_empty() {
        let what = "audits: the reference evaluator gives this answer no score";
        all.push(at(CHAIN, what.into()));
    }
    all.extend(result.penalties.iter().map(|penalty| {
        let what = format!(
            "revealed a score outside the audit tolerance: loses {}{denom} of its stake, earns \
             nothing and is jailed",
            penalty.amount
        );
        at(&penalty.operator, what)
    }));
    if result.settled_quality != settlement.quality {
        all.push(at(
            CHAIN,
            format!(
                "corrects the quality from {} to {}",
                fraction(result.settled_quality),
                fraction(settlement.quality)
            ),
        ));
    }
    if audit.cause() == AuditCause::Challenged {
        all.push(at(&audit.challenger, deposit(audit, result, denom)));
    }
    if result.burnt > 0 {
        all.push(at(CHAIN, format!("burns {}{denom}", result.burnt)));
    }
    all
}

/// The outcome of the deposit: returned with a reward, or burnt. The reward for a false score may be 0,
/// because its slashes may be 0.
fn deposit(audit: &Audit, result: &AuditResult, denom: &str) -> String {
    let proven = !result.penalties.is_empty() || result.reward > 0;
    match proven {
        true => format!(
            "gets its deposit of {}{denom} back and a reward of {}{denom}",
            audit.deposit, result.reward
        ),
        false => format!(
            "loses its deposit of {}{denom}: no score was wrong",
            audit.deposit
        ),
    }
}
