//! The grammar of SMTP and LMTP, for both ends of a connection.
//!
//! Promises: nothing here panics or grows without a bound, whatever the bytes; whatever [`Command::parse`] accepts,
//! [`Command::encode`] writes in a form that parses to the same value. No sockets, no clock, no session state. The
//! server side is called by `protocols::smtp`, the client side ([`ReplyReader`], [`Extensions`], [`DotStuffer`]) by
//! `services::outbound`.

mod body;
mod command;
mod extensions;
mod parameters;
mod path;
mod reply;
mod reply_reader;
mod status;
mod stuffing;
mod xtext;

pub use body::{BodyFault, BodyReader, Framing, LineEndings};
pub use command::{Command, Hello, Verb};
pub use extensions::{Extensions, Limits};
pub use parameters::{MailParameters, RcptParameters, parse_notify, parse_return};
pub use path::{InvalidPath, SyntaxError};
pub use reply::Reply;
pub use reply_reader::{BadReply, ReplyReader};
pub use status::{Class, EnhancedStatus};
pub use stuffing::DotStuffer;
pub use xtext::{decode_embedded_unicode, decode_xtext, encode_embedded_unicode, encode_xtext};
