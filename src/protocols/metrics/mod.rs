//! Figures for Prometheus at `/metrics`, and whether the server lives (`/healthz`) and is ready for work (`/readyz`).
//!
//! Promises: a scrape reads counters and asks the database a few counting questions, nothing else; it changes nothing.
//! Every name begins with `postrider_` and is listed in `docs/metrics.md`. Called by listeners of the protocol
//! `metrics`. Takes no locks. The figures of a source that fails are left out, and its owner logs the failure; those
//! of one that hangs are left out, too.

mod encode;
mod figure;
mod serve;

pub use figure::{Figure, FigureKind, Gather, Sample};
pub use serve::{Readiness, Room, run};
