//! What is served over HTTP: pages for people, and policies for other servers.

mod bodies;
mod caller;
mod form;
mod logins;
mod passing;
mod token;
mod turns;

pub mod dashboard;
pub mod dav;
pub mod site;
pub mod webmail;

pub use bodies::Bodies;
