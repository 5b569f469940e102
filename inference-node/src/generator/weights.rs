//! Converts the model in the chain's registry to the files that mistral.rs runs fastest.
//!
//! The files' digests are checked; then they are prepared once. A GGUF file is transcoded, since
//! mistral.rs's CPU path has vector kernels for 8-bit blocks and single precision, but not for
//! 4-bit blocks. Parts that mistral.rs would misread are corrected (the README has the list). A
//! folder in the layout of the Hugging Face hub is read as it is. The results are cached under the
//! digest of their source, so that all nodes on a machine share them.

mod convert;
mod facts;
mod folder;
mod gguf;
pub(crate) mod hub;
mod pieces;
mod shape;
mod source;
mod tokenizer;
mod transcode;
mod unpack;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::controls::Controls;

pub(crate) use facts::Facts;
pub(crate) use folder::read as read_json;
pub(crate) use shape::{Memory, Shape};
pub(crate) use source::Source;

/// Incremented when a conversion changes, so that older results are not reused.
const CONVERSION: u32 = 1;

/// Type of the matrices in memory; the README has the measurements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum WeightType {
    /// Single precision: answers do not depend on the processor, and prompts are processed fastest.
    /// Takes four times the memory.
    #[default]
    F32,
    /// 8-bit blocks, except for `ffn_down` of models without experts: answers are a third faster.
    #[value(name = "q8_0")]
    Q8_0,
    /// 8-bit blocks throughout: the fastest answers, but further from those of `F32`.
    #[value(name = "q8_0_all")]
    Q8_0All,
    /// As in the file; for a folder, single precision on a CPU.
    Original,
}

impl WeightType {
    /// The name in settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Q8_0 => "q8_0",
            Self::Q8_0All => "q8_0_all",
            Self::Original => "original",
        }
    }

    /// The target type of a matrix; `None` leaves it unchanged.
    ///
    /// The 8-bit kernels round activations to 8 bits too, in blocks of 32, and the input of
    /// `ffn_down` has single values thousands of times larger than their neighbours. With
    /// [`Self::Q8_0`] these matrices multiply unrounded activations instead. Those of experts stay
    /// in 8 bits: in single precision they alone would take Mixtral 8x7B 60 GB.
    fn type_of(self, name: &str) -> Option<GgmlDType> {
        match self {
            Self::Original => None,
            Self::Q8_0 if name.contains("ffn_down.weight") => Some(GgmlDType::F32),
            Self::Q8_0 | Self::Q8_0All => Some(GgmlDType::Q8_0),
            Self::F32 => Some(GgmlDType::F32),
        }
    }

    fn file_name(self) -> String {
        format!("{}.gguf", self.name())
    }
}

/// Files to load into mistral.rs.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// The weights.
    pub files: Files,
    /// The tokenizer; `None` if mistral.rs reads that of the GGUF file correctly.
    pub tokenizer: Option<PathBuf>,
    /// Id of the end token.
    pub end_token: u32,
    /// Special tokens and chat template that go with `tokenizer`.
    pub template: Option<PathBuf>,
    /// Texts of the special tokens.
    pub special: Vec<String>,
}

/// The weights in one of the forms that mistral.rs reads.
#[derive(Clone, Debug)]
pub(crate) enum Files {
    /// One GGUF file, or all parts of one.
    Gguf(Vec<PathBuf>),
    /// The layout of the Hugging Face hub.
    Folder {
        /// `config.json`.
        config: PathBuf,
        /// `generation_config.json`.
        generation_config: Option<PathBuf>,
        /// `model*.safetensors`.
        shards: Vec<PathBuf>,
        /// Quantisation that mistral.rs applies to the matrices while loading.
        weights: WeightType,
    },
}

impl Prepared {
    /// The path of the model, for messages.
    pub(crate) fn path(&self) -> &Path {
        match &self.files {
            Files::Gguf(files) => files.first().map_or(Path::new(""), PathBuf::as_path),
            Files::Folder { config, .. } => config.parent().unwrap_or(config),
        }
    }

    /// The texts that only the chat template may write.
    ///
    /// # Errors
    /// [`Error::Io`] if the template cannot be read, [`Error::Format`] if there are too many
    /// tokens.
    pub(crate) fn controls(&self) -> Result<Controls> {
        let template = match &self.template {
            Some(path) => fs::read_to_string(path).map_err(io_error("read", path))?,
            None => String::new(),
        };
        Controls::new(&self.special, &template).map_err(format_error(self.path()))
    }
}

/// Why weights are not usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file does not exist.
    #[error(
        "the model file {0} is missing: run make setup, or name another file with --model-file"
    )]
    Missing(PathBuf),
    /// The file is not the one that the chain expects.
    #[error(
        "the model file {path} has SHA-256 {found}, but {expected} is required: \
         fetch the right file with make setup, or register the model with this digest"
    )]
    Digest {
        /// The file.
        path: PathBuf,
        /// The expected digest, 64 hex digits.
        expected: String,
        /// The actual digest, 64 hex digits.
        found: String,
    },
    /// Reading or writing failed.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// The operation.
        action: &'static str,
        /// The file's path.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// It is not a model, or mistral.rs cannot run it correctly.
    #[error("{path} is not a usable model: {reason}")]
    Format {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The hub does not answer, or does not have the model.
    #[error(
        "cannot fetch {model} from the hub {endpoint}: {reason}. Without a hub, copy the model's \
         files here and pass their folder with --model-file, or set model.file in config.toml"
    )]
    Hub {
        /// `organisation/name`.
        model: String,
        /// Its address.
        endpoint: String,
        /// The reason.
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

fn format_error<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> Error {
    let path = path.to_owned();
    move |error| Error::Format {
        path: path.clone(),
        reason: error.to_string(),
    }
}

/// The digest of a model, 64 lower-case hex digits: the SHA-256 of its file, or, if it has several,
/// of the list that `sha256sum` prints ([`Source::digest`]).
///
/// # Errors
/// [`Error::Missing`], [`Error::Format`] or [`Error::Io`].
pub(crate) fn digest(path: &Path) -> Result<String> {
    Source::open(path)?.digest()
}

/// Compares a file's digest with the one in the registry.
///
/// # Errors
/// [`Error::Digest`] if they differ.
pub(crate) fn expect(path: &Path, found: &str, expected: &str) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Digest {
        path: path.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    })
}

/// Creates the files that mistral.rs loads, unless they are cached.
///
/// `digest` is that of the source. Equal sources give equal files; two processes may prepare at the
/// same time.
///
/// # Errors
/// [`Error::Format`] if `source` is not a model, [`Error::Io`] if the cache cannot be written.
pub(crate) fn prepare(
    source: &Path,
    digest: &str,
    cache: &Path,
    weights: WeightType,
) -> Result<Prepared> {
    let directory = cache.join(format!("{digest}-v{CONVERSION}"));
    fs::create_dir_all(&directory).map_err(io_error("create", &directory))?;
    match Source::open(source)? {
        Source::Gguf(parts) => convert::prepare(&parts, &directory, weights),
        Source::Folder(folder) => folder::prepare(&folder, &directory, weights),
    }
}

/// Writes a temporary file, syncs it, and renames it to its final name.
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
        // The caller reports the error; a leftover file is only untidy.
        let _ = fs::remove_file(&partial);
    }
    result
}

/// [`write_once`] for text.
fn write_text_once(target: &Path, text: &str) -> Result<()> {
    write_once(target, |file| {
        file.write_all(text.as_bytes())
            .map_err(io_error("write", target))
    })
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
        // An existing file is not written again.
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
        let Files::Gguf(files) = prepared.files else {
            panic!("{prepared:?}");
        };
        let digests = [
            &files[0],
            &prepared.tokenizer.unwrap(),
            &prepared.template.unwrap(),
        ]
        .map(|path| source::file_digest(path).unwrap());
        let pinned = [
            "fa92519ba430c0ed00d889ff4c671f086ac8a3064dacb4161384251f3fb28ed5",
            "52d4a6a7de7d73c8d8239922fba862910e7679c4c82208f3a896ee5e191f529b",
            "425631675504c5c78edff538ff083545aca17477d855337e1613b7cef6861bce",
        ];
        assert_eq!(digests, pinned);
    }
}
