//! The local machine.

use std::path::PathBuf;

/// The folder that `make setup` fills: `$POQ_CACHE`, else `$XDG_CACHE_HOME/poq`, else
/// `~/.cache/poq`.
pub fn cache() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(cache) = set("POQ_CACHE") {
        return cache.into();
    }
    let user_cache = match set("XDG_CACHE_HOME") {
        Some(cache) => cache.into(),
        None => std::env::home_dir().unwrap_or_default().join(".cache"),
    };
    user_cache.join("poq")
}

/// The machine that figures were measured on: number and model of the processors, and the load
/// average of the last minute.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let name = processors
        .lines()
        .find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1))
        .unwrap_or(std::env::consts::ARCH);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!("{cores} x {name}, load {load}")
}
