//! The authority's settings: models and parameters.

use poq_app::tx::Signatures;
use poq_proto::code;
use poq_proto::v1::*;
use tendermint_proto::google::protobuf::Any;

use crate::support::{
    self, Chain, DENOM, Draft, MODEL, SCORER, STAKE, any, params, scorer, submit_message,
};
use crate::{GOOD, check, code_of, run, user};

fn set_model(chain: &Chain, change: impl FnOnce(&mut Model)) -> MsgSetModel {
    let mut model = support::model();
    change(&mut model);
    MsgSetModel {
        authority: chain.user.address.clone(),
        model: Some(model),
    }
}

fn set_scorer(chain: &Chain, change: impl FnOnce(&mut EvaluatorModel)) -> MsgSetEvaluatorModel {
    let mut evaluator_model = scorer();
    change(&mut evaluator_model);
    MsgSetEvaluatorModel {
        authority: chain.user.address.clone(),
        evaluator_model: Some(evaluator_model),
    }
}

#[test]
fn an_evaluator_model_stays_the_function_that_it_is() {
    let mut chain = Chain::new(1, 5);
    let changes: [fn(&mut EvaluatorModel); 5] = [
        |model| model.weights_sha256 = "01".repeat(32),
        |model| model.tokenizer_sha256 = "01".repeat(32),
        |model| model.max_tokens = 256,
        |model| model.max_windows = 2,
        |model| model.caps_junk = true,
    ];
    for change in changes {
        let message = any(&set_scorer(&chain, change));
        assert_eq!(check(&chain, &chain.user, message), code::INVALID_REQUEST);
        // Another id may be another function.
        let message = any(&set_scorer(&chain, |model| {
            change(model);
            model.id = "other".into();
        }));
        run(&mut chain, user, message);
        chain = Chain::new(1, 5);
    }
}

#[test]
fn only_the_authority_sets_registries_and_parameters() {
    let chain = Chain::new(1, 5);
    let stranger = &chain.inference[0];
    let mut model = set_model(&chain, |_| {});
    let mut evaluator_model = set_scorer(&chain, |_| {});
    let mut update = MsgUpdateParams {
        authority: chain.user.address.clone(),
        params: Some(params()),
    };
    let mut power = MsgSetValidatorPower {
        authority: chain.user.address.clone(),
        operator: chain.validators[0].address.clone(),
        power: 1,
    };
    for authority in [
        &mut model.authority,
        &mut evaluator_model.authority,
        &mut update.authority,
        &mut power.authority,
    ] {
        authority.clone_from(&stranger.address);
    }
    for message in [
        any(&model),
        any(&evaluator_model),
        any(&update),
        any(&power),
    ] {
        assert_eq!(check(&chain, stranger, message), code::UNAUTHORIZED);
    }
    // A message whose sender is the authority must be signed by the authority.
    let forged = Draft::new(stranger, vec![any(&set_model(&chain, |_| {}))]).sign(stranger);
    let refused = code_of(chain.app.check_tx(&forged, Signatures::Verify));
    assert_eq!(refused, code::INVALID_PUBKEY);
}

#[test]
fn a_replaced_model_is_for_tasks_to_come() {
    let mut chain = Chain::new(1, 5);
    let id = chain.submit();
    let dearer = any(&set_model(&chain, |model| model.base_price = 2_000));
    run(&mut chain, user, dearer);
    chain.answer(id, "Paris.");
    chain.commit(id, GOOD, &[]);
    // The calibration at the height of the reveal counts.
    let harsh = set_scorer(&chain, |model| model.calibration[1].quality = 500_000);
    run(&mut chain, user, any(&harsh));
    chain.reveal(id, GOOD, &[]);
    let settlement = chain.task(id).settlement.unwrap();
    assert_eq!((settlement.price, settlement.quality), (1_540, 350_000));
    let id = chain.submit();
    chain.answer(id, "Paris.");
    chain.commit(id, GOOD, &[]);
    chain.reveal(id, GOOD, &[]);
    assert_eq!(chain.task(id).settlement.unwrap().price, 2_540);
    chain.blocks(2);
    chain.assert_money_is_conserved();
}

/// The model's list changes before the answer, and nobody serves the new evaluator model.
#[test]
fn a_task_is_judged_by_the_evaluator_models_of_its_submission() {
    let mut chain = Chain::new(1, 5);
    let id = chain.submit();
    let other = set_scorer(&chain, |model| model.id = "other".into());
    run(&mut chain, user, any(&other));
    let renamed = set_model(&chain, |model| {
        model.evaluator_models[0].id = "other".into()
    });
    run(&mut chain, user, any(&renamed));
    chain.answer(id, "Paris.");
    chain.commit(id, GOOD, &[]);
    chain.reveal(id, GOOD, &[]);
    let task = chain.task(id);
    assert_eq!(task.evaluator_models, support::model().evaluator_models);
    let seats = &task.committees[0].seats;
    assert!(seats.len() == 5 && seats.iter().all(|seat| seat.evaluator_model == SCORER));
    assert_eq!(task.settlement.unwrap().price, 1_540);
}

#[test]
fn a_model_limits_its_prompts() {
    let mut chain = Chain::new(1, 5);
    let short = any(&set_model(&chain, |model| model.max_prompt_bytes = 10));
    run(&mut chain, user, short);
    let ask = |length| {
        any(&MsgSubmitTask {
            prompt: "x".repeat(length),
            ..submit_message(&chain.user)
        })
    };
    assert_eq!(check(&chain, &chain.user, ask(11)), code::INVALID_PROMPT);
    let fits = chain.user.sign(vec![ask(10)]);
    chain.app.check_tx(&fits, Signatures::Verify).unwrap();
}

/// Every node must have time to get the files of an evaluator model before an audit can need them.
#[test]
fn a_new_evaluator_model_waits_until_a_language_model_may_name_it() {
    let params = Params {
        model_activation_delay: 5,
        ..params()
    };
    let mut chain = Chain::with_params(params, 1, 5);
    let new = set_scorer(&chain, |model| {
        model.id = "new".into();
        // Only the chain sets the height of the registration.
        model.registered_height = 0;
    });
    run(&mut chain, user, any(&new));
    let registered = chain.height;
    let named = |chain: &Chain| {
        any(&set_model(chain, |model| {
            model.evaluator_models[0].id = "new".into();
        }))
    };
    while chain.height + 1 < registered + 5 {
        let refused = check(&chain, &chain.user, named(&chain));
        assert_eq!(refused, code::INVALID_REQUEST);
        chain.blocks(1);
    }
    // Replacing the entry does not restart the wait.
    run(&mut chain, user, any(&new));
    let message = named(&chain);
    run(&mut chain, user, message);
}

#[test]
fn evidence_outlives_no_stake() {
    let chain = Chain::new(1, 5);
    let message = MsgUpdateParams {
        authority: chain.user.address.clone(),
        params: Some(Params {
            unbonding_window: params().unbonding_window - 1,
            ..params()
        }),
    };
    let refused = check(&chain, &chain.user, any(&message));
    assert_eq!(refused, code::INVALID_REQUEST);
}

#[test]
fn a_prompt_of_white_space_is_nothing_to_answer() {
    let chain = Chain::new(1, 5);
    for prompt in ["", " ", "\n\t \u{a0}\u{3000}"] {
        let message = any(&MsgSubmitTask {
            prompt: prompt.into(),
            ..submit_message(&chain.user)
        });
        assert_eq!(check(&chain, &chain.user, message), code::INVALID_PROMPT);
    }
}

#[test]
fn bad_registry_entries_are_refused() {
    let chain = Chain::new(1, 5);
    let empty = MsgSetModel {
        authority: chain.user.address.clone(),
        model: None,
    };
    let unknown = set_model(&chain, |model| model.evaluator_models[0].id = "none".into());
    let flat = set_scorer(&chain, |model| model.calibration.truncate(1));
    let wordy = set_scorer(&chain, |model| model.licence = "x".repeat(65));
    let endless = set_scorer(&chain, |model| model.max_windows = 65);
    for (message, expected) in [
        (any(&empty), code::INVALID_REQUEST),
        (any(&unknown), code::UNKNOWN_EVALUATOR_MODEL),
        (
            any(&set_model(&chain, |model| model.id = "Bad id".into())),
            code::INVALID_REQUEST,
        ),
        (any(&flat), code::INVALID_REQUEST),
        (any(&endless), code::INVALID_REQUEST),
        (any(&wordy), code::INVALID_REQUEST),
    ] {
        assert_eq!(check(&chain, &chain.user, message), expected);
    }
}

#[test]
fn a_deprecated_model_takes_nothing_new_and_ends_what_is_open() {
    let params = Params {
        answer_window: 20,
        ..params()
    };
    let mut chain = Chain::with_params(params, 1, 5);
    let id = chain.submit();
    let deprecated = any(&set_model(&chain, |model| model.deprecated = true));
    run(&mut chain, user, deprecated);
    let old_scorer = any(&set_scorer(&chain, |model| model.deprecated = true));
    run(&mut chain, user, old_scorer);

    let submit = any(&support::submit_message(&chain.user));
    let inference = any(&MsgRegisterInferenceNode {
        operator: chain.user.address.clone(),
        models: vec![MODEL.into()],
        stake: STAKE,
        ..MsgRegisterInferenceNode::default()
    });
    let evaluator = any(&MsgRegisterEvaluator {
        operator: chain.user.address.clone(),
        evaluator_models: vec![SCORER.into()],
        stake: STAKE,
        ..MsgRegisterEvaluator::default()
    });
    let named = any(&set_model(&chain, |model| model.id = "new".into()));
    for message in [submit, inference, evaluator, named] {
        assert_eq!(check(&chain, &chain.user, message), code::MODEL_DEPRECATED);
    }
    // A node that already serves it keeps it, and the model may keep its evaluator model.
    let update = any(&MsgUpdateNode {
        operator: chain.evaluators[0].address.clone(),
        role: Role::Evaluator.into(),
        models: vec![SCORER.into()],
        ..MsgUpdateNode::default()
    });
    run(&mut chain, crate::evaluator, update);
    let revived = any(&set_model(&chain, |_| {}));
    run(&mut chain, user, revived);

    chain.answer(id, "Paris.");
    chain.commit(id, GOOD, &[]);
    chain.reveal(id, GOOD, &[]);
    chain.blocks(2);
    assert_eq!(chain.task(id).status(), TaskStatus::Final);
    chain.assert_money_is_conserved();
}

fn update_params(chain: &Chain, change: impl FnOnce(&mut Params)) -> Any {
    let mut params = params();
    change(&mut params);
    any(&MsgUpdateParams {
        authority: chain.user.address.clone(),
        params: Some(params),
    })
}

#[test]
fn parameters_change_from_the_next_block_on() {
    let mut chain = Chain::new(1, 5);
    let cases: [fn(&mut Params); 6] = [
        |p| p.denom = "uother".into(),
        |p| p.bech32_prefix = "other".into(),
        |p| p.unbonding_window = 103,
        |p| p.slash_no_reveal = 6_666,
        |p| p.audit_margin = 1,
        |p| p.authority = "nobody".into(),
    ];
    for change in cases {
        let message = update_params(&chain, change);
        let refused = check(&chain, &chain.user, message);
        assert!(
            [code::INVALID_REQUEST, code::INVALID_ADDRESS].contains(&refused),
            "{refused:?}"
        );
    }
    let next = chain.inference[0].address.clone();
    let message = update_params(&chain, |params| {
        params.authority.clone_from(&next);
        params.answer_window = 9;
    });
    run(&mut chain, user, message);
    let id = chain.submit();
    assert_eq!(chain.task(id).due_height, chain.height + 9);
    // Now another account is the authority.
    let message = update_params(&chain, |_| {});
    assert_eq!(check(&chain, &chain.user, message), code::UNAUTHORIZED);
}

#[test]
fn a_price_that_no_stake_secures_is_refused() {
    let mut chain = Chain::new(1, 5);
    // Twice the loss of 2 of 5 seats in 2 committees: 1.5 % of 100 million each, shared by 3
    // misses.
    let bound = 4_000_000;
    let price = |chain: &mut Chain, base_price: u64| {
        let message = any(&set_model(chain, |model| {
            model.base_price = base_price - 300;
            model.price_per_answer_byte = 0;
        }));
        run(chain, user, message);
        let mut message = support::submit_message(&chain.user);
        message.max_fee = base_price;
        any(&message)
    };
    let message = price(&mut chain, bound + 1);
    assert_eq!(check(&chain, &chain.user, message), code::PRICE_TOO_HIGH);
    let message = price(&mut chain, bound);
    run(&mut chain, user, message);
    chain.assert_money_is_conserved();
}

#[test]
fn the_template_of_local_networks_is_sound() {
    let template = include_bytes!("../../../testnet/config/genesis-template.json");
    let genesis = poq_app::genesis::parse(template).unwrap();
    let params = genesis.params.unwrap();
    poq_app::modules::params::validate(&params).unwrap();
    let bound = poq_app::modules::params::max_price(&params);
    for model in genesis.models {
        let longest = model.base_price
            + model.price_per_prompt_byte * u64::from(params.max_prompt_bytes)
            + model.price_per_answer_byte * u64::from(params.max_answer_bytes);
        assert!(longest <= bound, "{} costs {longest} of {bound}", model.id);
    }
    assert_eq!(params.denom, DENOM);
}
