//! What other nodes send to this one: messages for its users by LMTP, client sessions to continue, and requests of
//! browsers.
//!
//! [`run`] reads the first line, checks that the user is here, and hands the connection to the room that speaks the
//! protocol. Those rooms are passed in, because protocol rooms never name each other. The listener admits only nodes:
//! see [`crate::services::cluster`].

mod serve;

pub use serve::{Needs, Requests, Room, Sessions, run};
