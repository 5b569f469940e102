use poq_worker::Step;

use super::*;
use crate::generator::Finish;
use crate::generator::testing::{Parrot, question};

const DUTY: Asker = Asker::Duty(Step::Answer, 9);
/// Long enough never to pass in a test.
const NEVER: Duration = Duration::from_secs(3600);
/// Short enough to wait for.
const SOON: Duration = Duration::from_millis(20);

fn compute(parrot: &Arc<Parrot>, queue: usize, deadline: Duration) -> Compute {
    Compute::new(parrot.clone(), GuestLimits { queue, deadline })
}

fn guest(compute: &Compute, text: &str) -> Reply {
    compute.guest(question(text), None).unwrap()
}

/// A duty in its own task, and the token that stops it.
fn duty(
    compute: &Compute,
    text: &str,
) -> (
    CancellationToken,
    tokio::task::JoinHandle<Result<Completion, Error>>,
) {
    let stop = CancellationToken::new();
    let (compute, request, token) = (compute.clone(), question(text), stop.clone());
    let task = tokio::spawn(async move { compute.duty(DUTY, request, token).await });
    (stop, task)
}

async fn text(reply: Reply) -> String {
    reply.await.unwrap().unwrap().text
}

#[tokio::test]
async fn duties_overtake_waiting_guests() {
    let parrot = Parrot::new(0);
    let compute = compute(&parrot, 4, NEVER);
    let (_, first) = duty(&compute, "first");
    parrot.has_begun(&["first"]).await;
    let guest = guest(&compute, "guest");
    let (_, second) = duty(&compute, "second");
    tokio::task::yield_now().await;
    parrot.permits.add_permits(3);
    assert_eq!(first.await.unwrap().unwrap().text, "first");
    assert_eq!(second.await.unwrap().unwrap().text, "second");
    assert_eq!(text(guest).await, "guest");
    assert_eq!(*parrot.seen.lock().unwrap(), ["first", "second", "guest"]);
}

#[tokio::test]
async fn a_duty_cuts_the_guest_that_has_the_only_slot() {
    let parrot = Parrot::new(1);
    let compute = compute(&parrot, 4, NEVER);
    let cut = guest(&compute, "one two three");
    parrot.has_begun(&["one two three"]).await;
    while parrot.permits.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let (_, first) = duty(&compute, "duty");
    let completion = cut.await.unwrap().unwrap();
    assert_eq!(
        (completion.text.as_str(), completion.finish),
        ("one ", Finish::Length)
    );
    parrot.permits.add_permits(1);
    assert_eq!(first.await.unwrap().unwrap().text, "duty");

    // One without any text is told to retry.
    let silent = guest(&compute, "silent");
    parrot.has_begun(&["one two three", "duty", "silent"]).await;
    let (_, second) = duty(&compute, "again");
    assert!(matches!(silent.await.unwrap(), Err(Error::Preempted)));
    parrot.permits.add_permits(1);
    assert_eq!(second.await.unwrap().unwrap().text, "again");
}

#[tokio::test]
async fn several_run_at_once_and_guests_leave_room_for_a_duty() {
    let parrot = Parrot::with_concurrency(0, 3);
    let compute = compute(&parrot, 4, NEVER);
    let guests = ["a", "b", "c"].map(|text| guest(&compute, text));
    parrot.has_begun(&["a", "b"]).await;
    let (_, duty) = duty(&compute, "duty");
    parrot.has_begun(&["a", "b", "duty"]).await;
    parrot.permits.add_permits(4);
    assert_eq!(duty.await.unwrap().unwrap().text, "duty");
    for (reply, expected) in guests.into_iter().zip(["a", "b", "c"]) {
        assert_eq!(text(reply).await, expected);
    }
}

#[tokio::test]
async fn a_full_queue_refuses_guests_until_one_leaves() {
    let parrot = Parrot::new(0);
    let compute = compute(&parrot, 1, NEVER);
    let _running = guest(&compute, "running");
    parrot.has_begun(&["running"]).await;
    let waiting = guest(&compute, "waiting");
    let more = || compute.guest(question("more"), None);
    assert!(matches!(more(), Err(Error::Busy)));
    drop(waiting);
    while more().is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_left_is_not_answered_and_others_do_not_notice() {
    let parrot = Parrot::with_concurrency(0, 3);
    let compute = compute(&parrot, 4, NEVER);
    let leaving = guest(&compute, "leaving");
    let staying = guest(&compute, "staying on");
    parrot.has_begun(&["leaving", "staying on"]).await;
    let given_up = guest(&compute, "given up");
    let last = guest(&compute, "last");
    drop(given_up);
    drop(leaving);
    parrot.has_begun(&["leaving", "staying on", "last"]).await;
    parrot.permits.add_permits(3);
    assert_eq!(text(staying).await, "staying on");
    assert_eq!(text(last).await, "last");
}

#[tokio::test]
async fn a_stopped_duty_returns_what_there_is_and_the_other_goes_on() {
    let parrot = Parrot::with_concurrency(0, 2);
    let compute = compute(&parrot, 4, NEVER);
    let (stop, stopped) = duty(&compute, "one two");
    parrot.has_begun(&["one two"]).await;
    parrot.permits.add_permits(1);
    while parrot.permits.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let (_, other) = duty(&compute, "three");
    parrot.has_begun(&["one two", "three"]).await;
    stop.cancel();
    let completion = stopped.await.unwrap().unwrap();
    assert_eq!(
        (completion.text.as_str(), completion.finish),
        ("one ", Finish::Cancelled)
    );
    parrot.permits.add_permits(1);
    assert_eq!(other.await.unwrap().unwrap().text, "three");
}

#[tokio::test]
async fn a_duty_whose_time_is_up_before_its_turn_is_not_computed() {
    let parrot = Parrot::new(0);
    let compute = compute(&parrot, 4, NEVER);
    let (_, running) = duty(&compute, "running");
    parrot.has_begun(&["running"]).await;
    let (stop, late) = duty(&compute, "late");
    stop.cancel();
    assert!(matches!(late.await.unwrap(), Err(Error::Expired)));
    parrot.permits.add_permits(2);
    assert_eq!(running.await.unwrap().unwrap().text, "running");
    let last = guest(&compute, "last");
    assert_eq!(text(last).await, "last");
    assert_eq!(*parrot.seen.lock().unwrap(), ["running", "last"]);
}

#[tokio::test]
async fn a_guest_has_a_deadline_in_the_queue_and_while_it_is_answered() {
    let parrot = Parrot::new(1);
    let compute = compute(&parrot, 4, SOON);
    let (stop, duty) = duty(&compute, "a b");
    parrot.has_begun(&["a b"]).await;
    let waiting = guest(&compute, "waiting");
    assert!(matches!(waiting.await.unwrap(), Err(Error::Expired)));
    stop.cancel();
    assert_eq!(duty.await.unwrap().unwrap().text, "a ");

    parrot.permits.add_permits(1);
    let cut = guest(&compute, "one two");
    let completion = cut.await.unwrap().unwrap();
    assert_eq!(
        (completion.text.as_str(), completion.finish),
        ("one ", Finish::Cancelled)
    );
    parrot.has_begun(&["a b", "one two"]).await;
}

const SESSIONS: SessionLimits = SessionLimits {
    queue: 1,
    start: NEVER,
    deadline: NEVER,
    duty_wait: SOON,
};

fn with_sessions(parrot: &Arc<Parrot>, limits: SessionLimits) -> Compute {
    let guests = GuestLimits {
        queue: 4,
        deadline: NEVER,
    };
    Compute::with_sessions(parrot.clone(), guests, limits)
}

/// An answer of a session in its own task, with its text as it came.
fn session(
    compute: &Compute,
    text: &str,
) -> tokio::task::JoinHandle<(Result<Completion, Error>, String)> {
    let waiting = compute.reserve().unwrap();
    let (compute, request) = (compute.clone(), question(text));
    tokio::spawn(async move {
        let (deltas, mut parts) = mpsc::channel::<String>(1);
        let collected = async {
            let mut text = String::new();
            while let Some(part) = parts.recv().await {
                text.push_str(&part);
            }
            text
        };
        let stop = CancellationToken::new();
        tokio::join!(compute.session(waiting, request, stop, deltas), collected)
    })
}

async fn has_said(parrot: &Parrot) {
    while parrot.permits.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_session_takes_the_place_of_a_guest_and_a_late_duty_that_of_a_session() {
    let parrot = Parrot::new(1);
    let compute = with_sessions(&parrot, SESSIONS);
    let guest = guest(&compute, "guest goes");
    parrot.has_begun(&["guest goes"]).await;
    has_said(&parrot).await;
    let session = session(&compute, "one two");
    assert_eq!(text(guest).await, "guest ");
    parrot.has_begun(&["guest goes", "one two"]).await;
    parrot.permits.add_permits(1);
    has_said(&parrot).await;
    let (_, duty) = duty(&compute, "duty");
    let (completion, text) = session.await.unwrap();
    let completion = completion.unwrap();
    assert_eq!((completion.text.as_str(), text.as_str()), ("one ", "one "));
    assert_eq!(completion.finish, Finish::Length);
    parrot.permits.add_permits(1);
    assert_eq!(duty.await.unwrap().unwrap().text, "duty");
}

#[tokio::test]
async fn a_session_has_a_time_to_begin_and_a_time_to_answer() {
    let parrot = Parrot::new(1);
    let compute = with_sessions(
        &parrot,
        SessionLimits {
            start: SOON,
            deadline: SOON * 4,
            ..SESSIONS
        },
    );
    let first = session(&compute, "one two");
    let late = session(&compute, "late");
    assert!(matches!(compute.reserve(), Err(Error::Busy)));
    assert!(matches!(late.await.unwrap().0, Err(Error::Expired)));
    let (completion, text) = first.await.unwrap();
    assert_eq!(completion.unwrap().finish, Finish::Cancelled);
    assert_eq!(text, "one ");
}
