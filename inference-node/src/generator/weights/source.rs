//! The files of a model, and their digest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Error, Result, io_error};

/// Files of a folder, besides the weights, that affect answers.
const DESCRIPTIONS: [&str; 5] = [
    CONFIG,
    GENERATION_CONFIG,
    TOKENIZER,
    TOKENIZER_CONFIG,
    TEMPLATE,
];
pub(super) const CONFIG: &str = "config.json";
pub(super) const GENERATION_CONFIG: &str = "generation_config.json";
pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
pub(super) const TEMPLATE: &str = "chat_template.jinja";

/// A model on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A GGUF file, or all parts of a split one in order.
    Gguf(Vec<PathBuf>),
    /// A folder in the layout of the Hugging Face hub.
    Folder(Folder),
}

/// A folder with weights as safetensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    /// Its path.
    pub path: PathBuf,
    /// `model*.safetensors`, by name.
    pub shards: Vec<PathBuf>,
}

impl Source {
    /// Detects what is at a path: a folder, a GGUF file, or the first part of a split GGUF file
    /// (`NAME-00001-of-00004.gguf`).
    ///
    /// # Errors
    /// [`Error::Missing`] if the path or a part does not exist, [`Error::Format`] if a folder has
    /// no weights or the path is not the first part.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let metadata = fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::Missing(path.to_owned()),
            _ => io_error("open", path)(error),
        })?;
        match metadata.is_dir() {
            true => Folder::open(path).map(Self::Folder),
            false => parts(path).map(Self::Gguf),
        }
    }

    /// Every file that affects answers, by name.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Gguf(parts) => parts.clone(),
            Self::Folder(folder) => folder.files(),
        }
    }

    /// The digest in the registry, 64 lower-case hex digits.
    ///
    /// For a GGUF file in one part, its SHA-256. Otherwise the SHA-256 of the lines that
    /// `sha256sum` prints for the [files](Self::files): digest, two spaces and name, sorted by
    /// name.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read.
    pub(crate) fn digest(&self) -> Result<String> {
        if let Self::Gguf(parts) = self
            && let [file] = parts.as_slice()
        {
            return file_digest(file);
        }
        let mut manifest = String::new();
        for file in self.files() {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            manifest += &format!("{}  {name}\n", file_digest(&file)?);
        }
        Ok(poq_client::digest::of_bytes(manifest.as_bytes()))
    }

    /// Size of its weights on disk in bytes.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read.
    pub(crate) fn weight_bytes(&self) -> Result<u64> {
        let files = match self {
            Self::Gguf(parts) => parts,
            Self::Folder(folder) => &folder.shards,
        };
        let length = |path: &PathBuf| {
            let metadata = fs::metadata(path).map_err(io_error("open", path))?;
            Ok(metadata.len())
        };
        files.iter().map(length).sum()
    }
}

impl Folder {
    fn open(path: &Path) -> Result<Self> {
        let mut shards = Vec::new();
        for entry in fs::read_dir(path).map_err(io_error("read", path))? {
            let entry = entry.map_err(io_error("read", path))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // Skips `consolidated.safetensors`, Mistral's own form of the same weights.
            if name.starts_with("model") && name.ends_with(".safetensors") {
                shards.push(entry.path());
            }
        }
        shards.sort();
        let folder = Self {
            path: path.to_owned(),
            shards,
        };
        if folder.shards.is_empty() {
            return Err(Error::Format {
                path: path.to_owned(),
                reason: "the folder has no model*.safetensors; for a GGUF model pass its file"
                    .into(),
            });
        }
        for name in [CONFIG, TOKENIZER, TOKENIZER_CONFIG] {
            if !folder.path.join(name).is_file() {
                return Err(Error::Missing(folder.path.join(name)));
            }
        }
        Ok(folder)
    }

    /// One of its files, if it exists.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        Some(self.path.join(name)).filter(|path| path.is_file())
    }

    fn files(&self) -> Vec<PathBuf> {
        let descriptions = DESCRIPTIONS.iter().filter_map(|name| self.find(name));
        let mut files: Vec<PathBuf> = descriptions.chain(self.shards.iter().cloned()).collect();
        files.sort();
        files
    }
}

/// SHA-256 of a file, 64 lower-case hex digits.
pub(super) fn file_digest(path: &Path) -> Result<String> {
    poq_client::digest::of_file(path).map_err(io_error("read", path))
}

/// All parts of a GGUF file, by llama.cpp's naming.
fn parts(path: &Path) -> Result<Vec<PathBuf>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some((stem, index, count)) = split_name(&name) else {
        return Ok(vec![path.to_owned()]);
    };
    if index != 1 {
        return Err(Error::Format {
            path: path.to_owned(),
            reason: format!("it is part {index} of {count}: pass the first part"),
        });
    }
    let part = |index| path.with_file_name(format!("{stem}-{index:05}-of-{count:05}.gguf"));
    let parts: Vec<PathBuf> = (1..=count).map(part).collect();
    match parts.iter().find(|part| !part.is_file()) {
        Some(missing) => Err(Error::Missing(missing.clone())),
        None => Ok(parts),
    }
}

/// Stem, number and count of `STEM-00001-of-00004.gguf`.
fn split_name(name: &str) -> Option<(&str, u32, u32)> {
    let name = name.strip_suffix(".gguf")?;
    let (name, count) = name.rsplit_once("-of-")?;
    let (stem, index) = name.rsplit_once('-')?;
    let number = |digits: &str| match digits.len() {
        5 => digits.parse().ok().filter(|number| *number > 0),
        _ => None,
    };
    Some((stem, number(index)?, number(count)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(path: &Path) -> String {
        Source::open(path).unwrap_err().to_string()
    }

    #[test]
    fn several_files_have_the_digest_of_their_list() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| fs::write(folder.path().join(name), name).unwrap();
        for name in ["b-00001-of-00002.gguf", "b-00002-of-00002.gguf"] {
            write(name);
        }
        let source = Source::open(&folder.path().join("b-00001-of-00002.gguf")).unwrap();
        // sha256sum b-*.gguf | sha256sum
        assert_eq!(
            source.digest().unwrap(),
            "89a6a3712f88e1d9f2cd844a4ed872898c860ccd6dbd8eae49a885c1880ec70f"
        );
        for name in [
            "model-00002-of-00002.safetensors",
            "model-00001-of-00002.safetensors",
            "consolidated.safetensors",
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "README.md",
        ] {
            write(name);
        }
        // sha256sum config.json model*.safetensors tokenizer.json tokenizer_config.json | sha256sum
        let source = Source::open(folder.path()).unwrap();
        assert_eq!(
            source.digest().unwrap(),
            "1f6c88924795b814a348780c87d9116e2725ce9d1f7ccb2d350d304ad10e152f"
        );
        assert_eq!(source.weight_bytes().unwrap(), 64);
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(error(folder.path()).contains("model*.safetensors"));
        fs::write(folder.path().join("model.safetensors"), "").unwrap();
        assert!(error(folder.path()).contains("config.json is missing"));

        let first = folder.path().join("m-00001-of-00002.gguf");
        fs::write(&first, "").unwrap();
        assert!(error(&first).contains("m-00002-of-00002.gguf is missing"));
        let second = folder.path().join("m-00002-of-00002.gguf");
        fs::write(&second, "").unwrap();
        assert!(error(&second).contains("pass the first part"));
    }

    #[test]
    fn only_numbered_files_are_parts() {
        assert_eq!(split_name("a-b-00002-of-00009.gguf"), Some(("a-b", 2, 9)));
        for name in [
            "a.gguf",
            "a-1-of-2.gguf",
            "a-00000-of-00002.gguf",
            "a-00001-of-00002.bin",
        ] {
            assert_eq!(split_name(name), None, "{name}");
        }
    }
}
