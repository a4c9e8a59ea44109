//! Runs a folder of `.svtest` files, such as `tests` of Pigeonhole, whose licence (LGPL) keeps it out of this repository:
//!
//! ```sh
//! POSTRIDER_SIEVE_SUITE=pigeonhole/tests cargo test --test it sieve::suite -- --nocapture
//! ```
//!
//! Every test that fails must be among the known deviations, and each of these must still be one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use postrider::services::sieve::{compile_with, run_with};

use super::bench::{Bench, Words, leak, situation};
use super::world::SuiteWorld;

/// Where we differ from Pigeonhole, and why: the beginning of `file: test`, and the reason.
const DEVIATIONS: &str = include_str!("deviations.txt");

#[test]
fn pigeonhole_agrees() {
    let Some(root) = std::env::var_os("POSTRIDER_SIEVE_SUITE").map(PathBuf::from) else {
        println!("skipped: POSTRIDER_SIEVE_SUITE does not name the folder `tests` of a copy of Pigeonhole");
        return;
    };
    let only = std::env::var_os("POSTRIDER_SIEVE_ONLY").unwrap_or_default().to_string_lossy().into_owned();
    let mut files = Vec::new();
    find(&root, &mut files);
    files.sort();
    assert!(!files.is_empty(), "there are no .svtest files in {}", root.display());
    let mut folders: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut unknown = Vec::new();
    let mut seen = vec![false; deviations().count()];
    for path in files.iter().filter(|path| path.to_string_lossy().contains(&only)) {
        let file = path.strip_prefix(&root).unwrap();
        let folder = folders.entry(file.parent().unwrap().display().to_string()).or_default();
        for (test, failure) in run_file(path) {
            folder.1 += 1;
            let Some(why) = failure else {
                folder.0 += 1;
                continue;
            };
            let name = format!("{}: {test}", file.display());
            match deviations().position(|known| name.starts_with(known)) {
                Some(at) => seen[at] = true,
                None => unknown.push(format!("{name}: {why}")),
            }
        }
    }
    for (folder, (passed, all)) in &folders {
        println!("{passed:4} of {all:4} in {}", if folder.is_empty() { "." } else { folder });
    }
    let sum = folders.values().fold((0, 0), |sum, folder| (sum.0 + folder.0, sum.1 + folder.1));
    println!("{:4} of {:4} in all", sum.0, sum.1);
    assert!(unknown.is_empty(), "these fail and are no known deviations:\n{}", unknown.join("\n"));
    let stale: Vec<&str> = deviations().zip(&seen).filter(|(_, seen)| !**seen).map(|(known, _)| known).collect();
    assert!(!only.is_empty() || stale.is_empty(), "these known deviations are none any more: {stale:#?}");
}

fn deviations() -> impl Iterator<Item = &'static str> {
    DEVIATIONS.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).map(str::trim_end)
}

fn find(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "svtest") {
            files.push(path);
        }
    }
}

/// The tests of a file and why they failed; one named `(file)` when it cannot be compiled or ends too early.
fn run_file(path: &Path) -> Vec<(String, Option<String>)> {
    let directory = path.parent().unwrap().to_owned();
    let world: &'static SuiteWorld = leak(SuiteWorld::new(&directory));
    let settings = world.settings.lock().unwrap().clone();
    let source = std::fs::read(path).unwrap();
    let script = match compile_with(&source, &settings, Some(&Words)) {
        Ok(compiled) => compiled.script,
        Err(mistakes) => return vec![("(file)".to_owned(), Some(mistakes[0].to_string()))],
    };
    let mut bench = Bench::new(directory, world);
    let outcome = run_with(&script, &situation(world), &settings, &mut bench);
    let mut results = bench.results;
    if let Some(failure) = outcome.failure {
        results.push(("(file)".to_owned(), Some(failure.to_string())));
    }
    results
}
