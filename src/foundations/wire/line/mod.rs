//! Lines: cuts CRLF-terminated lines out of bytes as they arrive.
//!
//! Promises: never holds more than the limit of one line plus what the caller has read ahead, looks at each octet once,
//! and takes nothing but CRLF for the end of a good line. Called by every line protocol's driver; does no I/O itself.

mod lines;

pub use lines::{BadLine, Lines};
