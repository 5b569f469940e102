//! The folder that `make setup` fills.

use std::env;
use std::path::PathBuf;

/// `$POQ_CACHE`, else `poq` in `$XDG_CACHE_HOME`, else `.cache/poq` in the user's home folder, which
/// is the current folder where nothing says where it is.
pub fn folder() -> PathBuf {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(cache) = set("POQ_CACHE") {
        return cache.into();
    }
    let user = set("XDG_CACHE_HOME").map(PathBuf::from);
    user.unwrap_or_else(|| home().join(".cache")).join("poq")
}

/// The user's home folder.
pub fn home() -> PathBuf {
    env::home_dir().unwrap_or_default()
}
