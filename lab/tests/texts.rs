//! Real texts and a real judge on the state machine.

use std::sync::Arc;

use poq_lab::casts::{honest, inference};
use poq_lab::episode::{Episode, Setting};
use poq_lab::experiments::{Case, Comparison, Effort, Figures, run_all};
use poq_lab::questions::Questions;
use poq_lab::strategy::Inference;
use poq_lab::texts::adaptive::Words;
use poq_lab::texts::attacks::ATTACKS;
use poq_lab::texts::{Book, HONEST, Judge, draw, sample};
use poq_lab::world::STANDARD;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const EFFORT: Effort = Effort {
    tasks: 40,
    runs: 4,
    seed: 1,
};
const COPY: &str = "a copy of the prompt";
const OTHER: &str = "an answer to another prompt";
const EVALUATORS: usize = 12;
/// As in local networks.
const JUDGES: [&str; 2] = ["judge-minilm-nc-2", "judge-bge-nc-2"];
/// Attacks that are worth nothing for any prompt.
const WORTHLESS: [&str; 12] = [
    "the prompt, copied",
    "the prompt, copied twice",
    "the prompt as a question back",
    "words of the prompt, shuffled",
    "keywords of the prompt",
    "canned eloquence",
    "praise of itself",
    "gibberish with the prompt's words",
    "an order to the judge",
    "gibberish",
    "markdown alone",
    "an answer to another prompt",
];
/// Highest mean quality that each of them may get.
const STATIC_BOUND: f64 = 0.05;
const QUERIES: u32 = 150;
/// Highest mean qualities of texts that a search with this many queries found: by the judge that it
/// queried, and by the other one.
const ADAPTIVE_BOUNDS: [f64; 2] = [0.35, 0.15];

/// Three prompts, a judge, and an audit of every task. Answers are paid from the first quality
/// (ppm) on, and in full from the second.
fn setting(judge: &str, [floor, target]: [u32; 2]) -> Setting {
    let questions = draw(sample().unwrap(), 3, 1);
    let texts = |of: fn(&poq_lab::texts::Question) -> &String| -> Vec<String> {
        questions
            .iter()
            .map(|question| of(question).clone())
            .collect()
    };
    let (prompts, right) = (
        texts(|question| &question.prompt),
        texts(|question| &question.right),
    );
    let other = texts(|question| &question.other);
    let pages = [
        (HONEST, STANDARD.cost, right.as_slice()),
        (COPY, 0, prompts.as_slice()),
        (OTHER, 0, other.as_slice()),
    ];
    let judge = Arc::new(Judge::open(judge).unwrap());
    let book = Book::new(judge, prompts.clone(), &pages).unwrap();
    let mut setting = Setting::new(EFFORT.tasks);
    setting.world = setting.world.flat().paying(floor, target);
    setting.questions = Questions::Written(Arc::new(book));
    setting.params.min_audit_rate = 1_000_000;
    setting
}

/// A ranker of search results pays a copy of the prompt like the right answer, and audits agree:
/// all evaluators are honest. Trained judges reverse this.
#[test]
fn a_copy_of_the_prompt_pays_with_a_ranker_and_not_with_a_judge() {
    let [copy, other] = against_honesty("ms-marco-minilm-l-12-v2", [200_000, 700_000]);
    assert_eq!(copy.verdict(), "GAINS");
    // Most that an honest node gets: everything but the shares of evaluators and the protocol.
    assert!(copy.payout_for_lies.mean > 35_000.0, "{copy:?}");
    assert_eq!(copy.moved_at_payout.mean, 0.0);
    assert_eq!(other.verdict(), "loses");
    for judge in JUDGES {
        let [copy, other] = against_honesty(judge, [50_000, 300_000]);
        // There are few prompts, so honest earnings vary between runs.
        assert!(copy.advantage.mean < 0.0, "{judge}: {copy:?}");
        assert_eq!(copy.payout_for_lies.mean, 0.0, "{judge}: {copy:?}");
        assert!(other.payout_for_lies.mean < 10_000.0, "{judge}: {other:?}");
    }
}

/// A node that copies the prompt, and one that answers another prompt.
fn against_honesty(judge: &str, paid: [u32; 2]) -> [Comparison; 2] {
    let setting = setting(judge, paid);
    let lying = [COPY, OTHER].map(|name| inference(Inference::Texts(name), EVALUATORS));
    let casts = [honest(&lying[0])].into_iter().chain(lying);
    let cases: Vec<Case> = casts
        .map(|cast| Case {
            setting: setting.clone(),
            cast,
        })
        .collect();
    let episodes: Vec<Vec<Episode>> = run_all(&cases, EFFORT).unwrap();
    for episode in episodes.iter().flatten() {
        assert_eq!(episode.audits, EFFORT.tasks);
        assert!(episode.actors.iter().all(|actor| actor.slashed == 0));
    }
    let figures: Vec<Vec<Figures>> = episodes
        .into_iter()
        .map(|runs| runs.into_iter().map(Figures::from).collect())
        .collect();
    [1, 2].map(|place| Comparison::of(&figures[0], &figures[place]))
}

/// Text that was not written for its prompt gets almost nothing from the judges of local networks.
#[test]
fn static_attacks_get_next_to_nothing() {
    let questions = draw(sample().unwrap(), 10, 1);
    for judge in JUDGES {
        let judge = Judge::open(judge).unwrap();
        for attack in ATTACKS
            .iter()
            .filter(|attack| WORTHLESS.contains(&attack.name))
        {
            let quality = |question| {
                let text = attack.text(question, &mut ChaCha8Rng::seed_from_u64(1));
                judge.quality(&question.prompt, &text).unwrap()
            };
            let mean = questions.iter().map(quality).sum::<f64>() / questions.len() as f64;
            assert!(
                mean <= STATIC_BOUND,
                "{}, {}: {mean}",
                judge.entry().id,
                attack.name
            );
        }
    }
}

/// A short search for words that a judge likes, and the other judge's score of the result.
#[test]
fn a_short_search_does_not_find_a_dear_text() {
    let questions = draw(sample().unwrap(), 3, 1);
    let judges = JUDGES.map(|judge| Judge::open(judge).unwrap());
    for (judge, other) in [(&judges[0], &judges[1]), (&judges[1], &judges[0])] {
        let mut sums = [0.0, 0.0];
        for (place, question) in questions.iter().enumerate() {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let score = |text: &str| judge.score(&question.prompt, text);
            let found = Words::new(&questions, place)
                .climb(QUERIES, &mut rng, score)
                .unwrap();
            for (sum, of) in sums.iter_mut().zip([judge, other]) {
                *sum += of.quality(&question.prompt, &found.text).unwrap() / questions.len() as f64;
            }
        }
        let [attacked, transferred] = sums;
        println!(
            "{}: {attacked:.3}, by the other {transferred:.3}",
            judge.entry().id
        );
        let bounds = ADAPTIVE_BOUNDS;
        assert!(
            attacked <= bounds[0] && transferred <= bounds[1],
            "{sums:?}"
        );
    }
}
