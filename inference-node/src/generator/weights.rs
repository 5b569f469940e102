//! From the weights file that the chain's registry names to the files that mistral.rs is fast with.
//!
//! The file is checked by its SHA-256, then transcoded once: its 4-bit blocks have no vector
//! kernel in mistral.rs's CPU path, 8-bit blocks and single precision have. The result is kept in the cache under the
//! digest of its source, so that every node of a machine shares it.

mod tokenizer;

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::gguf_file::{self, Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Raised when a conversion changes, so that older results are not taken for new ones.
const CONVERSION: u32 = 1;

/// How the matrices are kept in memory; the README has the measurements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum WeightType {
    /// As the file has them.
    Original,
    /// 8-bit blocks, except where they would spoil the answers.
    #[default]
    Q8_0,
    /// Single precision: reads prompts faster, writes answers slower, takes four times the memory.
    F32,
}

impl WeightType {
    fn ggml(self) -> Option<GgmlDType> {
        match self {
            Self::Original => None,
            Self::Q8_0 => Some(GgmlDType::Q8_0),
            Self::F32 => Some(GgmlDType::F32),
        }
    }

    fn file_name(self) -> &'static str {
        match self {
            Self::Original => "original.gguf",
            Self::Q8_0 => "q8_0.gguf",
            Self::F32 => "f32.gguf",
        }
    }
}

/// Files that mistral.rs loads.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The weights.
    pub gguf: PathBuf,
    /// The tokenizer; absent where mistral.rs's own reading of the GGUF file is right.
    pub tokenizer: Option<PathBuf>,
    /// Id of the token that ends an answer.
    pub end_token: u32,
    /// Special tokens and chat template that go with `tokenizer`.
    pub tokenizer_config: Option<PathBuf>,
}

/// Why weights cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file.
    #[error("the model file {0} is missing: run make setup, or name another file by --model-file")]
    Missing(PathBuf),
    /// It is another file than the chain expects.
    #[error(
        "the model file {path} has SHA-256 {found}, but {expected} is required: \
         fetch the right file by make setup, or register the model with this digest"
    )]
    Digest {
        /// The file.
        path: PathBuf,
        /// What it should be, 64 hex digits.
        expected: String,
        /// What it is, 64 hex digits.
        found: String,
    },
    /// Reading or writing failed.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no usable GGUF.
    #[error("{path} is not a usable GGUF model: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

type Result<T> = std::result::Result<T, Error>;

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io {
        action,
        path,
        source,
    }
}

fn format_error(path: &Path) -> impl Fn(candle_core::Error) -> Error {
    let path = path.to_owned();
    move |error| Error::Format {
        path: path.clone(),
        reason: error.to_string(),
    }
}

/// SHA-256 of a file, 64 lower-case hex digits.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Io`].
pub fn digest(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::Missing(path.to_owned()),
        _ => io_error("open", path)(error),
    })?;
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut hash = Sha256::new();
    io::copy(&mut file, &mut hash).map_err(io_error("read", path))?;
    Ok(hex::encode(hash.finalize()))
}

/// Checks the digest of a file against the one that the registry names.
///
/// # Errors
/// [`Error::Digest`] if it is another.
pub fn expect(path: &Path, found: &str, expected: &str) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Digest {
        path: path.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    })
}

/// Makes the files that mistral.rs loads, unless the cache has them.
///
/// `digest` is the source's own SHA-256. Equal sources give equal files; two processes may
/// prepare at the same time.
///
/// # Errors
/// [`Error::Format`] if `source` is no GGUF model, [`Error::Io`] if the cache cannot be written.
pub fn prepare(source: &Path, digest: &str, cache: &Path, weights: WeightType) -> Result<Prepared> {
    let directory = cache.join(format!("{digest}-v{CONVERSION}"));
    fs::create_dir_all(&directory).map_err(io_error("create", &directory))?;
    let mut reader = BufReader::new(File::open(source).map_err(io_error("open", source))?);
    let content = Content::read(&mut reader).map_err(format_error(source))?;

    let end_token = content
        .metadata
        .get("tokenizer.ggml.eos_token_id")
        .and_then(|id| id.to_u32().ok())
        .ok_or_else(|| Error::Format {
            path: source.to_owned(),
            reason: "tokenizer.ggml.eos_token_id is missing".into(),
        })?;

    let gguf = match weights.ggml() {
        None => source.to_owned(),
        Some(dtype) => {
            let target = directory.join(weights.file_name());
            write_once(&target, |file| {
                transcode(source, &content, &mut reader, dtype, file)
            })?;
            target
        }
    };
    let Some(files) = tokenizer::files(&content.metadata).map_err(|reason| Error::Format {
        path: source.to_owned(),
        reason,
    })?
    else {
        return Ok(Prepared {
            gguf,
            end_token,
            tokenizer: None,
            tokenizer_config: None,
        });
    };
    let tokenizer = directory.join("tokenizer.json");
    write_once(&tokenizer, |file| {
        file.write_all(files.tokenizer.as_bytes())
            .map_err(io_error("write", &tokenizer))
    })?;
    let tokenizer_config = directory.join("tokenizer_config.json");
    write_once(&tokenizer_config, |file| {
        file.write_all(files.config.as_bytes())
            .map_err(io_error("write", &tokenizer_config))
    })?;
    Ok(Prepared {
        gguf,
        end_token,
        tokenizer: Some(tokenizer),
        tokenizer_config: Some(tokenizer_config),
    })
}

/// Writes a file beside its place and moves it there when it is complete and on disk.
fn write_once(target: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
    if target.exists() {
        return Ok(());
    }
    let partial = target.with_extension(format!("partial-{}", std::process::id()));
    let result = (|| {
        let file = File::create(&partial).map_err(io_error("create", &partial))?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        write(&mut file)?;
        let file = file
            .into_inner()
            .map_err(|e| io_error("write", &partial)(e.into_error()))?;
        file.sync_all().map_err(io_error("write", &partial))?;
        fs::rename(&partial, target).map_err(io_error("create", target))
    })();
    if result.is_err() {
        // The reason is on its way to the user; a leftover is only untidy.
        let _ = fs::remove_file(&partial);
    }
    result
}

/// Writes the model again with its quantised matrices as `dtype`; the rest stays as it is.
fn transcode(
    source: &Path,
    content: &Content,
    reader: &mut (impl Read + io::Seek),
    dtype: GgmlDType,
    target: &mut (impl Write + io::Seek),
) -> Result<()> {
    // Sorted, because the maps have no order and equal sources must give equal files.
    let mut names: Vec<&String> = content.tensor_infos.keys().collect();
    names.sort();
    let bar = progress(names.len() as u64);
    let mut tensors: Vec<(&str, QTensor)> = Vec::with_capacity(names.len());
    for name in names {
        let tensor = content
            .tensor(reader, name, &Device::Cpu)
            .and_then(|tensor| convert(tensor, type_of(name, dtype)))
            .map_err(format_error(source))?;
        tensors.push((name, tensor));
        bar.inc(1);
    }
    let mut metadata: Vec<(&str, &Value)> = content
        .metadata
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    metadata.sort_by_key(|(key, _)| *key);
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, t)| (*name, t)).collect();
    gguf_file::write(target, &metadata, &tensors).map_err(format_error(source))?;
    bar.finish_and_clear();
    Ok(())
}

/// The type that a matrix gets. What comes in at `ffn_down` has single values thousands of times
/// larger than their neighbours; the 8-bit kernels round activations to 8 bits too, in blocks of
/// 32, and lose the neighbours. SmolLM2 then answers "What is the capital of France?" with
/// French exclamations. These matrices multiply unrounded activations instead.
fn type_of(name: &str, dtype: GgmlDType) -> GgmlDType {
    match name.contains("ffn_down") {
        true => GgmlDType::F32,
        false => dtype,
    }
}

fn convert(tensor: QTensor, dtype: GgmlDType) -> candle_core::Result<QTensor> {
    let float = matches!(
        tensor.dtype(),
        GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16
    );
    if float || tensor.dtype() == dtype {
        return Ok(tensor);
    }
    QTensor::quantize(&tensor.dequantize(&Device::Cpu)?, dtype)
}

fn progress(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} matrices");
    ProgressBar::new(length)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message("Converting the model (once)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn a_missing_file_says_what_to_do() {
        let error = digest(Path::new("/nonexistent/model.gguf"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/nonexistent/model.gguf") && error.contains("make setup"),
            "{error}"
        );
    }

    #[test]
    fn another_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        fs::write(&path, "abc").unwrap();
        let found = digest(&path).unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        expect(&path, &found, abc).unwrap();
        let error = expect(&path, &found, &"0".repeat(64))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(abc) && error.contains("model.gguf"),
            "{error}"
        );
    }

    #[test]
    fn garbage_is_no_model_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        fs::write(&path, "abc").unwrap();
        let result = prepare(&path, "d", &folder.path().join("cache"), WeightType::Q8_0);
        assert!(matches!(result, Err(Error::Format { .. })), "{result:?}");
        let made = folder.path().join("cache").join(format!("d-v{CONVERSION}"));
        assert_eq!(fs::read_dir(made).unwrap().count(), 0);
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("file");
        let failure = || Error::Missing(PathBuf::new());
        assert!(write_once(&target, |_| Err(failure())).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        // What is there is not written again.
        fs::write(&target, "old").unwrap();
        write_once(&target, |_| Err(failure())).unwrap();
    }

    #[test]
    fn conversion_is_deterministic() {
        let source = config::default_model_file();
        let digest_of_source = digest(&source).unwrap_or_else(|error| panic!("{error}"));
        let folder = tempfile::tempdir().unwrap();
        let prepared =
            prepare(&source, &digest_of_source, folder.path(), WeightType::Q8_0).unwrap();
        let digests = [
            prepared.gguf,
            prepared.tokenizer.unwrap(),
            prepared.tokenizer_config.unwrap(),
        ]
        .map(|path| digest(&path).unwrap());
        let pinned = [
            "fa92519ba430c0ed00d889ff4c671f086ac8a3064dacb4161384251f3fb28ed5",
            "52d4a6a7de7d73c8d8239922fba862910e7679c4c82208f3a896ee5e191f529b",
            "425631675504c5c78edff538ff083545aca17477d855337e1613b7cef6861bce",
        ];
        assert_eq!(digests, pinned);
    }
}
