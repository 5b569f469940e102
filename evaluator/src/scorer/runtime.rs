//! BERT models on ONNX Runtime, loaded from a shared library at run time.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{Outlet, Tensor};

use super::{Error, Kind, Row, Scorer, Window};

/// Padding for short windows of a batch; the attention mask hides it.
const PADDING: i64 = 0;

/// A BERT model: `input_ids`, `attention_mask`, `token_type_ids` (int64, batch × tokens) to a
/// cross-encoder's `logits` (f32, batch × 1), or to a bi-encoder's `last_hidden_state` (f32, batch
/// × tokens × hidden), whose row for `[CLS]` is the embedding.
pub struct OrtScorer {
    session: Session,
    output: &'static str,
}

impl OrtScorer {
    /// Loads ONNX Runtime from `library` (once per process) and a model from the content of its
    /// ONNX file, for `threads` compute threads. The graph must have the output of this kind.
    pub fn new(library: &Path, model: &[u8], kind: Kind, threads: usize) -> Result<Self, Error> {
        Self::open(library, model, kind, threads, GraphOptimizationLevel::All)
    }

    /// Like [`Self::new`], without the optimizations that change rounding.
    pub fn without_optimization(
        library: &Path,
        model: &[u8],
        kind: Kind,
        threads: usize,
    ) -> Result<Self, Error> {
        Self::open(
            library,
            model,
            kind,
            threads,
            GraphOptimizationLevel::Disable,
        )
    }

    fn open(
        library: &Path,
        model: &[u8],
        kind: Kind,
        threads: usize,
        optimization: GraphOptimizationLevel,
    ) -> Result<Self, Error> {
        let environment = environment(library)?;
        let unusable = |reason: String| Error::Runtime {
            action: "load the model",
            reason,
        };
        let session = session(&environment, model, threads, optimization)
            .map_err(|error| unusable(error.to_string()))?;
        let outputs: Vec<&str> = session.outputs().iter().map(Outlet::name).collect();
        let output = output(kind);
        if !outputs.contains(&output) {
            let outputs = outputs.join(", ");
            return Err(unusable(format!(
                "its outputs are {outputs}, but a model of this kind has {output}; the registry's kind does not match the file"
            )));
        }
        Ok(Self { session, output })
    }
}

impl Scorer for OrtScorer {
    fn rows(&mut self, batch: &[&Window]) -> Result<Vec<Row>, Error> {
        let failed = |error: ort::Error| Error::Runtime {
            action: "score a batch",
            reason: error.to_string(),
        };
        let inputs = Inputs::new(batch);
        let shape = [batch.len(), inputs.width];
        let outputs = self
            .session
            .run(ort::inputs![
                "input_ids" => Tensor::from_array((shape, inputs.ids)).map_err(failed)?,
                "attention_mask" => Tensor::from_array((shape, inputs.mask)).map_err(failed)?,
                "token_type_ids" => Tensor::from_array((shape, inputs.types)).map_err(failed)?,
            ])
            .map_err(failed)?;
        let (shape, values) = outputs[self.output]
            .try_extract_tensor::<f32>()
            .map_err(failed)?;
        first_rows(shape, values, batch.len()).ok_or_else(|| Error::Runtime {
            action: "score a batch",
            reason: format!("shape {shape:?} for {} windows", batch.len()),
        })
    }
}

/// Name of the graph's output.
fn output(kind: Kind) -> &'static str {
    match kind {
        Kind::CrossEncoder => "logits",
        Kind::BiEncoder => "last_hidden_state",
    }
}

/// The first row of each window: the only one of `windows × 1`, or that of `[CLS]` of `windows ×
/// tokens × hidden`. `None` for any other shape.
fn first_rows(shape: &[i64], values: &[f32], windows: usize) -> Option<Vec<Row>> {
    let of_shape = usize::try_from(*shape.first()?).ok()?;
    let length = usize::try_from(*shape.last()?).ok()?;
    if of_shape != windows || windows == 0 || length == 0 || shape.len() < 2 {
        return None;
    }
    let stride = values.len() / windows;
    let rows = values.chunks_exact(stride.max(1));
    rows.map(|window| Some(window.get(..length)?.to_vec()))
        .collect()
}

/// Row-major tensors of one batch, each row padded to the longest one.
struct Inputs {
    width: usize,
    ids: Vec<i64>,
    mask: Vec<i64>,
    types: Vec<i64>,
}

impl Inputs {
    fn new(batch: &[&Window]) -> Self {
        let width = batch.iter().map(|window| window.ids.len()).max();
        let width = width.unwrap_or(0);
        let size = batch.len() * width;
        let (mut ids, mut mask, mut types) = (vec![PADDING; size], vec![0; size], vec![0; size]);
        for (row, window) in batch.iter().enumerate() {
            let (start, end) = (row * width, row * width + window.ids.len());
            for (cell, id) in ids[start..end].iter_mut().zip(&window.ids) {
                *cell = i64::from(*id);
            }
            mask[start..end].fill(1);
            types[start + window.first_segment..end].fill(1);
        }
        Self {
            width,
            ids,
            mask,
            types,
        }
    }
}

/// The process's ONNX Runtime, which can be loaded only once.
fn environment(library: &Path) -> Result<Environment, Error> {
    static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);
    let mut loaded = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*loaded {
        return Ok(environment.clone());
    }
    let environment = load(library)?;
    Ok(loaded.insert(environment).clone())
}

fn load(library: &Path) -> Result<Environment, Error> {
    let unusable = |reason: String| Error::Library {
        path: library.to_owned(),
        reason,
    };
    // An absolute path, because `ort` resolves a relative one against the program's folder.
    let library = library
        .canonicalize()
        .map_err(|error| unusable(error.to_string()))?;
    ort::init_from(library)
        .map_err(|error| unusable(error.to_string()))?
        .with_name("poq-evaluator")
        .build()
        .map_err(|error| unusable(error.to_string()))
}

fn session(
    environment: &Environment,
    model: &[u8],
    threads: usize,
    optimization: GraphOptimizationLevel,
) -> ort::Result<Session> {
    Session::builder(environment)?
        .with_optimization_level(optimization)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        // Idle workers must not burn the cores that the language model needs.
        .with_intra_op_spinning(false)?
        .commit_from_memory(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;
    use poq_reference_evaluator::millionths;

    use crate::scorer::PairTokenizer;
    use crate::testing::{self, files, published};

    /// Largest difference between engine settings, in micro-logits: a fiftieth of the audit
    /// tolerance.
    const NOISE: i32 = 10;

    fn encoded() -> Vec<Window> {
        let mut entry = published();
        entry.max_windows = 1;
        let tokenizer = PairTokenizer::open(&files().tokenizer, &entry).unwrap();
        testing::pairs()
            .iter()
            .flat_map(|(prompt, answer)| tokenizer.encode(prompt, answer).unwrap().windows)
            .collect()
    }

    fn scorer(path: &Path, threads: usize, optimization: GraphOptimizationLevel) -> OrtScorer {
        let environment = environment(&files().library).unwrap();
        let model = std::fs::read(path).unwrap();
        let session = session(&environment, &model, threads, optimization).unwrap();
        OrtScorer {
            session,
            output: output(Kind::CrossEncoder),
        }
    }

    fn canonical(threads: usize, optimization: GraphOptimizationLevel) -> OrtScorer {
        scorer(&files().weights, threads, optimization)
    }

    /// Micro-logits of every pair by itself.
    fn alone(mut scorer: OrtScorer, pairs: &[Window]) -> Vec<i32> {
        pairs
            .iter()
            .map(|pair| scorer.rows(&[pair]).unwrap()[0][0])
            .map(millionths)
            .collect()
    }

    fn largest_difference(a: &[i32], b: &[i32]) -> i32 {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).max().unwrap()
    }

    /// Scores by ONNX Runtime's Python package for the same pairs.
    #[test]
    fn known_pairs_have_their_known_scores() {
        let scores = alone(canonical(1, GraphOptimizationLevel::All), &encoded());
        let expected = [9_085_089, -11_187_496, -3_934_310];
        let difference = largest_difference(&scores[..3], &expected);
        assert!(difference <= NOISE, "{scores:?}");
    }

    #[test]
    fn settings_of_the_engine_change_no_score() {
        let pairs = encoded();
        let scores = alone(canonical(1, GraphOptimizationLevel::All), &pairs);
        let unoptimized = alone(canonical(1, GraphOptimizationLevel::Disable), &pairs);
        let threaded = alone(canonical(2, GraphOptimizationLevel::All), &pairs);
        let optimization = largest_difference(&scores, &unoptimized);
        let threads = largest_difference(&scores, &threaded);
        println!("micro-logits: optimization {optimization}, threads {threads}");
        assert!(optimization <= NOISE && threads <= NOISE);
    }

    #[test]
    fn padding_changes_no_score() {
        let pairs = encoded();
        let scores = alone(canonical(1, GraphOptimizationLevel::All), &pairs);
        let mut scorer = canonical(1, GraphOptimizationLevel::All);
        let batched: Vec<i32> = pairs
            .chunks(8)
            .flat_map(|batch| scorer.rows(&batch.iter().collect::<Vec<_>>()).unwrap())
            .map(|row| millionths(row[0]))
            .collect();
        let difference = largest_difference(&scores, &batched);
        println!("micro-logits: padding {difference}");
        assert!(difference <= NOISE);
    }

    #[test]
    fn the_transcoding_ranks_pairs_as_the_published_model_does() {
        let pairs = encoded();
        let canonical = alone(canonical(1, GraphOptimizationLevel::All), &pairs);
        let path = testing::model_file(crate::transcode::MODELS[0].id, registry::INT8);
        let published = alone(scorer(&path, 1, GraphOptimizationLevel::All), &pairs);
        let agreement = spearman(&canonical, &published);
        println!("Spearman {agreement:.4}");
        assert!(agreement > 0.95, "{agreement}");
    }

    /// Rank correlation of values without ties.
    fn spearman(a: &[i32], b: &[i32]) -> f64 {
        let rank = |values: &[i32], value| values.iter().filter(|other| **other < value).count();
        let squares: f64 = a
            .iter()
            .zip(b)
            .map(|(x, y)| (rank(a, *x) as f64 - rank(b, *y) as f64).powi(2))
            .sum();
        let n = a.len() as f64;
        1.0 - 6.0 * squares / (n * (n * n - 1.0))
    }

    #[test]
    fn a_missing_library_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("libonnxruntime.so");
        let error = load(&missing).unwrap_err().to_string();
        assert!(error.contains("run `make setup`"), "{error}");
    }
}
