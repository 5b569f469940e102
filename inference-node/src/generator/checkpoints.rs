//! Runs tiny checkpoints of Llama 3 and Mixtral, in both layouts, through the normal loading path.
//!
//! The golden files are the results of Hugging Face's transformers for the same checkpoints;
//! `tests/reference/logits.py` writes them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use candle_core::Device;
use candle_core::quantized::gguf_file::{self, Content};
use candle_core::quantized::{GgmlDType, QTensor};
use mistralrs::{
    CustomLogitsProcessor, RequestBuilder, Response, SamplingParams, Tensor, TextMessageRole,
};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::load::{self, Loaded};
use super::weights::{self, Files, Prepared, WeightType};
use super::{Generator, MistralGenerator, Prompt, Request, Sampling};
use crate::checkpoint::{Architecture, CONTEXT};

/// Long enough for scaled rotary frequencies to matter, with the digits, spaces and non-ASCII
/// letters in which tokenizers differ.
const PROMPT: &str = include_str!("../../tests/reference/prompt.txt");
/// Largest difference of a logit; logits lie between -4 and 4.
const TOLERANCE: f32 = 1e-4;
/// Texts are compared if every token had at least this margin, which rounding cannot bridge.
const WIDE: f32 = 10.0 * TOLERANCE;

#[derive(Clone, Copy, Debug)]
enum Layout {
    Folder,
    Gguf,
}

/// The results of transformers for [`PROMPT`].
#[derive(Deserialize)]
struct Golden {
    /// The chat as tokens.
    prompt: Vec<u32>,
    /// The most likely continuation.
    answer: Vec<u32>,
    /// Logits before each of its tokens.
    logits: Vec<Vec<f32>>,
}

impl Golden {
    fn of(architecture: Architecture) -> Self {
        let text = match architecture {
            Architecture::Llama3 => include_str!("../../tests/reference/llama3.json"),
            Architecture::Mixtral => include_str!("../../tests/reference/mixtral.json"),
        };
        serde_json::from_str(text).unwrap()
    }
}

fn write(architecture: Architecture, layout: Layout, folder: &Path) -> PathBuf {
    match layout {
        Layout::Folder => {
            architecture.write_folder(folder).unwrap();
            folder.to_owned()
        }
        Layout::Gguf => {
            let file = folder.join("model.gguf");
            architecture.write_gguf(&file).unwrap();
            file
        }
    }
}

fn prepare(source: &Path, cache: &Path, weights: WeightType) -> Prepared {
    let digest = weights::digest(source).unwrap();
    weights::prepare(source, &digest, cache, weights).unwrap()
}

/// Logits before each token, and the tokens before them.
#[derive(Default)]
struct Recorder(Mutex<Vec<(Vec<f32>, Vec<u32>)>>);

impl CustomLogitsProcessor for Recorder {
    fn apply(&self, logits: &Tensor, context: &[u32]) -> mistralrs::Result<Tensor> {
        let values = logits.flatten_all()?.to_vec1()?;
        self.0.lock().unwrap().push((values, context.to_vec()));
        Ok(logits.clone())
    }
}

/// The engine's results for [`PROMPT`], in the form of the golden files.
async fn compute(loaded: &Loaded, steps: usize) -> Golden {
    let recorder = Arc::new(Recorder::default());
    let request = RequestBuilder::new()
        .set_sampling(SamplingParams {
            temperature: Some(0.0),
            max_len: Some(steps),
            ..SamplingParams::neutral()
        })
        .add_logits_processor(recorder.clone())
        .add_message(TextMessageRole::User, PROMPT);
    let mut stream = loaded.model.stream_chat_request(request).await.unwrap();
    while let Some(response) = stream.next().await {
        assert!(matches!(response, Response::Chunk(_)));
    }
    let steps = std::mem::take(&mut *recorder.0.lock().unwrap());
    let prompt = steps[0].1.clone();
    let last = steps.last().unwrap();
    let best = last
        .0
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1))
        .unwrap();
    let mut answer = last.1[prompt.len()..].to_vec();
    answer.push(best.0 as u32);
    Golden {
        prompt,
        answer,
        logits: steps.into_iter().map(|(logits, _)| logits).collect(),
    }
}

fn largest_difference(left: &Golden, right: &Golden) -> f32 {
    let pairs = left.logits.iter().zip(&right.logits);
    let pairs = pairs.flat_map(|(left, right)| left.iter().zip(right));
    pairs
        .map(|(left, right)| (left - right).abs())
        .fold(0.0, f32::max)
}

async fn check_against_transformers(architecture: Architecture, layout: Layout) {
    let folder = tempfile::tempdir().unwrap();
    let source = write(architecture, layout, folder.path());
    let prepared = prepare(&source, &folder.path().join("cache"), WeightType::F32);
    let loaded = load::load(&prepared).await.unwrap();
    assert_eq!(loaded.context_tokens, CONTEXT);

    let golden = Golden::of(architecture);
    let computed = compute(&loaded, golden.answer.len()).await;
    assert_eq!(computed.prompt, golden.prompt);
    assert_eq!(computed.answer, golden.answer);
    let difference = largest_difference(&computed, &golden);
    println!("{architecture:?} {layout:?}: {difference:e}");
    assert!(
        difference < TOLERANCE,
        "{architecture:?} {layout:?}: {difference}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn llama_3_computes_as_transformers_do() {
    check_against_transformers(Architecture::Llama3, Layout::Folder).await;
    check_against_transformers(Architecture::Llama3, Layout::Gguf).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mixtral_computes_as_transformers_do() {
    check_against_transformers(Architecture::Mixtral, Layout::Folder).await;
    check_against_transformers(Architecture::Mixtral, Layout::Gguf).await;
}

fn question() -> Request {
    Request {
        prompt: Prompt::question(PROMPT),
        sampling: Sampling::GREEDY,
        max_tokens: 12,
        max_bytes: 10_000,
        stop: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_layout_is_served_with_every_type_of_weights() {
    for architecture in [Architecture::Llama3, Architecture::Mixtral] {
        let mut answers = Vec::new();
        for layout in [Layout::Folder, Layout::Gguf] {
            let folder = tempfile::tempdir().unwrap();
            let source = write(architecture, layout, folder.path());
            for weights in [
                WeightType::F32,
                WeightType::Original,
                WeightType::Q8_0,
                WeightType::Q8_0All,
            ] {
                let prepared = prepare(&source, &folder.path().join("cache"), weights);
                let generator = MistralGenerator::load(&prepared, 1, 1).await.unwrap();
                let stop = CancellationToken::new();
                let answer = generator.generate(&question(), &stop, None).await.unwrap();
                let golden = Golden::of(architecture);
                assert_eq!(answer.prompt_tokens, golden.prompt.len());
                assert!(
                    answer.answer_tokens > 2,
                    "{architecture:?} {layout:?} {weights:?}"
                );
                if matches!(weights, WeightType::F32 | WeightType::Original) {
                    let narrow = answer.margins.iter().find(|margin| **margin < WIDE);
                    assert_eq!(narrow, None, "{architecture:?} {layout:?}");
                    answers.push(answer.text);
                }
            }
        }
        assert!(
            answers.iter().all(|answer| *answer == answers[0]),
            "{answers:?}"
        );
    }
}

/// Shows why a GGUF file with rotary factors is converted to a folder. If this fails, that is no
/// longer needed.
#[tokio::test(flavor = "multi_thread")]
async fn the_engine_passes_over_rotary_factors_in_gguf() {
    let folder = tempfile::tempdir().unwrap();
    let source = write(Architecture::Llama3, Layout::Gguf, folder.path());
    let mut prepared = prepare(&source, &folder.path().join("cache"), WeightType::F32);
    prepared.files = Files::Gguf(vec![source]);
    let loaded = load::load(&prepared).await.unwrap();
    let golden = Golden::of(Architecture::Llama3);
    let computed = compute(&loaded, 1).await;
    assert_eq!(computed.prompt, golden.prompt);
    let difference = largest_difference(&computed, &golden);
    assert!(difference > 100.0 * TOLERANCE, "{difference}");
}

/// A Mixtral with experts in 8-bit blocks.
fn write_blocks(folder: &Path) -> PathBuf {
    let source = write(Architecture::Mixtral, Layout::Gguf, folder);
    let mut reader = File::open(source).unwrap();
    let content = Content::read(&mut reader).unwrap();
    let names = content.tensor_infos.keys();
    let tensors: Vec<_> = names
        .map(|name| {
            let tensor = content.tensor(&mut reader, name, &Device::Cpu).unwrap();
            if !name.contains("_exps") {
                return (name.as_str(), tensor);
            }
            let tensor = tensor.dequantize(&Device::Cpu).unwrap();
            (
                name.as_str(),
                QTensor::quantize(&tensor, GgmlDType::Q8_0).unwrap(),
            )
        })
        .collect();
    let tensors: Vec<_> = tensors.iter().map(|(name, t)| (*name, t)).collect();
    let metadata = content.metadata.iter();
    let metadata: Vec<_> = metadata.map(|(key, value)| (key.as_str(), value)).collect();
    let path = folder.join("blocks.gguf");
    gguf_file::write(&mut File::create(&path).unwrap(), &metadata, &tensors).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn experts_in_blocks_are_taken_apart_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let source = write_blocks(folder.path());
    let prepared = prepare(&source, &folder.path().join("cache"), WeightType::Original);
    let loaded = load::load(&prepared).await.unwrap();
    let golden = Golden::of(Architecture::Mixtral);
    let computed = compute(&loaded, golden.answer.len()).await;
    assert_eq!(computed.answer, golden.answer);
    let difference = largest_difference(&computed, &golden);
    assert!((TOLERANCE..0.1).contains(&difference), "{difference}");
}

/// Shows why the experts of a GGUF file are split. If this fails, that is no longer needed.
#[tokio::test(flavor = "multi_thread")]
async fn the_engine_cannot_multiply_joined_experts() {
    let folder = tempfile::tempdir().unwrap();
    let source = write_blocks(folder.path());
    let mut prepared = prepare(&source, &folder.path().join("cache"), WeightType::Original);
    prepared.files = Files::Gguf(vec![source]);
    let error = match MistralGenerator::load(&prepared, 1, 1).await {
        Err(error) => error,
        Ok(generator) => {
            let stop = CancellationToken::new();
            generator
                .generate(&question(), &stop, None)
                .await
                .unwrap_err()
        }
    };
    assert!(error.to_string().contains("rank"), "{error}");
}

/// Not a test: writes the checkpoints for `tests/reference/logits.py`.
#[test]
#[ignore = "writes the folder POQ_CHECKPOINTS"]
fn write_the_checkpoints() {
    let folder = PathBuf::from(std::env::var_os("POQ_CHECKPOINTS").unwrap());
    Architecture::Llama3
        .write_folder(&folder.join("llama3"))
        .unwrap();
    Architecture::Mixtral
        .write_folder(&folder.join("mixtral"))
        .unwrap();
}
