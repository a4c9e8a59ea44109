//! The webmail: mail in a browser, for everybody who has a mailbox here.
//!
//! Promises: it makes no request to any other host unless a reader asks for the images of one message, and its pages may
//! run and load nothing but their own resources (`Content-Security-Policy`). Content from others is never markup of the
//! page: HTML of messages is sanitised (`html`) and shown in a separate frame without scripts. A letter answered as "sent" is
//! durable, and the same request sends only once (`send`). Drafts are messages in the folder for drafts.
//!
//! The data comes from `/api/`, described by `/api/openapi.json`; the page is one client of it among others. Each file here
//! is one part of that interface. Logins go through `services::login`, so that the guard counts them with those of IMAP.
//! Called by listeners of the protocols `webmail` and, through the site, `https`. Its locks protect cached logins, uploads in
//! progress, and sends in progress; none is held across an `await` except the one of a single message.
//!
//! As one of several nodes it passes requests about mailboxes on to the node that has them (`elsewhere`), so that a user's
//! state in memory is in one place.

mod across;
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
mod multipart;
mod paperclip;
mod parts;
mod people;
mod plain;
mod priority;
mod read;
mod reasons;
mod receipts;
mod remembered;
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
