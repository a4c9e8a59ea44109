//! Asks the linker to pack the program's relocations.
//!
//! A position-independent program of this size has 100,000 relative relocations. Unpacked they take 2.4 MB, which the
//! loader reads at every start and which then stays in the process's memory; packed they take 25 kB.

#![expect(clippy::disallowed_methods, reason = "cargo passes everything to build scripts in the environment")]

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    let target = |name: &str| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    // mold before 2.0 produces programs that do not start when given this option.
    let mold = env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("mold"));
    if target("OS") == "linux" && target("ENV") == "gnu" && !mold {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
