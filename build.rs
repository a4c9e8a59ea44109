//! Asks the linker to pack the program's relocations.
//!
//! A position-independent program of this size has 100,000 relative relocations: 2.4 MB in the plain form, which the
//! loader reads whole at every start and the kernel then keeps in the memory of the process; 25 kB packed.

#![expect(clippy::disallowed_methods, reason = "cargo tells build scripts everything by the environment")]

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    let target = |name: &str| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    // mold before 2.0 writes programs that do not start when it is asked for this.
    let mold = env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("mold"));
    if target("OS") == "linux" && target("ENV") == "gnu" && !mold {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
