//! The server as a whole: start, reload, stop, and mail from end to end.

mod calendars;
mod certificates;
mod commands;
mod configuration;
mod delivery;
mod demo;
mod doctor;
mod drafts;
mod error_messages;
mod lifecycle;
mod nearly_full;
mod notices;
mod pages;
mod preferences;
mod records;
mod releases;
mod reports;
mod roles;
mod scheduling;
mod scheduling_by_mail;
mod security;
mod served;
mod set_up;
mod tidying;
mod traces;
mod users;
