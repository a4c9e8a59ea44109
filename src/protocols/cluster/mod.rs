//! What other nodes want of this one: messages for its users by LMTP, clients' sessions to go on with, and
//! requests of browsers.
//!
//! [`run`] reads the first line, makes sure that the user is here, and gives the connection to the room that speaks the protocol. Those
//! rooms are handed in, for no protocol room names another. The listener lets nobody in but nodes: see
//! [`crate::services::cluster`].

mod serve;

pub use serve::{Needs, Requests, Room, Sessions, run};
