//! The bodies of the fuzz targets, run on their seeds and on every input that has ever broken one.
//!
//! `fuzz/regressions/<target>/<what-went-wrong>` holds those inputs; adding the file adds the test.

use std::path::Path;

#[path = "../../fuzz/bodies/mod.rs"]
mod bodies;

#[test]
fn seeds_and_regressions_break_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (target, body) in bodies::ALL {
        assert!(root.join(format!("fuzz/fuzz_targets/{target}.rs")).exists(), "{target} has no fuzz target");
        body(b"");
        let mut folders = vec![root.join("fuzz/seeds").join(target), root.join("fuzz/regressions").join(target)];
        if *target == "mime" {
            folders.push(root.join("tests/golden/structure"));
        }
        let files = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
        for file in files {
            let path = file.unwrap().path();
            println!("{}", path.display());
            let input = std::fs::read(&path).unwrap();
            body(&input);
            // Everything before the end of the input is what a connection has received so far.
            for cut in 0..input.len().min(300) {
                body(&input[..cut]);
            }
        }
    }
}

#[test]
fn every_target_has_a_body() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names: Vec<&str> = bodies::ALL.iter().map(|(name, _)| *name).collect();
    for file in std::fs::read_dir(root.join("fuzz/fuzz_targets")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(names.contains(&name.as_str()), "{name} is not in fuzz/bodies/mod.rs");
    }
}
