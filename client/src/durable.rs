//! Crash-safe files: the disk has either the old or the new content, never a part.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// Replaces the content of `path` atomically. Only the owner can read the file; its folder must
/// exist.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    write(path, content, |file| {
        file.persist(path).map_err(|error| error.error)
    })
}

/// Creates `path` atomically; fails with [`std::io::ErrorKind::AlreadyExists`] if it exists. Only
/// the owner can read the file; its folder must exist.
pub fn create(path: &Path, content: &[u8]) -> Result<()> {
    write(path, content, |file| {
        file.persist_noclobber(path).map_err(|error| error.error)
    })
}

/// Removes `path` durably. A missing file is not an error.
pub fn remove(path: &Path) -> Result<()> {
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync_folder(folder(path))),
    };
    removed.map_err(|source| Error::file("remove", path, source))
}

fn write(
    path: &Path,
    content: &[u8],
    persist: impl FnOnce(NamedTempFile) -> std::io::Result<File>,
) -> Result<()> {
    let folder = folder(path);
    NamedTempFile::new_in(folder)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.as_file().sync_all()?;
            persist(file)
        })
        .and_then(|_| sync_folder(folder))
        .map_err(|source| Error::file("write", path, source))
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A rename is durable only once its folder is synced.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn replaces_and_keeps_no_temporary_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn create_never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        create(&path, b"one").unwrap();
        let error = create(&path, b"two").unwrap_err();
        assert!(matches!(
            error,
            Error::File { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists
        ));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_gone_already_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        create(&path, b"one").unwrap();
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
        let error = remove(folder.path()).unwrap_err();
        assert!(error.to_string().starts_with("cannot remove"), "{error}");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = replace(Path::new("/nonexistent/file"), b"").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot write /nonexistent/file: ")
        );
    }
}
