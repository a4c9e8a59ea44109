//! Splits CRLF-terminated lines off bytes as they arrive.
//!
//! Promises: never holds more than the limit of one line plus what the caller has read ahead, looks at each octet once,
//! and accepts only CRLF as the end of a valid line. Called by every line protocol's driver; does no I/O itself.

mod lines;

pub use lines::{BadLine, Lines};
