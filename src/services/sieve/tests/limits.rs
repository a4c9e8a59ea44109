//! Scripts and messages that want too much.

use super::*;
use crate::foundations::settings::ByteSize;

#[test]
fn regular_expressions_have_room_together() {
    let settings = SieveSettings { regex_total: ByteSize::kib(16), ..SieveSettings::default() };
    let script = |keys: usize| {
        let keys: Vec<String> = (0..keys).map(|n| format!("\"^a{n}$\"")).collect();
        format!("require \"regex\";\nif header :regex \"subject\" [{}] {{ discard; }}", keys.join(",\n"))
    };
    assert!(compile(script(4).as_bytes(), &settings).is_ok());
    let mistakes = compile(script(6).as_bytes(), &settings).unwrap_err();
    let lines: Vec<u32> = mistakes.iter().map(|mistake| mistake.line).collect();
    assert_eq!(lines, [6, 7]);
    assert!(mistakes[0].to_string().contains("more than 16384 octets"), "{}", mistakes[0]);
}

/// Each of them must not have all of the rest read for its sake.
#[test]
fn strings_of_nothing_but_openings_end() {
    let openings = "${".repeat(500_000);
    for extension in ["encoded-character", "variables"] {
        for end in ["", "}", ":}"] {
            let script = format!("require [\"{extension}\", \"reject\"]; reject \"{openings}{end}\";");
            assert!(compile(script.as_bytes(), &SieveSettings::default()).is_ok(), "{extension} {end}");
        }
    }
}

#[test]
fn limits_end_a_script_and_keep_the_message() {
    let small = SieveSettings { work: 2_000, redirects: 1, actions: 2, ..SieveSettings::default() };
    for source in [
        "if header \"a\" \"b\" {} if header \"a\" \"b\" {} if header \"a\" \"b\" {} if header \"a\" \"b\" {} if header \"a\" \"b\" {} \
         if header \"a\" \"b\" {} if header \"a\" \"b\" {} if header \"a\" \"b\" {} if header \"a\" \"b\" {} discard;",
        "redirect \"a@example.org\"; redirect \"b@example.org\";",
        "require \"fileinto\"; fileinto \"a\"; fileinto \"b\"; fileinto \"c\";",
    ] {
        let outcome = run_with_settings(source, &small);
        assert!(outcome.failure.is_some(), "{source}");
        assert!(matches!(&outcome.actions[..], [Action::Keep { implicit: true, .. }]), "{source}");
    }
    let deep = format!("{}{}", "if true {".repeat(500), "}".repeat(500));
    assert!(compile(deep.as_bytes(), &SieveSettings::default()).is_err());
}

/// Before it is copied, and before the whole message is copied again for each edited header.
#[test]
fn copies_are_work() {
    let named = format!("set \"a\" \"{}\";", "${0}".repeat(500));
    let edited = "addheader \"X-A\" \"b\"; fileinto :copy \"a\"; addheader \"X-A\" \"b\"; fileinto :copy \"b\";";
    for (source, least) in [
        (format!("require \"variables\"; if header :matches \"Subject\" \"*\" {{ {named} }}"), 500 * 12),
        (format!("require [\"copy\", \"editheader\", \"fileinto\"]; {edited}"), 2 * MESSAGE.len() as u64),
    ] {
        let with = |work| run_with_settings(&source, &SieveSettings { work, ..SieveSettings::default() }).failure;
        assert!(with(least).is_some(), "{source}");
        assert!(with(least + 3_000).is_none(), "{source}: {:?}", with(least + 3_000));
    }
}

/// Loops come by them again and again, and what is found for each is held.
#[test]
fn long_lists_are_work() {
    let list = |text: &str| format!("[{}]", vec![format!("\"{text}\""); 1_000].join(","));
    for (requires, source, least) in [
        ("imap4flags", format!("setflag \"{}\";", "k ".repeat(1_000)), 50_000),
        ("imap4flags", format!("if hasflag {} \"x\" {{}}", list("a")), 30_000),
        ("copy", format!("if header \"x-none\" {} {{}}", list("k")), 15_000),
        ("relational", format!("if header :count \"gt\" \"x-none\" {} {{}}", list("9")), 15_000),
        ("body", format!("if body :content {} \"x\" {{}}", list("a/b")), 30_000),
        ("mailbox", format!("if mailboxexists {} {{}}", list("INBOX")), 1_000_000),
        ("mboxmetadata", format!("if metadataexists \"INBOX\" {} {{}}", list("/private/comment")), 5_000_000),
        ("vacation", format!("vacation :addresses {} \"x\";", list("b@c.test")), 500_000),
        (
            "mime",
            format!("addheader \"X-A\" \"a/b; c=d\"; if header :mime :param {} \"X-A\" \"x\" {{}}", list("c")),
            500_000,
        ),
    ] {
        let source = format!("require [\"{requires}\", \"editheader\", \"variables\"]; {source}");
        let with = |work| run_with_settings(&source, &SieveSettings { work, ..SieveSettings::default() }).failure;
        assert!(with(least).is_some(), "{requires}");
        assert!(with(least * 2 + 50_000).is_none(), "{requires}: {:?}", with(least * 2 + 50_000));
    }
}

/// Of each recipient it is asked whether it means the owner.
#[test]
fn owner_and_message_may_have_many_addresses() {
    let own = (0..1_000).map(|n| format!("\"own{n}@example.test\"")).collect::<Vec<_>>().join(",");
    let to = (0..100).map(|n| format!("To: {}\r\n", format!("{n}@b.test,").repeat(900))).collect::<String>();
    let message = Message::new(format!("From: bob@example.com\r\n{to}Cc: Me <OWN7@Example.test>\r\n\r\nx\r\n"));
    let source = format!("require \"vacation\"; vacation :addresses [{own}] \"gone\";");
    let settings = SieveSettings::default();
    let Some(Action::Vacation(vacation)) = run_on(&message, &source, &settings).actions.into_iter().next() else {
        panic!("no answer")
    };
    let text = String::from_utf8(vacation.reply.bytes().to_vec()).unwrap();
    assert!(text.contains("From: own7@example.test\r\n"), "{text}");
}
