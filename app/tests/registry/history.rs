//! Invariants that hold whatever operators, validators and the authority do (protocol section 13).

use std::collections::BTreeMap;

use poq_app::modules::validators::consensus_address;
use poq_proto::v1::*;
use proptest::prelude::*;
use tendermint_proto::google::protobuf::Any;

use crate::nodes::{add_stake, short_unbonding, unbond, unjail};
use crate::support::{
    self, Chain, MODEL, POWER, SCORER, STAKE, Wallet, any as pack, commit_message, is_over,
    reveal_message, submit_message,
};

/// An act in one block, besides completed duties.
#[derive(Clone, Debug)]
enum Act {
    Submit,
    AddStake {
        who: usize,
        role: Role,
        amount: u64,
    },
    Unbond {
        who: usize,
        role: Role,
        amount: u64,
    },
    Unjail {
        who: usize,
        role: Role,
    },
    Update {
        who: usize,
        payout: usize,
    },
    Register {
        who: usize,
        role: Role,
    },
    SetPower {
        who: usize,
        power: u64,
    },
    Deprecate {
        model: bool,
        scorer: bool,
    },
    SetParams {
        misses: u32,
        window: u64,
        minimum: u64,
    },
    Evidence {
        who: usize,
    },
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![
        2 => Just(Role::Inference),
        5 => Just(Role::Evaluator),
        3 => Just(Role::Validator),
        1 => Just(Role::Unspecified),
    ]
}

fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(STAKE), 2 => 0..=2 * STAKE, 1 => Just(STAKE / 100), 1 => any::<u64>()]
}

fn act() -> impl Strategy<Value = Act> {
    let who = 0usize..10;
    prop_oneof![
        3 => Just(Act::Submit),
        2 => (who.clone(), role(), amount())
            .prop_map(|(who, role, amount)| Act::AddStake { who, role, amount }),
        4 => (who.clone(), role(), amount())
            .prop_map(|(who, role, amount)| Act::Unbond { who, role, amount }),
        2 => (who.clone(), role()).prop_map(|(who, role)| Act::Unjail { who, role }),
        1 => (who.clone(), 0usize..10).prop_map(|(who, payout)| Act::Update { who, payout }),
        2 => (who.clone(), role()).prop_map(|(who, role)| Act::Register { who, role }),
        3 => (who.clone(), prop_oneof![3 => 0u64..20, 1 => any::<u64>()])
            .prop_map(|(who, power)| Act::SetPower { who, power }),
        1 => (any::<bool>(), any::<bool>())
            .prop_map(|(model, scorer)| Act::Deprecate { model, scorer }),
        1 => (0u32..4, 90u64..140, STAKE / 2..2 * STAKE)
            .prop_map(|(misses, window, minimum)| Act::SetParams { misses, window, minimum }),
        1 => (who, Just(())).prop_map(|(who, ())| Act::Evidence { who }),
    ]
}

/// All participants except the user: 2 inference nodes, 6 evaluators, 2 validators.
fn operator(chain: &mut Chain, who: usize) -> &mut Wallet {
    match who {
        0..2 => &mut chain.inference[who],
        2..8 => &mut chain.evaluators[who - 2],
        _ => &mut chain.validators[who % 2],
    }
}

/// The message of an act and its sender; evidence has none.
fn message(chain: &mut Chain, act: &Act) -> Option<(usize, Any)> {
    /// Stands for the user, who is the authority.
    const USER: usize = usize::MAX;
    let authority = chain.user.address.clone();
    Some(match act {
        Act::Submit => (USER, pack(&submit_message(&chain.user))),
        Act::AddStake { who, role, amount } => {
            (*who, add_stake(operator(chain, *who), *role, *amount))
        }
        Act::Unbond { who, role, amount } => (*who, unbond(operator(chain, *who), *role, *amount)),
        Act::Unjail { who, role } => (*who, unjail(operator(chain, *who), *role)),
        Act::Update { who, payout } => {
            let payout = operator(chain, *payout).address.clone();
            let update = MsgUpdateNode {
                operator: operator(chain, *who).address.clone(),
                role: Role::Evaluator.into(),
                payout,
                models: vec![SCORER.into()],
                ..MsgUpdateNode::default()
            };
            (*who, pack(&update))
        }
        Act::Register { who, role } => (*who, register(operator(chain, *who), *role)),
        Act::SetPower { who, power } => {
            let operator = operator(chain, *who).address.clone();
            let power = *power;
            (
                USER,
                pack(&MsgSetValidatorPower {
                    authority,
                    operator,
                    power,
                }),
            )
        }
        Act::Deprecate {
            model,
            scorer: false,
        } => {
            let model = Some(Model {
                deprecated: *model,
                ..support::model()
            });
            (USER, pack(&MsgSetModel { authority, model }))
        }
        Act::Deprecate { scorer, .. } => {
            let evaluator_model = Some(EvaluatorModel {
                deprecated: *scorer,
                ..support::scorer()
            });
            (
                USER,
                pack(&MsgSetEvaluatorModel {
                    authority,
                    evaluator_model,
                }),
            )
        }
        Act::SetParams {
            misses,
            window,
            minimum,
        } => {
            let params = Some(Params {
                jail_after_misses: *misses,
                unbonding_window: *window,
                min_evaluator_stake: *minimum,
                ..short_unbonding()
            });
            (USER, pack(&MsgUpdateParams { authority, params }))
        }
        Act::Evidence { who } => {
            let key = operator(chain, *who).consensus_key();
            chain.offenders.push(consensus_address(&key).to_vec());
            return None;
        }
    })
}

fn register(wallet: &Wallet, role: Role) -> Any {
    let (operator, stake) = (wallet.address.clone(), STAKE);
    match role {
        Role::Inference | Role::Unspecified => pack(&MsgRegisterInferenceNode {
            operator,
            models: vec![MODEL.into()],
            stake,
            ..MsgRegisterInferenceNode::default()
        }),
        Role::Evaluator => pack(&MsgRegisterEvaluator {
            operator,
            evaluator_models: vec![SCORER.into()],
            stake,
            ..MsgRegisterEvaluator::default()
        }),
        Role::Validator => pack(&MsgRegisterValidator {
            operator,
            public_key: wallet.consensus_key(),
            stake,
            ..MsgRegisterValidator::default()
        }),
    }
}

/// Does every open duty except those of lazy nodes, which differ from task to task.
fn duties(chain: &mut Chain, lazy: u64) -> Vec<Vec<u8>> {
    const SCORE: i32 = 4_000_000;
    let mut txs = Vec::new();
    for task in chain.tasks() {
        let does = |index: usize| (lazy >> ((task.id as usize * 7 + index) % 64)) & 1 == 0;
        let attempt = (task.committees.len() as u32).saturating_sub(1);
        let seats = task.committees.last().map_or(&[][..], |last| &last.seats);
        let mut sign = |operator: &str, message: &dyn Fn(&Wallet) -> Any| {
            let Chain {
                inference,
                evaluators,
                validators,
                ..
            } = chain;
            let wallets = [inference, evaluators, validators];
            let wallet = wallets
                .into_iter()
                .flatten()
                .find(|wallet| wallet.address == operator);
            if let Some(wallet) = wallet {
                let message = message(wallet);
                txs.push(wallet.sign(vec![message]));
            }
        };
        match task.status() {
            TaskStatus::Assigned if does(0) => {
                let node = task.assignments.last().unwrap().operator.clone();
                sign(&node, &|wallet| pack(&answer(wallet, task.id)));
            }
            TaskStatus::Committing => {
                for (_, seat) in seats.iter().enumerate().filter(|(index, _)| does(*index)) {
                    sign(&seat.operator, &|wallet| {
                        pack(&commit_message(wallet, task.id, attempt, SCORE))
                    });
                }
            }
            TaskStatus::Revealing => {
                for (_, seat) in seats
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| does(*index + 3))
                {
                    sign(&seat.operator, &|wallet| {
                        pack(&reveal_message(wallet, task.id, SCORE))
                    });
                }
            }
            _ => {}
        }
    }
    txs
}

fn answer(wallet: &Wallet, task_id: u64) -> MsgSubmitAnswers {
    MsgSubmitAnswers {
        operator: wallet.address.clone(),
        items: vec![AnswerItem {
            task_id,
            answer: "Paris.".into(),
            ..AnswerItem::default()
        }],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_history_of_operators_is_conserving_and_leaves_validators(
        history in prop::collection::vec(
            (prop::collection::vec(act(), 0..6), prop_oneof![2 => Just(0u64), 3 => any::<u64>()]),
            1..40,
        ),
    ) {
        let params = Params { jail_after_misses: 2, ..short_unbonding() };
        let mut chain = Chain::without_outputs(params.clone(), 2, 6);
        let mut twin = Chain::without_outputs(params, 2, 6);
        // The validator set that CometBFT has.
        let mut set: BTreeMap<Vec<u8>, u64> = chain
            .validators
            .iter()
            .map(|wallet| (wallet.consensus_key(), POWER))
            .collect();
        for (acts, lazy) in history {
            let mut txs = duties(&mut chain, lazy);
            for act in &acts {
                if let Some((who, message)) = message(&mut chain, act) {
                    let wallet = match who {
                        usize::MAX => &mut chain.user,
                        who => operator(&mut chain, who),
                    };
                    txs.push(wallet.sign(vec![message]));
                }
            }
            twin.offenders.clone_from(&chain.offenders);
            let results = chain.block(&txs);
            prop_assert_eq!(&results, &twin.block(&txs));
            prop_assert_eq!(chain.app_hash, twin.app_hash);
            prop_assert_eq!(&chain.updates, &twin.updates);
            chain.assert_money_is_conserved();
            support::read_sequences(&mut chain);
            for update in &chain.updates {
                match update.power {
                    // CometBFT halts if it is told to remove an unknown validator.
                    0 => prop_assert!(set.remove(&update.public_key).is_some()),
                    power => drop(set.insert(update.public_key.clone(), power)),
                }
            }
            prop_assert!(!set.is_empty());
        }
        // After the longest window every leaving node is gone and every task is over.
        chain.blocks(160);
        prop_assert!(chain.tasks().iter().all(is_over));
        prop_assert!(chain.events.iter().all(|found| found.r#type != poq_proto::event::TASK_SET_ASIDE));
        chain.assert_money_is_conserved();
        for role in [Role::Inference, Role::Evaluator] {
            for node in chain.nodes(role) {
                prop_assert_eq!(node.open_duties, 0);
                prop_assert!(node.unbonding.is_empty());
                prop_assert!(node.status() != NodeStatus::Unbonding);
            }
        }
        for validator in chain.validators() {
            prop_assert!(validator.unbonding.is_empty());
            let known = set.get(&validator.public_key).copied().unwrap_or(0);
            prop_assert_eq!(validator.power, known);
        }
    }
}
