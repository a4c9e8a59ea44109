//! The webmail: mail in a browser, for everybody who has a mailbox here.
//!
//! Promises: it makes no request to any other host unless a reader asks for the images of one message, and its pages may
//! run and load nothing but what they bring (`Content-Security-Policy`). What others have written is never markup of the
//! page: HTML of messages is cleaned here (`html`) and shown in a frame of its own without scripts. What is answered "sent"
//! is durable, and the same wish is fulfilled once (`send`). Drafts are messages in the folder for drafts.
//!
//! The data come from `/api/`, described by `/api/openapi.json`; the page is one user of it among others. Each file here
//! is one part of that interface. Logins go through `services::login`, so that the guard counts them with those of IMAP.
//! Called by listeners of the protocols `webmail` and, by way of the site, `https`. Its locks guard what is
//! known of logins, attachments on their way, and what is being sent; none is held across an `await` but the one of a single message.
//!
//! As one of several nodes it passes what is about mailboxes on to the node that has them (`elsewhere`), so that what is kept in
//! memory for a user lies in one place.

mod acts;
mod answer;
mod archive;
mod assets;
mod attached;
mod build;
mod changes;
mod contact_files;
mod contacts;
mod conversations;
mod csv;
mod devices;
mod door;
mod drafts;
mod elsewhere;
mod envelope;
mod flow;
mod folders;
mod growth;
mod holding;
mod html;
mod imports;
mod invitations;
mod list;
mod paperclip;
mod parts;
mod people;
mod plain;
mod priority;
mod read;
mod reasons;
mod remembered;
mod receipts;
mod room;
mod scripts;
mod search;
mod security;
mod send;
mod serve;
mod settings;
mod signatures;
mod signing_in;
mod sought;
mod source;
mod style;
mod terms;
mod unsubscribing;
mod uploads;

pub use room::{Beside, Needs, Room};
pub use serve::{pages, respond, run};
pub use settings::WebmailSettings;
