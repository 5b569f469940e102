//! Results of single runs on the state machine.

use poq_app::modules::params::max_price;
use poq_lab::casts::{accomplices, evaluators, inference, operator, user};
use poq_lab::episode::{Cast, Episode, Setting, run};
use poq_lab::strategy::{Asks, Evaluator, Inference, Ring, TakesBack, User};
use poq_lab::world::STANDARD;

const TASKS: u32 = 40;
/// The first evaluator among the actors, after four inference nodes.
const EVALUATOR: usize = 4;

/// The highest price, and an audit of every task.
fn dearest() -> Setting {
    let mut setting = Setting::new(TASKS);
    setting.params.min_audit_rate = 1_000_000;
    let factor = max_price(&setting.params) / setting.world.price();
    Setting {
        world: setting.world.dearer(factor),
        ..setting
    }
}

fn episode(setting: &Setting, cast: &Cast) -> Episode {
    run(setting, cast, 7).unwrap()
}

#[test]
fn honest_people_earn_and_nothing_is_moved() {
    let episode = episode(&dearest(), &evaluators(Evaluator::Honest, 12, 12));
    assert!(
        episode
            .actors
            .iter()
            .all(|actor| actor.profit > 0 && actor.slashed == 0)
    );
    // A few micro-logits are a few millionths of quality where the calibration is steep.
    assert_eq!(episode.moved(20), 0.0);
    assert_eq!(episode.refunded(), 0.0);
    assert!(episode.audits > TASKS * 9 / 10, "{}", episode.audits);
}

#[test]
fn an_audited_liar_loses_stake_and_seats() {
    let setting = Setting {
        batch: 4,
        ..dearest()
    };
    let episode = episode(&setting, &evaluators(Evaluator::Constant(0), 1, 12));
    let liar = &episode.actors[EVALUATOR];
    assert!(liar.slashed >= 10_000_000 && liar.profit < 0, "{liar:?}");
    let honest = &episode.actors[EVALUATOR + 1];
    assert!(honest.slashed == 0 && honest.duties > liar.duties);
}

/// Even if every evaluator praises the junk of one inference node, audits find the truth.
#[test]
fn audits_correct_a_committee_that_conspires() {
    let cast = accomplices(Evaluator::Ring(Ring::Praise), Inference::Junk, 12, 12);
    let audited = episode(&dearest(), &cast);
    assert!(audited.moved(50_000) > 0.0);
    assert_eq!(audited.moved_at_payout(50_000), 0.0);
    assert_eq!(audited.payout_for_lies(), 0.0);
    let setting = Setting {
        audits: false,
        ..dearest()
    };
    let believed = episode(&setting, &cast);
    assert_eq!(believed.moved(50_000), believed.moved_at_payout(50_000));
    assert!(believed.payout_for_lies() > 0.0);
}

#[test]
fn who_withholds_a_reveal_is_slashed() {
    let episode = episode(
        &Setting::new(TASKS),
        &evaluators(Evaluator::RevealIfItPays, 1, 12),
    );
    let withholder = &episode.actors[EVALUATOR];
    assert!(withholder.slashed > 0, "{withholder:?}");
    assert_eq!(withholder.cost, 0);
}

#[test]
fn a_silent_inference_node_is_slashed_and_its_tasks_go_to_others() {
    let episode = episode(&Setting::new(TASKS), &inference(Inference::Silent, 12));
    let silent = &episode.actors[0];
    assert!(silent.slashed > 0 && silent.cost == 0, "{silent:?}");
    assert_eq!(episode.refunded(), 0.0);
    assert!(episode.tasks.iter().all(|task| task.node != 0));
}

#[test]
fn a_ring_that_shares_work_pays_for_one_score_of_a_committee() {
    let episode = episode(
        &Setting::new(TASKS),
        &evaluators(Evaluator::Ring(Ring::Share), 12, 12),
    );
    let cost: u64 = episode.actors[EVALUATOR..]
        .iter()
        .map(|actor| actor.cost)
        .sum();
    assert_eq!(cost, u64::from(TASKS) * 400);
    assert_eq!(episode.moved(0), 0.0);
}

/// A committee can have more seats than evaluators are left.
#[test]
fn tasks_without_a_committee_are_not_taken() {
    let mut setting = Setting::new(TASKS);
    setting.params.committee_size = 30;
    let episode = episode(&setting, &evaluators(Evaluator::Honest, 1, 12));
    assert_eq!(episode.refunded(), 1.0);
}

/// All evaluators but one lie for the ring's inference node, in as many tasks at once as the chain
/// allows: audits take more than all these answers were paid.
#[test]
fn a_ring_that_lies_in_a_thousand_tasks_at_once_loses() {
    let setting = Setting {
        world: dearest().world,
        batch: 1_000,
        ..Setting::new(1_000)
    };
    let profit = |evaluator, inference| {
        let episode = episode(&setting, &accomplices(evaluator, inference, 12, 13));
        let lies = episode.tasks.iter().filter(|task| task.lie).count();
        (episode.studied_profit(), lies)
    };
    let (lying, lies) = profit(Evaluator::Ring(Ring::Praise), Inference::Junk);
    let (honest, _) = profit(Evaluator::Honest, Inference::Honest(STANDARD));
    assert!(lies > 20, "{lies}");
    assert!(lying < honest, "{lying} against {honest}");
}

/// The highest limit takes at most half of each answer's pay from the nodes, saves its user
/// nothing, and does not change any reputation (ADR 34 and 40).
#[test]
fn a_limit_takes_at_most_half_of_a_payout_and_saves_its_user_nothing() {
    let setting = Setting::new(TASKS);
    let asking = |asks| {
        let takes_back = TakesBack::Nothing;
        episode(&setting, &user(User { asks, takes_back }, 12))
    };
    let (plain, limited) = (asking(Asks::Plainly), asking(Asks::HighestLimit));
    assert_eq!(plain.tasks.len(), limited.tasks.len());
    let mut halved = 0;
    for (plain, limited) in plain.tasks.iter().zip(&limited.tasks) {
        assert_eq!((plain.node, plain.truth), (limited.node, limited.truth));
        assert!([plain.payout, plain.payout / 2].contains(&limited.payout));
        halved += u32::from(limited.payout < plain.payout);
    }
    assert!(halved > 5, "{halved}");
    assert_eq!(plain.spent(), limited.spent());
    assert!(plain.competitors_profit() > limited.competitors_profit());
}

/// A user that cancels questions assigned to other nodes is answered only by its own node, and pays
/// for each question once.
#[test]
fn what_is_taken_back_is_asked_again_and_paid_once() {
    let choosing = User {
        asks: Asks::Plainly,
        takes_back: TakesBack::Others,
    };
    let episode = episode(&Setting::new(TASKS), &operator(choosing, 100, 3, 12));
    assert!(episode.taken_back() > 1.0, "{}", episode.taken_back());
    assert_eq!(episode.refunded(), 0.0);
    let answered = episode.tasks.iter().filter(|task| !task.taken_back);
    assert_eq!(answered.clone().count(), 2 * TASKS as usize);
    // Any node answers the ordinary user.
    assert!(answered.filter(|task| task.node == 0).count() > TASKS as usize);
    let plain = user(User::HONEST, 12);
    let once = run(&Setting::new(TASKS), &plain, 7).unwrap().spent();
    // Each cancellation costs a quarter of the price. The noise of honest scores moves remainders.
    let fees = episode.taken_back() * Setting::new(TASKS).world.price() as f64 / 4.0;
    assert!((episode.spent() - once - fees).abs() < 1.0);
}
