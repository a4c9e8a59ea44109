//! The words of the language: those of RFC 5228 in `base`, and one file for each extension.

mod base_commands;
mod base_conditions;
mod body;
mod copy;
mod date;
mod duplicate;
mod editheader;
mod enotify;
mod envelope;
mod environment;
mod fcc;
mod fields;
mod fileinto;
mod foreverypart;
mod ihave;
mod imap4flags;
mod include;
mod index;
mod mailbox;
mod mailto;
mod metadata;
mod mime;
mod reject;
mod reply;
mod spamtest;
mod special_use;
mod subaddress;
mod vacation;
mod variables;

pub(super) use include::shown;
pub(super) use subaddress::AddressPart;

/// The cost of parsing an address in a script, in octets of work for each of its octets.
const READ_ADDRESS: usize = 64;

use super::check::{CommandWord, TestWord};

/// All commands but the control structures, which the checker reads itself.
const COMMANDS: &[&[CommandWord]] = &[
    base_commands::COMMANDS,
    editheader::COMMANDS,
    enotify::COMMANDS,
    fileinto::COMMANDS,
    foreverypart::COMMANDS,
    ihave::COMMANDS,
    imap4flags::COMMANDS,
    include::COMMANDS,
    reject::COMMANDS,
    vacation::COMMANDS,
    variables::COMMANDS,
];

/// All tests.
const TESTS: &[&[TestWord]] = &[
    base_conditions::TESTS,
    body::TESTS,
    date::TESTS,
    duplicate::TESTS,
    enotify::TESTS,
    envelope::TESTS,
    environment::TESTS,
    ihave::TESTS,
    imap4flags::TESTS,
    mailbox::TESTS,
    metadata::TESTS,
    spamtest::TESTS,
    special_use::TESTS,
    variables::TESTS,
];

pub(super) fn all_commands() -> impl Iterator<Item = &'static CommandWord> {
    COMMANDS.iter().copied().flatten()
}

pub(super) fn all_tests() -> impl Iterator<Item = &'static TestWord> {
    TESTS.iter().copied().flatten()
}

/// The command of that name, whether its extension is required or not.
pub(super) fn command(name: &str) -> Option<&'static CommandWord> {
    all_commands().find(|word| word.name == name)
}

/// The test of that name, whether its extension is required or not.
pub(super) fn test(name: &str) -> Option<&'static TestWord> {
    all_tests().find(|word| word.name == name)
}
