//! Scripts, and what comes of them.

use super::*;
use crate::foundations::address::{Address, Domain, ReversePath};
use crate::foundations::mail::Message;

mod limits;
mod mistakes;
mod replies;

/// A world with two folders, a script that is there, and a handle that has been seen.
#[derive(Debug)]
struct Small;

impl World for Small {
    fn folder_exists(&self, name: &str) -> bool {
        ["INBOX", "Lists"].contains(&name)
    }

    fn special_use(&self, attribute: &str) -> Option<String> {
        attribute.eq_ignore_ascii_case("\\Junk").then(|| "Spam".to_owned())
    }

    fn metadata(&self, folder: Option<&str>, entry: &str) -> Option<String> {
        match (folder, entry) {
            (Some("INBOX"), "/private/comment") => Some("My own comment".to_owned()),
            (None, "/private/vendor/x/y") => Some(String::new()),
            _ => None,
        }
    }

    fn included(&self, _: Location, name: &str) -> Included {
        let source = match name {
            "stops" => "discard; stop;",
            "itself" => "require \"include\"; include \"itself\";",
            "main" => "discard;",
            "back" => "require \"include\"; include :once \"main\";",
            "shares" => "require [\"include\", \"variables\"]; global \"a\"; set \"a\" \"${a}${a}\";",
            _ => return Included::Missing,
        };
        match compile(source.as_bytes(), &SieveSettings::default()) {
            Ok(compiled) => Included::Script(compiled.script),
            Err(mistakes) => Included::Broken(mistakes[0].to_string()),
        }
    }

    fn seen_before(&self, _: &str) -> bool {
        false
    }
}

const MESSAGE: &str = "From: Bob <bob@example.com>\r\nTo: ann@example.test\r\nSubject: [rust] =?utf-8?q?gr=C3=BCn?=\r\n\
    Message-ID: <1@example.com>\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\nbody\r\n";

fn run_with_settings(source: &str, settings: &SieveSettings) -> Outcome {
    run_on(&Message::new(MESSAGE), source, settings)
}

fn run_on(message: &Message, source: &str, settings: &SieveSettings) -> Outcome {
    run_from(&ReversePath::Address("bob@example.com".parse().unwrap()), message, source, settings)
}

fn run_from(reverse_path: &ReversePath, message: &Message, source: &str, settings: &SieveSettings) -> Outcome {
    let script =
        compile(source.as_bytes(), settings).unwrap_or_else(|mistakes| panic!("{source}: {mistakes:?}")).script;
    let recipient: Address = "ann@example.test".parse().unwrap();
    let hostname: Domain = "mail.example.test".parse().unwrap();
    let situation = Situation {
        script: Some("main"),
        message,
        reverse_path,
        recipient: &recipient,
        account: &recipient,
        own_addresses: &[],
        login: None,
        client: Some(Client { address: "192.0.2.9".parse().unwrap(), name: Some("mx.example.com") }),
        tag_separator: Some('+'),
        now: chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap().fixed_offset(),
        hostname: &hostname,
        spam: Some(Spam { score: 2.5, threshold: 5.0 }),
        virus: None,
        junk: false,
        world: &Small,
    };
    run(&script, &situation, settings)
}

/// The actions in a few words.
fn decided(source: &str) -> String {
    let outcome = run_with_settings(source, &SieveSettings::default());
    let words = outcome.actions.iter().map(|action| match action {
        Action::Keep { flags, implicit, .. } => {
            format!(
                "{}keep{}",
                if *implicit { "implicit " } else { "" },
                flags.iter().map(|f| format!(" {f}")).collect::<String>()
            )
        }
        Action::FileInto(into) => format!("fileinto {}", into.folder),
        Action::Redirect { to, .. } => format!("redirect {to}"),
        Action::Discard => "discard".to_owned(),
        Action::Reject { reason, .. } => format!("reject {reason}"),
        Action::Vacation(vacation) => format!("vacation {}", vacation.to),
        Action::Notify(notification) => format!("notify {}", notification.to[0]),
    });
    let failed = if outcome.failure.is_some() { "failed: " } else { "" };
    format!("{failed}{}", words.collect::<Vec<_>>().join(", "))
}

#[test]
fn scripts_decide() {
    for (source, wanted) in [
        ("", "implicit keep"),
        ("discard;", "discard"),
        ("discard; keep;", "keep"),
        (
            "require \"mboxmetadata\"; if metadata :contains \"INBOX\" \"/private/Comment\" \"OWN\" { discard; }",
            "discard",
        ),
        ("require \"mboxmetadata\"; if metadata \"INBOX\" \"/private/other\" \"\" { discard; }", "implicit keep"),
        (
            "require \"mboxmetadata\"; if metadataexists \"INBOX\" [\"/private/comment\", \"/private/b\"] { discard; }",
            "implicit keep",
        ),
        ("require \"servermetadata\"; if servermetadata \"/private/vendor/x/y\" \"\" { discard; }", "discard"),
        ("require \"servermetadata\"; if servermetadataexists \"/private/vendor/x/y\" { discard; }", "discard"),
        ("require \"servermetadata\"; if servermetadataexists \"/x\" { discard; }", "implicit keep"),
        ("require \"fileinto\"; fileinto \"Lists\"; stop; discard;", "fileinto Lists"),
        ("require [\"fileinto\", \"copy\"]; fileinto :copy \"Lists\";", "fileinto Lists, implicit keep"),
        ("require \"fileinto\"; keep; fileinto \"inbox\";", "keep"),
        ("redirect \"Eve <eve@example.org>\"; redirect \"eve@example.org\";", "redirect eve@example.org"),
        ("require \"reject\"; reject \"no\"; keep;", "failed: implicit keep"),
        ("require [\"reject\", \"fileinto\"]; fileinto \"Lists\"; reject \"no\";", "failed: implicit keep"),
        ("if header :contains \"subject\" \"GRÜN\" { discard; }", "implicit keep"),
        ("if header :contains :comparator \"i;unicode-casemap\" \"subject\" \"GRÜN\" { discard; }", "discard"),
        ("if not address :localpart \"from\" [\"ann\", \"BOB\"] { keep; } else { discard; }", "discard"),
        (
            "require [\"variables\", \"fileinto\"]; if header :matches \"subject\" \"[*] *\" { set :upperfirst \"a\" \"${1}\"; \
             fileinto \"L.${a}.${2}\"; }",
            "fileinto L.Rust.grün",
        ),
        (
            "require [\"regex\", \"variables\", \"fileinto\"]; if header :regex \"from\" \"<([^@]+)@\" { fileinto \"${1}\"; }",
            "fileinto bob",
        ),
        (
            "require \"imap4flags\"; addflag [\"\\\\Seen x\", \"\\\\seen\"]; removeflag \"X\"; addflag \"$y\";",
            "implicit keep \\Seen $y",
        ),
        // RFC 5232 §4: blanks part flags in keys, too, wherever these come from.
        (
            "require [\"imap4flags\", \"variables\"]; set \"f\" \"a  b\"; addflag \"b\"; if hasflag \"${f}\" { discard; }",
            "discard",
        ),
        (
            "require [\"imap4flags\", \"variables\"]; set \"f\" \"a  c\"; addflag \"b\"; if hasflag \"${f} \" { discard; }",
            "implicit keep b",
        ),
        (
            "require [\"imap4flags\", \"regex\", \"variables\"]; set \"f\" \"^a ^b\"; addflag \"bc\"; if hasflag :regex \"${f}\" { discard; }",
            "discard",
        ),
        ("require [\"fileinto\", \"special-use\"]; fileinto :specialuse \"\\\\junk\" \"Lists\";", "fileinto Spam"),
        (
            "require [\"date\", \"relational\"]; if currentdate :value \"ge\" \"date\" \"2023-11-14\" { discard; }",
            "discard",
        ),
        ("require \"spamtest\"; if spamtest \"5\" { discard; }", "discard"),
        ("require [\"spamtestplus\"]; if spamtest :percent \"50\" { discard; }", "discard"),
        ("require \"ihave\"; if ihave \"nope\" { nope :x 1; } else { discard; }", "discard"),
        ("require \"include\"; include \"stops\"; keep;", "discard"),
        ("require \"include\"; discard; include \"itself\";", "failed: implicit keep"),
        ("require \"include\"; include :optional \"missing\"; discard;", "discard"),
        ("require \"include\"; include \"back\";", "implicit keep"),
        (
            "require [\"include\", \"variables\"]; global \"a\"; set \"a\" \"x\"; include \"shares\"; if string \"${a}\" \"xx\" { discard; }",
            "discard",
        ),
        ("require \"environment\"; if environment \"remote-ip\" \"192.0.2.9\" { discard; }", "discard"),
        ("require \"environment\"; if environment :matches \"remote-host\" \"*.example.com\" { discard; }", "discard"),
        ("require \"vacation\"; vacation \"gone\";", "vacation bob@example.com, implicit keep"),
        ("require \"enotify\"; notify \"mailto:eve@example.org\"; discard;", "notify eve@example.org, discard"),
        ("require \"vacation\"; vacation \"gone\"; discard;", "vacation bob@example.com, discard"),
        (
            "require \"enotify\"; notify \"mailto:%22a%5C%22%2Cb%22@c.test%2Cd@e.test\"; discard;",
            "notify \"a\\\",b\"@c.test, discard",
        ),
    ] {
        assert_eq!(decided(source), wanted, "{source}");
    }
}

/// RFC 5231 §4.2.
#[test]
fn what_is_counted_is_a_number() {
    let to = ["a@b.test"; 10].join(", ");
    let message = Message::new(format!("To: {to}\r\nSubject: x\r\n\r\n").into_bytes());
    let bob = ReversePath::Address("bob@example.com".parse().unwrap());
    for (from, test, holds) in [
        (&bob, "address :count \"gt\" \"to\" \"9\"", true),
        (&bob, "address :count \"lt\" \"to\" \"9\"", false),
        (&bob, "address :comparator \"i;ascii-numeric\" :count \"ge\" \"to\" \"10\"", true),
        (&bob, "envelope :count \"eq\" \"from\" \"1\"", true),
        (&ReversePath::Null, "envelope :count \"eq\" \"from\" \"0\"", true),
        (&ReversePath::Null, "envelope \"from\" \"\"", true),
    ] {
        let source =
            format!("require [\"relational\", \"envelope\", \"comparator-i;ascii-numeric\"]; if {test} {{ discard; }}");
        let outcome = run_from(from, &message, &source, &SieveSettings::default());
        assert_eq!(outcome.actions == [Action::Discard], holds, "{test}");
    }
}

/// RFC 5173 §5.2.
#[test]
fn what_stands_around_the_parts_of_a_message_is_two_texts() {
    let message = Message::new(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\nbefore\r\n--b\r\n\r\npart\r\n--b--\r\nafter\r\n",
    );
    for (pattern, holds) in [("*before*", true), ("after*", true), ("*part*", false), ("*before*after*", false)] {
        let source = format!("require \"body\"; if body :content \"multipart\" :matches \"{pattern}\" {{ discard; }}");
        let outcome = run_on(&message, &source, &SieveSettings::default());
        assert_eq!(outcome.actions == [Action::Discard], holds, "{pattern}");
    }
}

/// RFC 5260 §6: each name was counted by itself.
#[test]
fn index_counts_the_fields_of_all_names() {
    for (test, holds) in [
        ("header :index 2 [\"to\", \"message-id\"] \"<1@example.com>\"", true),
        ("header :index 1 [\"to\", \"message-id\"] \"<1@example.com>\"", false),
        ("header :index 1 [\"x-none\", \"message-id\"] \"<1@example.com>\"", true),
        ("header :index 1 :last [\"message-id\", \"to\"] \"<1@example.com>\"", false),
        ("header :index 3 :contains [\"message-id\", \"to\"] \"\"", false),
        ("address :index 2 [\"to\", \"from\"] \"bob@example.com\"", true),
        ("address :index 1 [\"to\", \"from\"] \"bob@example.com\"", false),
    ] {
        let wanted = if holds { "discard" } else { "implicit keep" };
        assert_eq!(decided(&format!("require \"index\"; if {test} {{ discard; }}")), wanted, "{test}");
    }
}

/// RFC 6609 §3.2: it was expanded.
#[test]
fn the_name_of_an_included_script_has_no_variables() {
    for (name, is_allowed) in [("stops", true), ("st${o}ps", false), ("${1}", false), ("a${not one}", true)] {
        let source = format!("require [\"include\", \"variables\"]; set \"o\" \"o\"; include :optional \"{name}\";");
        assert_eq!(compile(source.as_bytes(), &SieveSettings::default()).is_ok(), is_allowed, "{name}");
    }
}

/// RFC 7352 §3.3.
#[test]
fn without_time_nothing_is_a_duplicate() {
    for (seconds, remembered) in [(0, 0), (60, 1)] {
        let source = format!("require \"duplicate\"; if duplicate :seconds {seconds} {{ discard; }}");
        assert_eq!(run_with_settings(&source, &SieveSettings::default()).remember.len(), remembered, "{seconds}");
    }
}

#[test]
fn encoded_characters() {
    for (text, wanted) in [
        ("${hex:40}", "@"),
        ("${HEX: 24\t 40 }", "$@"),
        ("${hex:c3 bc}", "ü"),
        ("a${hex:9}b${hex:9 40}", "a\tb\t@"),
        ("${UnICoDE:0000040 fc}", "@ü"),
        ("${hex:4${hex:30}}", "${hex:40}"),
        ("${hex:40", "${hex:40"),
        ("${hex:400}", "${hex:400}"),
        ("${hex: }", "${hex: }"),
        ("${ unicode:40}", "${ unicode:40}"),
        ("${Unicode:Cool}", "${Unicode:Cool}"),
        ("${", "${"),
        ("${ü:40}", "${ü:40}"),
    ] {
        let reject = format!("require [\"encoded-character\", \"reject\"]; reject \"{text}\";");
        assert_eq!(decided(&reject), format!("reject {wanted}"), "{text}");
    }
}

#[test]
fn edited_fields_are_in_what_is_stored_later_only() {
    let outcome = run_with_settings(
        "require [\"editheader\", \"fileinto\"]; fileinto \"a\"; addheader \"X-A\" \"b\"; deleteheader \"Subject\"; fileinto \"b\";",
        &SieveSettings::default(),
    );
    let [Action::FileInto(first), Action::FileInto(second)] = &outcome.actions[..] else { panic!("{outcome:?}") };
    assert_eq!(&first.message.bytes()[..], MESSAGE.as_bytes());
    let text = String::from_utf8(second.message.bytes().to_vec()).unwrap();
    assert!(
        text.starts_with("X-A: b\r\nFrom: ") && !text.contains("Subject") && text.ends_with("\r\n\r\nbody\r\n"),
        "{text}"
    );
}

/// The next script must not see, nor keep, what an aborted one has done to the header.
#[test]
fn an_aborted_script_leaves_the_message_as_it_came() {
    let outcome = run_with_settings(
        "require [\"editheader\", \"ihave\"]; addheader \"X-A\" \"b\"; deleteheader \"Subject\"; error \"no\";",
        &SieveSettings::default(),
    );
    assert!(outcome.failure.is_some());
    assert_eq!(&outcome.message.bytes()[..], MESSAGE.as_bytes());
}

#[test]
fn the_trace_says_why() {
    let outcome =
        run_with_settings("if header :contains \"subject\" \"rust\" {\n  discard;\n}", &SieveSettings::default());
    let told: Vec<String> = outcome.trace.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "line 1: `header :contains \"subject\" \"rust\"` is true: “[rust] grün” is there",
            "line 2: discards the message, unless another command stores it",
        ]
    );
}
