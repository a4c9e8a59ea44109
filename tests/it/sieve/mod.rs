//! The language of filters: Pigeonhole's own suite of tests, run against our engine.

mod bench;
mod suite;
mod world;
