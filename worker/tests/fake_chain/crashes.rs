//! Kills a worker at every moment of a duty; for the tests of both workers and of their chassis.
//! Nobody may be slashed while windows allow, whatever was in progress.

use std::path::Path;
use std::sync::Arc;

use futures::future::join_all;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::task::AbortHandle;

use super::{FakeChain, Point, State, wait};

/// Blocks per phase: more than a crash costs.
pub(crate) const WINDOW: u64 = 60;
/// Number of tasks per chain.
pub(crate) const TASKS: u32 = 4;

/// Kills a worker at each of these moments, 20 times or `POQ_CRASH_RUNS` times. `chain` creates a
/// chain with [`TASKS`] and [`WINDOW`]; `start` starts a worker in a folder, on a machine whose
/// scores differ from another's by the given amount. Panics unless every task is done and nobody is
/// slashed.
pub(crate) async fn die_at(
    points: &[Point],
    chain: impl AsyncFn() -> Arc<FakeChain>,
    start: impl AsyncFn(&Arc<FakeChain>, &Path, i32) -> AbortHandle,
) {
    let runs: u64 = std::env::var("POQ_CRASH_RUNS").map_or(20, |runs| runs.parse().unwrap());
    let die_often = async |point: &Point| {
        for seed in 0..runs {
            die_once(*point, seed, &chain().await, &start).await;
        }
    };
    join_all(points.iter().map(die_often)).await;
}

/// One run, a crash at `point`, and a second run until nothing is left to do, with one home.
async fn die_once(
    point: Point,
    seed: u64,
    chain: &Arc<FakeChain>,
    start: &impl AsyncFn(&Arc<FakeChain>, &Path, i32) -> AbortHandle,
) {
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let nth = match point {
        Point::Seen | Point::Scored => random.gen_range(1..=TASKS),
        // Once in a run that loses nothing.
        Point::Journalled | Point::Committed | Point::Revealed => 1,
        Point::Signed | Point::Sent | Point::Included => random.gen_range(1..=2),
    };
    chain.state().lose = random.gen_range(0..2);
    chain.state().kill_at(point, nth);
    let first = start(chain, folder.path(), 0).await;
    tokio::select! {
        () = chain.killed() => {}
        // Everything may be done before the moment comes.
        () = chain.until(State::is_over) => {}
    }
    first.abort();
    wait(|| first.is_finished()).await;
    wait_dead(chain, folder.path(), &mut random);
    chain.state().revive();
    let second = start(chain, folder.path(), random.gen_range(-50..=50)).await;
    chain.until(State::is_over).await;
    second.abort();
    let state = chain.state();
    let outcome = (state.slashes.clone(), state.done());
    let expected = (vec![], TASKS as usize);
    assert_eq!(outcome, expected, "killed at {point:?}, seed {seed}");
    for record in state.tasks.values() {
        assert!(record.has_its_answer(), "killed at {point:?}, seed {seed}");
    }
}

/// What happens between two runs.
fn wait_dead(chain: &FakeChain, folder: &Path, random: &mut StdRng) {
    for _ in 0..random.gen_range(0..5) {
        chain.state().block();
    }
    // A machine may be lost with its disk.
    if random.gen_bool(0.25) {
        std::fs::remove_dir_all(folder.join("journal")).unwrap();
    }
}
