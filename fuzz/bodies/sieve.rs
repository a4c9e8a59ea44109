//! Sieve scripts: compiled and run, whatever they and the message say. The input is a script, a NUL, and a message.

use postrider::foundations::address::{Address, Domain, ReversePath};
use postrider::foundations::mail::Message;
use postrider::foundations::settings::ByteSize;
use postrider::services::sieve::{
    Action, Client, Included, Location, Outcome, SieveSettings, Situation, Spam, World, compile, run as run_compiled,
};

/// A world in which every second folder exists and every script includes itself.
#[derive(Debug)]
struct Odd<'a>(&'a [u8], &'a SieveSettings);

impl World for Odd<'_> {
    fn folder_exists(&self, name: &str) -> bool {
        name.len().is_multiple_of(2)
    }

    fn special_use(&self, attribute: &str) -> Option<String> {
        attribute.eq_ignore_ascii_case("\\junk").then(|| "Junk".to_owned())
    }

    fn metadata(&self, folder: Option<&str>, entry: &str) -> Option<String> {
        folder.is_none_or(|folder| self.folder_exists(folder)).then(|| entry.to_owned())
    }

    fn included(&self, location: Location, name: &str) -> Included {
        match (location, compile(self.0, self.1)) {
            (Location::Personal, Ok(compiled)) => Included::Script(compiled.script),
            (Location::Personal, Err(_)) => Included::Broken(name.to_owned()),
            (Location::Global, _) => Included::Missing,
        }
    }

    fn seen_before(&self, key: &str) -> bool {
        key.ends_with('0')
    }
}

pub fn run_script(source: &[u8], message: &[u8]) {
    let settings = SieveSettings {
        work: 2_000_000,
        body: ByteSize::kib(64),
        regex_size: ByteSize::kib(64),
        ..SieveSettings::default()
    };
    let script = match compile(source, &settings) {
        Ok(compiled) => compiled.script,
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            let lines = source.iter().filter(|octet| **octet == b'\n').count() + 1;
            for mistake in mistakes {
                assert!(mistake.line >= 1 && mistake.column >= 1 && mistake.line as usize <= lines, "{mistake}");
            }
            return;
        }
    };
    let (Ok(recipient), Ok(hostname), Ok(sender)) =
        ("ann+x@example.test".parse::<Address>(), "mail.example.test".parse::<Domain>(), "bob@example.com".parse())
    else {
        return;
    };
    let message =
        Message::new(message.to_vec()).with_prefix(b"Received: from x by y; Tue, 14 Nov 2023 22:13:20 +0000\r\n");
    let situation = Situation {
        script: None,
        message: &message,
        reverse_path: &ReversePath::Address(sender),
        recipient: &recipient,
        account: &recipient,
        own_addresses: &[],
        login: None,
        client: Some(Client { address: std::net::IpAddr::from([192, 0, 2, 9]), name: None }),
        tag_separator: Some('+'),
        now: chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap_or_default().fixed_offset(),
        hostname: &hostname,
        spam: Some(Spam { score: 3.5, threshold: 5.0 }),
        virus: None,
        junk: false,
        world: &Odd(source, &settings),
    };
    check(&run_compiled(&script, &situation, &settings), &settings, &message);
}

fn check(outcome: &Outcome, settings: &SieveSettings, message: &Message) {
    assert!(!outcome.actions.is_empty());
    assert!(outcome.actions.len() <= settings.actions as usize + 1);
    assert!(outcome.trace.len() <= Outcome::MAX_TRACE);
    if outcome.failure.is_some() {
        assert!(matches!(&outcome.actions[..], [Action::Keep { message: kept, .. }] if kept == message));
    }
    for action in &outcome.actions {
        match action {
            // The header of a message that is sent cannot be ended early by anything in a script.
            Action::Vacation(vacation) => assert!(vacation.reply.bytes().starts_with(b"Date: ")),
            Action::Notify(notification) => assert!(notification.message.bytes().starts_with(b"Auto-Submitted: ")),
            _ => {}
        }
    }
}

pub fn run(data: &[u8]) {
    let at = data.iter().position(|octet| *octet == 0).unwrap_or(data.len());
    run_script(&data[..at], data.get(at + 1..).unwrap_or_default());
}
