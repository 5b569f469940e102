//! The floors of `app` and of `store`: each room imports only from lower floors, so there is no
//! cycle and a reader may start at the bottom.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of `app` from the ground up: files and folders of `src`, and the modules by their own
/// names. A new room goes above everything that it imports.
const APP: [&str; 36] = [
    // The ground: files that do not depend on the chain's state.
    "error",
    "arithmetic",
    "address",
    "coin",
    "pagination",
    "selection",
    "unbonding",
    "vrf",
    "ecdsa",
    "execution",
    "batch",
    // The modules.
    "params",
    "chain",
    "auth",
    "bank",
    "models",
    "nodes",
    "validators",
    "beacon",
    "stake",
    "tasks",
    "audits",
    "sessions",
    "modules",
    // The callers of the modules.
    "tx",
    "genesis",
    "query",
    "refusal",
    "block",
    "mempool",
    "proposal",
    "app",
    "abci",
    "lib",
    // Names that `lib` exports count as their rooms.
    "Error",
    "Result",
];

/// The rooms of `store`, from the ground up.
const STORE: [&str; 7] = ["limits", "error", "rows", "tree", "commit", "view", "lib"];

fn floor(floors: &[&str], room: &str) -> usize {
    let floor = floors.iter().position(|known| *known == room);
    floor.unwrap_or_else(|| panic!("`{room}` has no floor: give it one in tests/floors.rs"))
}

/// Source files below a folder, without tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(path);
        }
    }
    found
}

/// The room of a path below `src` or `crate`.
fn room(parts: &[&str]) -> String {
    match parts {
        ["modules", module, ..] if *module != "mod" => (*module).to_owned(),
        [first, ..] => (*first).to_owned(),
        [] => String::new(),
    }
}

/// Code without comments and without the unit tests at its end.
fn code(source: &str) -> String {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// The rooms that code names: every path after `crate::`, also in braces.
fn imports(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let tree = &code[at + "crate::".len()..];
        let mut prefix = Vec::new();
        leaves(tree, &mut prefix, &mut rooms);
    }
    rooms
}

/// Collects the rooms of an import tree, and returns the rest of the text.
fn leaves<'a>(tree: &'a str, prefix: &mut Vec<&'a str>, rooms: &mut BTreeSet<String>) -> &'a str {
    let tree = tree.trim_start();
    if let Some(mut rest) = tree.strip_prefix('{') {
        loop {
            rest = leaves(rest, &mut prefix.clone(), rooms).trim_start();
            if let Some(more) = rest.strip_prefix(',') {
                rest = more.trim_start();
            }
            if let Some(after) = rest.strip_prefix('}') {
                return after;
            }
        }
    }
    let end = tree.find(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '*');
    let (name, rest) = tree.split_at(end.unwrap_or(tree.len()));
    prefix.push(name);
    match rest.strip_prefix("::") {
        Some(more) => leaves(more, prefix, rooms),
        None => {
            rooms.insert(room(prefix));
            let alias = rest.trim_start().strip_prefix("as ");
            let after = alias.map(|alias| {
                alias.trim_start_matches(|letter: char| letter.is_alphanumeric() || letter == '_')
            });
            after.unwrap_or(rest)
        }
    }
}

/// The imports from floors that are not lower.
fn upward_imports(src: &Path, floors: &[&str]) -> Vec<String> {
    let mut upward = Vec::new();
    for file in sources(src) {
        let path = file.strip_prefix(src).unwrap().with_extension("");
        let parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
        let own = room(&parts);
        let below = |other: &str| {
            matches!(other, "Error" | "Result") || floor(floors, other) < floor(floors, &own)
        };
        for other in imports(&code(&fs::read_to_string(&file).unwrap())) {
            if other != own && !below(&other) {
                upward.push(format!("{} imports {other}", path.display()));
            }
        }
    }
    upward
}

#[test]
fn rooms_import_from_lower_floors_alone() {
    let app = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut upward = upward_imports(&app.join("src"), &APP);
    upward.extend(upward_imports(&app.join("../store/src"), &STORE));
    assert!(upward.is_empty(), "{}", upward.join("\n"));
}

#[test]
fn imports_are_found_in_every_form() {
    let found = imports(&code(
        "use crate::modules::{bank, nodes::{self, Duty}, tasks as t};\n\
         use crate::error::{Error, Result};\nfn f() { crate::chain::id(); } // crate::abci\n\
         #[cfg(test)]\nmod tests { use crate::app; }",
    ));
    let found: Vec<_> = found.iter().map(String::as_str).collect();
    assert_eq!(found, ["bank", "chain", "error", "nodes", "tasks"]);
}
