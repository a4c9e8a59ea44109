//! What is served over HTTP: pages for people, and policies for other servers.

pub mod dashboard;
pub mod site;
