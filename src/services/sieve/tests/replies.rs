//! Automatic replies.

use super::*;
use crate::foundations::mail::{Structure, transfer};

/// RFC 5230 §4.2: each subject was answered.
#[test]
fn variables_do_not_tell_one_automatic_reply_from_another() {
    let replies = |arguments: &str| -> Vec<Vacation> {
        let source = format!(
            "require [\"vacation\", \"variables\"];\n\
             if header :matches \"subject\" \"*\" {{ set \"s\" \"${{1}}\"; }} vacation {arguments};"
        );
        let answer = |subject: &str| {
            let message = Message::new(MESSAGE.replace("[rust]", subject).into_bytes());
            let actions = run_on(&message, &source, &SieveSettings::default()).actions;
            actions.into_iter().find_map(|action| match action {
                Action::Vacation(vacation) => Some(*vacation),
                _ => None,
            })
        };
        ["one", "two"].into_iter().filter_map(answer).collect()
    };
    let mut handles = std::collections::BTreeSet::new();
    for arguments in
        [":subject \"Away: ${s}\" \"text\"", "\"about ${s}\"", "\"text\"", ":subject \"Away: ${1}\" \"text\""]
    {
        let replies = replies(arguments);
        assert_eq!((replies.len(), &replies[0].handle), (2, &replies[1].handle), "{arguments}");
        handles.insert(replies[0].handle.clone());
    }
    assert_eq!(handles.len(), 4);
}

#[test]
fn a_reply_is_a_whole_message() {
    let outcome = run_with_settings(
        "require \"vacation\"; vacation :days 0 \"Ich bin für Tage fort.\";",
        &SieveSettings::default(),
    );
    let Some(Action::Vacation(vacation)) = outcome.actions.first() else { panic!("{outcome:?}") };
    assert_eq!(vacation.period, std::time::Duration::from_secs(86_400));
    let text = String::from_utf8(vacation.reply.bytes().to_vec()).unwrap();
    for line in [
        "From: ann@example.test\r\n",
        "To: \"Bob\" <bob@example.com>\r\n",
        "In-Reply-To: <1@example.com>\r\n",
        "Auto-Submitted: auto-replied (vacation)\r\n",
        "\r\n\r\nIch bin für Tage fort.\r\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
}

/// RFC 3834 §2, RFC 5230 §4.6
#[test]
fn programs_and_lists_are_not_answered() {
    let source = "require \"vacation\"; vacation \"gone\";";
    let is_answered = |sender: &str, author: &str| {
        let path = ReversePath::Address(sender.parse().unwrap());
        let message = Message::new(MESSAGE.replace("bob@example.com>\r\nTo", &format!("{author}>\r\nTo")));
        let actions = run_from(&path, &message, source, &SieveSettings::default()).actions;
        actions.iter().any(|action| matches!(action, Action::Vacation(_)))
    };
    let programs = "MAILER-DAEMON listserv majordomo owner-list list-owner list-request list-request+ann=x.test bounces \
                    bounce+17 bounces-7-ann=x.test list-bounces+ann=x.test noreply No-Reply no_reply no.reply \
                    noreply-news news-noreply+7 DoNotReply do-not-reply do_not_reply.shop";
    for program in programs.split_whitespace() {
        let program = format!("{program}@example.com");
        assert!(!is_answered(&program, "bob@example.com"), "{program}");
        assert!(!is_answered("0100-17@mail.example.com", &program), "{program}");
    }
    for person in ["bob", "casino-reply", "noreplyson", "owner", "requests", "bob.bouncer", "ann+noreply"] {
        let person = format!("{person}@example.com");
        assert!(is_answered(&person, &person), "{person}");
    }
}

/// Whoever writes to two of the owner's addresses would be answered twice.
#[test]
fn a_reply_is_the_same_whichever_address_it_is_from() {
    let handle = |to: &str| {
        let message = Message::new(MESSAGE.replace("ann@example.test", to));
        let source = "require \"vacation\"; vacation :addresses \"sales@example.test\" \"gone\";";
        match run_on(&message, source, &SieveSettings::default()).actions.into_iter().next() {
            Some(Action::Vacation(vacation)) => vacation.handle,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(handle("ann@example.test"), handle("sales@example.test"));
}

#[test]
fn a_long_paragraph_of_a_reply_is_cut_by_an_encoding() {
    for paragraph in ["x".repeat(1500), "я".repeat(750)] {
        let outcome =
            run_with_settings(&format!("require \"vacation\"; vacation \"{paragraph}\";"), &SieveSettings::default());
        let Some(Action::Vacation(vacation)) = outcome.actions.first() else { panic!("{outcome:?}") };
        let bytes = vacation.reply.bytes();
        assert!(bytes.split(|octet| *octet == b'\n').all(|line| line.len() < 998), "{}", bytes.escape_ascii());
        let structure = Structure::of(&bytes);
        let part = &structure.parts()[0];
        let text = transfer::decode(part.fields.encoding, structure.body(part), usize::MAX);
        assert_eq!(String::from_utf8_lossy(&text), format!("{paragraph}\r\n"));
    }
}
