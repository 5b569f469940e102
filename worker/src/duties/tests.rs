use super::*;

/// Margin for answers; scores have none.
const MARGIN: u64 = 3;

fn duty(task_id: u64, phase: TaskStatus, due_height: u64) -> Duty {
    Duty {
        task_id,
        phase: phase.into(),
        due_height,
        ..Duty::default()
    }
}

fn commit(task: u64, due: u64) -> Duty {
    duty(task, TaskStatus::Committing, due)
}

fn reveal(task: u64, due: u64) -> Duty {
    duty(task, TaskStatus::Revealing, due)
}

fn answer(task: u64, due: u64) -> Duty {
    duty(task, TaskStatus::Assigned, due)
}

fn key(duty: &Duty) -> Key {
    Key::of(duty).unwrap()
}

fn tasks(keys: impl IntoIterator<Item = Key>) -> Vec<u64> {
    keys.into_iter().map(|key| key.seat.task).collect()
}

/// Tasks that were late.
fn update(duties: &mut Duties<&'static str>, height: u64, listed: &[Duty]) -> Vec<u64> {
    tasks(duties.update(height, listed, |_| false))
}

/// Begins everything that can begin.
fn begin(duties: &mut Duties<&'static str>) -> Vec<(u64, CancellationToken)> {
    let begun = std::iter::from_fn(|| duties.begin(true));
    begun
        .map(|begun| (begun.key.seat.task, begun.stop))
        .collect()
}

fn begun(duties: &mut Duties<&'static str>) -> Vec<u64> {
    begin(duties).into_iter().map(|(task, _)| task).collect()
}

#[test]
fn reveals_come_first_then_what_is_due_first() {
    let mut duties = Duties::new(0);
    let listed = [
        commit(1, 30),
        commit(2, 20),
        reveal(3, 40),
        duty(4, TaskStatus::Final, 9),
    ];
    update(&mut duties, 1, &listed);
    assert_eq!(begun(&mut duties), [3, 2, 1]);
}

#[test]
fn without_room_only_reveals_begin() {
    let mut duties = Duties::new(0);
    update(&mut duties, 1, &[commit(1, 30), reveal(2, 30)]);
    assert_eq!(duties.begin(false).unwrap().key.seat.task, 2);
    assert!(duties.begin(false).is_none());
    assert_eq!(begun(&mut duties), [1]);
}

#[test]
fn a_duty_is_begun_once_and_again_with_the_next_block_after_it_was_released() {
    let listed = [commit(1, 9)];
    let mut duties = Duties::new(0);
    update(&mut duties, 1, &listed);
    assert_eq!(begun(&mut duties), [1]);
    update(&mut duties, 2, &listed);
    assert!(begun(&mut duties).is_empty());
    duties.release(key(&listed[0]));
    assert!(begun(&mut duties).is_empty());
    update(&mut duties, 3, &listed);
    assert_eq!(begun(&mut duties), [1]);
    duties.finish(key(&listed[0]));
    update(&mut duties, 4, &listed);
    assert!(begun(&mut duties).is_empty());
    assert_eq!(duties.open(), 0);
}

#[test]
fn commit_and_reveal_and_attempts_are_different_duties() {
    let mut duties = Duties::new(0);
    let redrawn = Duty {
        attempt: 1,
        ..commit(1, 9)
    };
    update(&mut duties, 1, &[commit(1, 9), reveal(1, 9), redrawn]);
    duties.finish(key(&commit(1, 9)));
    assert_eq!(begun(&mut duties), [1, 1]);
}

#[test]
fn each_stops_before_it_is_due_and_what_was_made_by_then_is_handed_in() {
    let mut duties = Duties::new(MARGIN);
    let listed = [answer(1, 20), answer(2, 24), answer(3, 30)];
    update(&mut duties, 10, &listed);
    let stops: Vec<_> = begin(&mut duties)
        .into_iter()
        .map(|(_, stop)| stop)
        .collect();
    let stopped = || {
        stops
            .iter()
            .map(CancellationToken::is_cancelled)
            .collect::<Vec<_>>()
    };
    update(&mut duties, 16, &listed);
    assert_eq!(stopped(), [false; 3]);
    assert!(update(&mut duties, 17, &listed).is_empty());
    assert_eq!(stopped(), [true, false, false]);
    assert!(duties.made(key(&listed[0]), "cut", true));
    assert_eq!(tasks(duties.ready()), [1]);
    // The third task is cancelled by its user; its answer is no longer needed.
    update(&mut duties, 18, &listed[..2]);
    assert_eq!(stopped(), [true, false, true]);
    assert!(!duties.made(key(&listed[2]), "late", true));
    assert_eq!(tasks(duties.ready()), [1]);
    // No block can include the first any more.
    update(&mut duties, 20, &listed[..2]);
    assert!(duties.ready().is_empty());
}

#[test]
fn what_cannot_be_done_in_time_is_told_once_unless_the_journal_has_it() {
    let listed = [answer(1, 14)];
    let mut duties = Duties::new(MARGIN);
    assert!(update(&mut duties, 10, &listed).is_empty());
    assert_eq!(update(&mut duties, 11, &listed), [1]);
    assert!(update(&mut duties, 12, &listed).is_empty());
    assert!(begun(&mut duties).is_empty());

    let mut duties: Duties<&str> = Duties::new(MARGIN);
    assert!(duties.update(13, &listed, |_| true).is_empty());
    assert_eq!(begun(&mut duties), [1]);
    let mut duties: Duties<&str> = Duties::new(MARGIN);
    assert_eq!(tasks(duties.update(14, &listed, |_| true)), [1]);
}

#[test]
fn what_is_on_its_way_is_not_sent_a_second_time_and_what_is_lost_is_sent_again() {
    let listed = [answer(1, 40)];
    let mut duties = Duties::new(MARGIN);
    update(&mut duties, 20, &listed);
    begun(&mut duties);
    assert!(duties.made(key(&listed[0]), "Paris", false));
    assert_eq!(tasks(duties.ready()), [1]);
    assert_eq!(duties.unsaved(key(&listed[0])), Some(&"Paris"));
    duties.saved(key(&listed[0]));
    assert_eq!(duties.unsaved(key(&listed[0])), None);
    duties.sending(key(&listed[0]));
    for height in [21, 30] {
        update(&mut duties, height, &listed);
        assert!(duties.ready().is_empty() && begun(&mut duties).is_empty());
    }
    duties.release(key(&listed[0]));
    update(&mut duties, 31, &listed);
    assert_eq!(tasks(duties.ready()), [1]);
    assert_eq!(duties.product(key(&listed[0])), Some(&"Paris"));
}

#[test]
fn while_the_journal_takes_nothing_no_commitment_begins() {
    let listed = [commit(1, 9), commit(2, 9), reveal(3, 9)];
    let mut duties = Duties::new(0);
    update(&mut duties, 1, &listed[..1]);
    begun(&mut duties);
    duties.made(key(&listed[0]), "score", false);
    update(&mut duties, 2, &listed);
    assert!(duties.is_journal_behind());
    assert_eq!(begun(&mut duties), [3]);
    duties.saved(key(&listed[0]));
    assert_eq!(begun(&mut duties), [2]);
    // An unsaved answer must not block anything either.
    let mut duties = Duties::new(0);
    update(&mut duties, 1, &[answer(1, 9), answer(2, 9)]);
    duties.begin(true).unwrap();
    duties.made(key(&answer(1, 9)), "Paris", false);
    assert_eq!(begun(&mut duties), [2]);
}

#[test]
fn what_fails_is_tried_three_times() {
    let listed = [commit(1, 9)];
    let mut duties = Duties::new(0);
    for height in 1..TRIES {
        update(&mut duties, height.into(), &listed);
        assert_eq!(begun(&mut duties), [1]);
        assert!(duties.failed(key(&listed[0])));
    }
    update(&mut duties, 5, &listed);
    assert_eq!(begun(&mut duties), [1]);
    assert!(!duties.failed(key(&listed[0])));
    update(&mut duties, 6, &listed);
    assert!(begun(&mut duties).is_empty());
}

#[test]
fn a_batch_that_mostly_fails_is_halved_until_it_is_a_single_duty() {
    let listed: Vec<Duty> = (1..=5).map(|task| commit(task, 9)).collect();
    let keys: Vec<Key> = listed.iter().map(key).collect();
    let mut duties = Duties::new(0);
    update(&mut duties, 1, &listed);
    assert_eq!(duties.most(keys[0]), None);
    for (batch, most) in [(&keys[..], 2), (&keys[..2], 1), (&keys[..1], 1)] {
        duties.split(batch);
        assert_eq!(duties.most(keys[0]), Some(most));
    }
    // Forgotten with the duty.
    update(&mut duties, 2, &[]);
    assert_eq!(duties.most(keys[0]), None);
}

#[test]
fn what_is_doubted_is_done_again() {
    let listed = [reveal(1, 9)];
    let mut duties = Duties::new(0);
    update(&mut duties, 1, &listed);
    assert!(!duties.begin(true).unwrap().is_doubted);
    duties.made(key(&listed[0]), "score", true);
    duties.doubt(key(&listed[0]));
    update(&mut duties, 2, &listed);
    assert!(duties.ready().is_empty());
    assert!(duties.begin(true).unwrap().is_doubted);
}
