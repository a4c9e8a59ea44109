//! What users teach the filter by moving messages into the folder for unwanted mail, or out of it.
//!
//! Promises: [`Lessons::moved`] never waits and never fails its caller; what a move teaches is learned beside it,
//! bounded in number and size, and a failure, or a move for which there is no room, is a line in the log. Called by
//! what moves messages for users: IMAP and the webmail.

mod teach;
mod waiting;

pub use teach::{Lessons, LessonsParts};
