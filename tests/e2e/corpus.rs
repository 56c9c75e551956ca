//! Runs every seed, including every input that a fuzzer once found, through the functions of the fuzz targets,
//! on any toolchain. `fuzz/` searches for more.

use std::path::{Path, PathBuf};

#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, dead_code, reason = "a package of its own where it fuzzes")]
mod targets;

/// Folders with further inputs of a target, besides its own seeds.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("config", "engine/tests/config/good", "yaml"),
    ("config", "engine/tests/config/bad", "yaml"),
    ("http_file", "cli/tests/verify", "http"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &Path, extension: Option<&str>) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|f| extension.is_none() || f.extension().and_then(|e| e.to_str()) == extension);
    files.sort();
    files
}

/// All inputs of a target.
fn inputs(target: &str) -> Vec<PathBuf> {
    let mut found = files(&root().join("fuzz/seeds").join(target), None);
    for (_, folder, extension) in ELSEWHERE.iter().filter(|(of, ..)| *of == target) {
        found.extend(files(&root().join(folder), Some(extension)));
    }
    found
}

/// Runs the input, and a few mutations of it: a changed byte, a cut, a repetition.
fn run(target: &str, run: fn(&[u8]), file: &Path, changes: usize) {
    let seed = std::fs::read(file).unwrap();
    let mut chance = fastrand::Rng::with_seed(seed.len() as u64);
    let name = file.display();
    let judged = |input: &[u8]| {
        let failed = std::panic::catch_unwind(|| run(input)).is_err();
        assert!(!failed, "{target}: {name}: {:?}", String::from_utf8_lossy(input));
    };
    judged(&seed);
    for _ in 0..changes {
        let mut input = seed.clone();
        let at = chance.usize(..=seed.len());
        match chance.u8(..4) {
            0 => input.truncate(at),
            1 => input.extend_from_within(at..),
            2 => input.insert(at, chance.u8(..)),
            _ => input.get_mut(at).into_iter().for_each(|b| *b ^= 1 << chance.u8(..8)),
        }
        judged(&input);
    }
}

#[test]
fn every_seed_passes_its_fuzz_target() {
    let mut folders: Vec<String> = files(&root().join("fuzz/seeds"), None)
        .iter()
        .map(|f| f.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let names: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
    folders.retain(|folder| !names.contains(&folder.as_str()));
    assert_eq!(folders, [""; 0], "seeds without a target");
    assert!(targets::sender_count() > 40, "only {} ways of signing", targets::sender_count());
    for (name, function) in targets::TARGETS {
        let files = inputs(name);
        assert!(!files.is_empty(), "{name} has no seeds");
        // These two take milliseconds per input.
        let changes = if matches!(*name, "store" | "config") { 1 } else { 16 };
        for file in files {
            run(name, *function, &file, changes);
        }
    }
}

#[test]
fn every_fuzz_target_has_a_binary() {
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for (name, _) in targets::TARGETS {
        let file = root().join(format!("fuzz/fuzz_targets/{name}.rs"));
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(text.contains(&format!("\"{name}\"")), "{}", file.display());
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in the manifest");
    }
    // Every plugin that the command links is fuzzed too.
    for line in include_str!("../../cli/src/plugins.rs").lines() {
        let Some(name) = line.strip_prefix("use ").and_then(|l| l.strip_suffix(" as _;")) else {
            continue;
        };
        let name = name.replace('_', "-");
        assert!(manifest.contains(&format!("{name} =")), "fuzz/Cargo.toml does not name {name}");
    }
}
