use futures::FutureExt;

use super::*;

const DUTY: Asker = Asker::Duty(Step::Answer, 9);

fn guests(guests: usize) -> Queue {
    Queue {
        guests,
        ..Queue::default()
    }
}

fn join(slots: &Arc<Slots>, asker: Asker) -> Waiting {
    slots.join(asker).unwrap()
}

fn is_granted(waiting: &mut Waiting) -> Option<Slot> {
    (&mut waiting.receiver).now_or_never()?.ok()
}

#[test]
fn duties_are_served_before_guests_who_came_earlier() {
    let slots = Slots::new(1, guests(8));
    let running = is_granted(&mut join(&slots, Asker::Guest)).unwrap();
    let mut guest = join(&slots, Asker::Guest);
    let (mut first, mut second) = (join(&slots, DUTY), join(&slots, DUTY));
    assert!(is_granted(&mut first).is_none());
    drop(running);
    let running = is_granted(&mut first).unwrap();
    assert!(is_granted(&mut second).is_none() && is_granted(&mut guest).is_none());
    drop(running);
    let running = is_granted(&mut second).unwrap();
    assert!(is_granted(&mut guest).is_none());
    drop(running);
    assert!(is_granted(&mut guest).is_some());
}

#[test]
fn guests_leave_one_slot_to_duties() {
    let slots = Slots::new(3, guests(8));
    let mut guests: Vec<Waiting> = (0..3).map(|_| join(&slots, Asker::Guest)).collect();
    let running: Vec<Slot> = guests.iter_mut().filter_map(is_granted).collect();
    assert_eq!(running.len(), 2);
    let duty = is_granted(&mut join(&slots, DUTY)).unwrap();
    drop(duty);
    assert!(is_granted(&mut guests[2]).is_none());
    drop(running);
    assert!(is_granted(&mut guests[2]).is_some());
    // Duties may use all of them.
    let mut duties: Vec<Waiting> = (0..4).map(|_| join(&slots, DUTY)).collect();
    let running: Vec<Slot> = duties.iter_mut().filter_map(is_granted).collect();
    assert_eq!(running.len(), 3);
}

#[test]
fn a_duty_takes_the_slot_of_the_newest_guest_if_none_is_free() {
    let slots = Slots::new(3, guests(8));
    let mut guests = [join(&slots, Asker::Guest), join(&slots, Asker::Guest)];
    let mut running: Vec<Slot> = guests.iter_mut().filter_map(is_granted).collect();
    let _first = is_granted(&mut join(&slots, DUTY)).unwrap();
    let cut = |running: &[Slot]| running.iter().map(Slot::is_cut).collect::<Vec<_>>();
    assert_eq!(cut(&running), [false, false], "there was a free slot");
    let mut second = join(&slots, DUTY);
    assert_eq!(cut(&running), [false, true]);
    let mut third = join(&slots, DUTY);
    assert_eq!(cut(&running), [true, true]);
    // Not more than there are.
    let _fourth = join(&slots, DUTY);
    assert!(is_granted(&mut second).is_none());
    running.pop();
    let second = is_granted(&mut second).unwrap();
    assert!(is_granted(&mut third).is_none() && !second.is_cut());
    running.pop();
    assert!(is_granted(&mut third).is_some());
}

#[test]
fn the_line_of_guests_is_bounded_and_who_leaves_makes_room() {
    let slots = Slots::new(1, guests(1));
    let running = is_granted(&mut join(&slots, Asker::Guest)).unwrap();
    let waiting = join(&slots, Asker::Guest);
    assert!(slots.join(Asker::Guest).is_err());
    assert!(slots.join(DUTY).is_ok());
    drop(waiting);
    let mut last = join(&slots, Asker::Guest);
    drop(running);
    assert!(is_granted(&mut last).is_some());
}

#[test]
fn a_granted_slot_that_nobody_takes_is_free_again() {
    let slots = Slots::new(1, guests(0));
    drop(join(&slots, Asker::Guest));
    assert!(is_granted(&mut join(&slots, Asker::Guest)).is_some());
}

const SESSION: Asker = Asker::Session;
const QUEUE: Queue = Queue {
    sessions: 2,
    guests: 2,
};

#[test]
fn sessions_go_before_guests_and_leave_one_slot_to_duties() {
    let slots = Slots::new(2, QUEUE);
    let guest = is_granted(&mut join(&slots, Asker::Guest)).unwrap();
    let mut later = join(&slots, Asker::Guest);
    let mut session = join(&slots, SESSION);
    assert!(is_granted(&mut session).is_none());
    assert!(guest.is_cut(), "a session takes a guest's slot");
    drop(guest);
    let session = is_granted(&mut session).unwrap();
    assert!(is_granted(&mut later).is_none());
    let mut duty = join(&slots, DUTY);
    assert!(is_granted(&mut duty).is_some());
    assert!(!session.is_cut());
}

#[test]
fn a_pressing_duty_takes_the_slot_of_a_session() {
    let slots = Slots::new(1, QUEUE);
    let session = is_granted(&mut join(&slots, SESSION)).unwrap();
    let mut duty = join(&slots, DUTY);
    assert!(!session.is_cut());
    slots.press(duty.key);
    assert!(session.is_cut());
    drop(session);
    // Once it runs, it presses no more; nor does one that has left.
    drop(is_granted(&mut duty).unwrap());
    let next = is_granted(&mut join(&slots, SESSION)).unwrap();
    let gone = join(&slots, DUTY);
    let key = gone.key;
    drop(gone);
    slots.press(key);
    let _waiting = join(&slots, DUTY);
    assert!(!next.is_cut());
}

#[tokio::test]
async fn a_duty_presses_after_its_patience() {
    let slots = Slots::new(1, QUEUE);
    let session = is_granted(&mut join(&slots, SESSION)).unwrap();
    let waiting = join(&slots, DUTY).pressing_after(Duration::from_millis(1));
    let ending = async {
        session.is_needed().await;
        drop(session);
    };
    let (duty, ()) = tokio::join!(waiting.slot(), ending);
    assert!(duty.is_some());
}

#[test]
fn a_pressing_duty_prefers_a_guest_s_slot_and_then_the_newest_session_s() {
    let slots = Slots::new(4, QUEUE);
    let grant = |asker| is_granted(&mut join(&slots, asker)).unwrap();
    let (old, new, guest) = (grant(SESSION), grant(SESSION), grant(Asker::Guest));
    let _duty = grant(DUTY);
    let cut = || [&old, &new, &guest].map(Slot::is_cut);
    let first = join(&slots, DUTY);
    slots.press(first.key);
    assert_eq!(cut(), [false, false, true]);
    let second = join(&slots, DUTY);
    assert_eq!(cut(), [false, false, true]);
    slots.press(second.key);
    assert_eq!(cut(), [false, true, true]);
}

#[test]
fn sessions_have_a_queue_of_their_own_and_know_their_place() {
    let slots = Slots::new(1, QUEUE);
    let first = join(&slots, SESSION);
    assert_eq!(first.ahead(), 0);
    let guests = [join(&slots, Asker::Guest), join(&slots, Asker::Guest)];
    let (second, third) = (join(&slots, SESSION), join(&slots, SESSION));
    assert_eq!((second.ahead(), third.ahead()), (0, 1));
    assert!(slots.join(SESSION).is_err());
    assert!(slots.join(DUTY).is_ok());
    drop(guests);
}
