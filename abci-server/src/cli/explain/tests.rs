use poq_app::modules::params::default_params;
use poq_client::Attribute;
use poq_proto::v1::{
    Answer, Assignment, Audit, AuditCause, AuditPenalty, AuditResult, Committee, LeafOfSession,
    Payout, ReferenceScore, RefundReason, Reveal, Seat, Settlement, Terms,
};

use super::*;

fn seat(operator: &str, quality: Option<u32>) -> Seat {
    Seat {
        operator: operator.into(),
        evaluator_model: "scorer".into(),
        weight: 100,
        commitment: vec![1; 32],
        commit_height: 12,
        reveal: quality.map(|quality| Reveal {
            raw_score: 5,
            quality,
            height: 14,
        }),
    }
}

fn payout(operator: &str, amount: u64) -> Payout {
    Payout {
        operator: operator.into(),
        payout: operator.into(),
        amount,
    }
}

/// A task with the amounts of the settlement's own tests, whose first node missed its window.
fn task() -> Task {
    let assignment = |operator: &str, height, missed| Assignment {
        operator: operator.into(),
        height,
        beacon: vec![7; 32],
        missed,
        missed_height: if missed { 8 } else { 0 },
        ..Assignment::default()
    };
    let qualities = [Some(700_000), Some(600_000), Some(900_001), None];
    let operators = ["e0", "e1", "e2", "e3"];
    Task {
        id: 7,
        user: "u".into(),
        model: "llm".into(),
        prompt_bytes: 100,
        max_answer_bytes: 1_000,
        escrow: 20_000,
        submitted_height: 3,
        updated_height: 20,
        status: TaskStatus::Final.into(),
        assignments: vec![assignment("n0", 3, true), assignment("n1", 9, false)],
        answer: Some(Answer {
            operator: "n1".into(),
            bytes: 890,
            height: 11,
            ..Answer::default()
        }),
        committees: vec![Committee {
            height: 11,
            beacon: vec![8; 32],
            seats: operators
                .iter()
                .zip(qualities)
                .map(|(operator, quality)| seat(operator, quality))
                .collect(),
            reveal_height: 12,
            ..Committee::default()
        }],
        settlement: Some(Settlement {
            quality: 700_000,
            price: 10_000,
            inference: Some(payout("n1", 7_500)),
            evaluators: operators
                .iter()
                .zip([500, 250, 0, 0])
                .map(|(operator, amount)| payout(operator, amount))
                .collect(),
            protocol: 500,
            refund: 11_250,
            height: 15,
            final_height: 20,
            audit_probability: 0,
        }),
        terms: Some(Terms {
            base_price: 1_000,
            price_per_prompt_byte: 1,
            price_per_answer_byte: 10,
            quality_floor: 200_000,
            quality_target: 700_000,
        }),
        ..Task::default()
    }
}

#[test]
fn a_paid_task_is_explained_in_full() {
    let task = task();
    let mut explanation = explain(&task, &default_params());
    assert_eq!(
        slash_heights(&task).into_iter().collect::<Vec<_>>(),
        [8, 12, 15]
    );
    explanation.slashed.push(Slash {
        height: 9,
        who: "n0".into(),
        role: "inference".into(),
        amount: "1000".into(),
        reason: "no_answer".into(),
    });
    insta::assert_snapshot!(render(&task, &explanation));
}

/// The same task after an audit with the reference quality 600,000 for all seats.
fn audited() -> Task {
    let mut task = task();
    for seat in &mut task.committees[0].seats {
        seat.weight = 100;
    }
    let settlement = task.settlement.as_mut().unwrap();
    settlement.quality = 600_000;
    settlement.inference.as_mut().unwrap().amount = 6_000;
    for (payout, amount) in settlement.evaluators.iter_mut().zip([0, 500, 0, 0]) {
        payout.amount = amount;
    }
    (settlement.refund, settlement.audit_probability) = (13_000, 20_000);
    let penalty = |operator: &str| AuditPenalty {
        operator: operator.into(),
        amount: 1_000,
    };
    task.audit = Some(Audit {
        cause: AuditCause::Challenged.into(),
        height: 17,
        due_height: 20,
        challenger: "c".into(),
        deposit: 50,
        result: Some(AuditResult {
            height: 20,
            scores: vec![ReferenceScore {
                evaluator_model: "scorer".into(),
                raw_score: 5,
                quality: 600_000,
            }],
            settled_quality: 700_000,
            penalties: vec![penalty("e0"), penalty("e2")],
            reward: 1_000,
            burnt: 1_000,
        }),
    });
    task
}

#[test]
fn an_audit_is_explained_and_its_amounts_are_computed() {
    let task = audited();
    let explanation = explain(&task, &default_params());
    assert_eq!(
        slash_heights(&task).into_iter().collect::<Vec<_>>(),
        [8, 12, 15, 20]
    );
    assert!(explanation.notes.is_empty(), "{:?}", explanation.notes);
    insta::assert_snapshot!(render(&task, &explanation));
}

#[test]
fn a_drawn_audit_and_a_lost_challenge_are_told() {
    let mut task = audited();
    let audit = task.audit.as_mut().unwrap();
    audit.result = Some(AuditResult {
        settled_quality: 600_000,
        burnt: 50,
        ..AuditResult::default()
    });
    let told = |task: &Task| render(task, &explain(task, &default_params()));
    let text = told(&task);
    assert!(text.contains("gives this answer no score"), "{text}");
    assert!(text.contains("loses its deposit of 50upoq"), "{text}");
    let audit = task.audit.as_mut().unwrap();
    audit.set_cause(AuditCause::Drawn);
    audit.result = None;
    task.set_status(TaskStatus::Settled);
    let text = told(&task);
    assert!(text.contains("had a probability of 0.020000"), "{text}");
    assert!(text.contains("which is being audited"), "{text}");
}

#[test]
fn other_parameters_are_said_and_explain_nothing() {
    let params = Params {
        evaluator_share: 1,
        ..default_params()
    };
    let explanation = explain(&task(), &params);
    assert!(explanation.notes[0].contains("parameters have changed"));
    assert!(explanation.amounts.iter().all(|one| one.of != "quality"));
}

#[test]
fn every_status_has_a_summary() {
    for status in 1..=8 {
        let task = Task {
            status,
            ..Task::default()
        };
        assert!(summary(&task, "upoq").starts_with("task 0 "));
    }
}

#[test]
fn a_refund_says_why() {
    let task = Task {
        settlement: None,
        committees: Vec::new(),
        status: TaskStatus::Refunded.into(),
        refund_reason: RefundReason::Cancelled.into(),
        ..task()
    };
    let explanation = explain(&task, &default_params());
    assert!(
        explanation
            .summary
            .contains("20000upoq of its escrow of 20000upoq went back: the user cancelled it")
    );
    assert!(explanation.amounts.is_empty());

    let late = Task {
        cancellation_fee: 5_000,
        ..task
    };
    let summary = explain(&late, &default_params()).summary;
    assert!(
        summary.contains("15000upoq of its escrow of 20000upoq went back"),
        "{summary}"
    );
    assert!(summary.ends_with("for a fee of 5000upoq"), "{summary}");
}

#[test]
fn a_compact_record_says_where_the_full_one_is() {
    let mut task = task();
    task.assignments.clear();
    task.committees.clear();
    task.record_sha256 = vec![0xab; 32];
    let settlement = task.settlement.as_mut().unwrap();
    settlement.evaluators.clear();
    settlement.inference = None;
    let explanation = explain(&task, &default_params());
    assert!(explanation.notes[0].contains(&"ab".repeat(32)));
    let of: Vec<&str> = explanation
        .amounts
        .iter()
        .map(|one| one.of.as_str())
        .collect();
    assert_eq!(of, ["price", "protocol", "u"]);
}

/// The task as the score of an answer of a session: its escrow is the pot.
fn leaf() -> Task {
    let mut task = task();
    task.leaf = Some(LeafOfSession {
        session: 3,
        number: 5,
        price: 10_000,
        at_stake: 12_000,
    });
    (task.submitted_height, task.escrow) = (11, 2_000);
    task.assignments.clear();
    let settlement = task.settlement.as_mut().unwrap();
    (settlement.price, settlement.protocol, settlement.refund) = (2_000, 0, 1_250);
    settlement.inference = None;
    task
}

#[test]
fn a_task_that_scores_an_answer_of_a_session_is_explained() {
    let mut task = leaf();
    let explanation = explain(&task, &default_params());
    assert!(explanation.notes.is_empty(), "{:?}", explanation.notes);
    let text = render(&task, &explanation);
    for part in [
        "which answer 5 of session 3 is paid by.",
        "11  n1 reveals answer 5 of session 3 with 890 bytes, for 100 bytes of prompt; 2000upoq are held",
        "pot: 2000\n    the evaluators' share of 10000, the price of answer 5 of session 3",
        "e0: 500\n    evaluator: a seat's 500 of 2000 for the committee",
        "u: 1250\n    refund: the rest of the 2000 that were held",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for part in ["inference:", "protocol:", "asks", "answers"] {
        assert!(!text.contains(part), "{part}: {text}");
    }

    task.record_sha256 = vec![0xab; 32];
    task.committees.clear();
    task.settlement.as_mut().unwrap().evaluators.clear();
    task.answer.as_mut().unwrap().operator.clear();
    let text = render(&task, &explain(&task, &default_params()));
    assert!(text.contains("the node reveals answer 5"), "{text}");
    assert!(text.contains("pot: 2000"), "{text}");
    assert!(!text.contains("protocol:"), "{text}");

    task.settlement = None;
    task.set_status(TaskStatus::Refunded);
    task.set_refund_reason(RefundReason::NoQuorum);
    let text = render(&task, &explain(&task, &default_params()));
    assert!(text.contains("2000upoq of its escrow of 2000upoq went back"), "{text}");
}

#[test]
fn slashes_are_read_from_events() {
    let event = |task: &str| Event {
        kind: event::NODE_SLASHED.into(),
        attributes: [
            (event::TASK, task),
            (event::NODE, "n0"),
            (event::ROLE, "inference"),
            (event::AMOUNT, "5"),
            (event::REASON, "no_answer"),
        ]
        .map(|(key, value)| Attribute {
            key: key.into(),
            value: value.into(),
        })
        .into(),
    };
    let found = slashes(7, 9, &[event("70"), event("7")]);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].who.as_str(), found[0].amount.as_str()),
        ("n0", "5")
    );
}
