//! Messages are read back as they were written.

use bytes::Bytes;

use super::*;
use crate::foundations::mail::{Structure, Summary};
use crate::protocols::web::webmail::parts::file_name;
use crate::protocols::web::webmail::source;

fn letter(json: serde_json::Value) -> Letter {
    let mut whole = serde_json::json!({ "from": { "name": "Ann Lee", "address": "ann@example.test" } });
    whole.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
    serde_json::from_value(whole).unwrap()
}

fn built(json: serde_json::Value, files: &[File], purpose: Purpose) -> String {
    let moment = Moment { at: Timestamp::from_unix_seconds(0), message_id: "<1@x>".into(), boundary: "b0".into() };
    let letter = letter(json);
    let names = letter.inline.iter().map(|picture| picture.cid.clone()).collect();
    let (html, text, names) = match &letter.html {
        Some(html) => {
            let (html, text, names) = formatted(html, names);
            (Some(html), text, names)
        }
        None => (None, letter.text.clone(), Vec::new()),
    };
    let (pictures, files) = files.split_at(names.len());
    let pictures = names.into_iter().zip(pictures.iter().cloned()).collect();
    let body = Body { text, html, pictures, files: files.to_vec(), calendar: None };
    String::from_utf8(letter.build(&body, &moment, purpose).unwrap()).unwrap()
}

fn picture(name: &str) -> File {
    File { name: name.to_owned(), kind: "image/png".to_owned(), octets: Bytes::from_static(b"\x89PNG") }
}

#[test]
fn an_answer_to_an_invitation_is_for_people_and_programs() {
    let letter: Letter = Replying {
        from: Correspondent { name: "Ann".to_owned(), address: "ann@example.test".to_owned() },
        to: "bob@example.test".to_owned(),
        subject: "Accepted: Dinner".to_owned(),
        text: "Ann comes.".to_owned(),
        calendar: "BEGIN:VCALENDAR\r\nMETHOD:REPLY\r\nSUMMARY:Grün\r\nEND:VCALENDAR\r\n".to_owned(),
        in_reply_to: None,
        answers: Answers { kind: AnswerKind::Reply, folder: "INBOX".to_owned(), uid: 1 },
    }
    .into();
    let moment = Moment { at: Timestamp::from_unix_seconds(0), message_id: "<1@x>".into(), boundary: "b0".into() };
    let (text, calendar) = (letter.text.clone(), letter.calendar.clone());
    let body = Body { text, html: None, pictures: Vec::new(), files: Vec::new(), calendar };
    let message = String::from_utf8(letter.build(&body, &moment, Purpose::Sending).unwrap()).unwrap();
    let structure = Structure::of(message.as_bytes());
    let kinds: Vec<String> = structure.parts().iter().map(source::kind).collect();
    assert_eq!(kinds, ["multipart/alternative", "text/plain", "text/calendar"], "{message}");
    let part = &structure.parts()[2];
    assert_eq!(part.content.parameters.raw("method"), Some(&b"REPLY"[..]));
    assert!(source::text(&structure, part, 1000).0.contains("METHOD:REPLY\r\nSUMMARY:Grün\r\n"), "{message}");
}

#[test]
fn formatted_text_is_both() {
    let markup = "<div>Hello <b>Bob</b> <img src=\"cid:p1@x\" alt=\"us\"><script>alert(1)</script></div>\
                  <div onclick=\"x\">Grün <img src=\"https://evil.test/a.png\"><img src=\"cid:p2@x\"></div>";
    let json = serde_json::json!({ "html": markup, "inline": [{ "cid": "p1@x", "file": { "upload": "x" } }] });
    let message = built(json, &[picture("us.png"), picture("file.png")], Purpose::Sending);
    let structure = Structure::of(message.as_bytes());
    let kinds: Vec<String> = structure.parts().iter().map(source::kind).collect();
    let wanted = [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "image/png",
    ];
    assert_eq!(kinds, wanted, "{message}");
    assert_eq!(text_of(&message).replace("\r\n", "\n"), "Hello Bob [us]\nGrün\n");
    let html = source::text(&structure, &structure.parts()[4], 1 << 20).0;
    assert!(html.contains("<b>Bob</b>") && html.contains("src=\"cid:p1@x\"") && html.contains("Grün"), "{html}");
    for harm in ["script", "onclick", "evil.test", "cid:p2@x"] {
        assert!(!html.contains(harm), "{harm}: {html}");
    }
    let attachments = super::super::read::attachments_of(message.as_bytes());
    let inline: Vec<serde_json::Value> =
        attachments.iter().map(|one| serde_json::to_value(one).unwrap()["inline"].clone()).collect();
    assert_eq!(inline, [true, false], "{message}");
    let plain = built(serde_json::json!({ "html": "<p>x</p>" }), &[], Purpose::Draft);
    assert!(plain.contains("multipart/alternative") && !plain.contains("multipart/related"), "{plain}");
    assert!(is_content_id("a-1.b@x") && !is_content_id("a") && !is_content_id("a@b>\r\nX: y") && !is_content_id("@"));
}

fn text_of(message: &str) -> String {
    let structure = Structure::of(message.as_bytes());
    let layout = source::Layout::of(&structure);
    source::text(&structure, &structure.parts()[layout.text[0]], 1 << 20).0
}

#[test]
fn texts_survive() {
    let long = "x".repeat(2_000);
    for text in [
        "",
        "plain\n",
        "grün\nÄ = Ö\n",
        "trailing \n\ttab\t\nFrom here\n.\n",
        "日本語のとても長い件名日本語のとても長い件名\n",
        &long,
    ] {
        let message = built(serde_json::json!({ "text": text }), &[], Purpose::Sending);
        assert!(message.is_ascii() && message.split("\r\n").all(|line| line.len() < 998), "{message}");
        assert_eq!(text_of(&message).replace("\r\n", "\n").trim_end_matches('\n'), text.trim_end_matches('\n'));
    }
}

#[test]
fn headers_cannot_be_forged() {
    let message = built(
        serde_json::json!({
            "from": { "name": "Ann\r\nBcc: evil@example.net", "address": "ann@example.test" },
            "to": [{ "name": "B\"\r\nX: y", "address": "bob@example.test" }],
            "subject": "Hi\r\n\r\nbody", "in_reply_to": "<a@b>\r\nX: y", "references": ["<c@d> <e\r\nX: y>", "<a@b>"],
        }),
        &[],
        Purpose::Sending,
    );
    let header = HeaderSection::of(message.as_bytes());
    let names: Vec<String> = header.fields().map(|field| String::from_utf8_lossy(field.name).into_owned()).collect();
    let wanted = [
        "Date",
        "From",
        "To",
        "Subject",
        "Message-ID",
        "In-Reply-To",
        "References",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ];
    assert_eq!(names, wanted, "{message}");
    assert_eq!(header.first("References").unwrap().text(), "<c@d> <a@b>");
}

#[test]
fn attachments_survive() {
    let file = |name: &str, kind: &str, octets: &'static [u8]| File {
        name: name.into(),
        kind: kind.into(),
        octets: Bytes::from_static(octets),
    };
    let files = [
        file("report.pdf", "application/pdf", b"%PDF\0\xff"),
        file(&"Übersicht für alle und noch viel mehr ".repeat(4), "text/html\r\nX: y", b"<p>"),
        file("a \"b\"/c.eml", "message/rfc822", b"Subject: inner\r\n\r\nx\r\n"),
        file("8bit.eml", "message/rfc822", "Subject: ü\r\n\r\n".as_bytes()),
    ];
    let message = built(serde_json::json!({ "text": "hello" }), &files, Purpose::Sending);
    assert!(message.is_ascii() && message.split("\r\n").all(|line| line.len() <= 78), "{message}");
    let structure = Structure::of(message.as_bytes());
    let layout = source::Layout::of(&structure);
    let found: Vec<(String, String)> = layout
        .attachments
        .iter()
        .map(|index| (file_name(&structure, *index), source::kind(&structure.parts()[*index])))
        .collect();
    assert_eq!(found[0], ("report.pdf".to_owned(), "application/pdf".to_owned()));
    assert!(found[1].0.starts_with("Übersicht für alle") && found[1].1 == "application/octet-stream", "{found:?}");
    assert_eq!(found[2], ("a b_c.eml".to_owned(), "message/rfc822".to_owned()), "{message}");
    assert_eq!(found[3].1, "application/octet-stream");
    let pdf = &structure.parts()[layout.attachments[0]];
    assert_eq!(&*source::octets(&structure, pdf, usize::MAX), b"%PDF\0\xff");
}

#[test]
fn drafts_keep_what_is_half_typed() {
    let json = serde_json::json!({
        "to": [{ "name": "", "address": "bo" }, { "name": "Ann", "address": "ann@example.test" }],
        "answers": { "kind": "reply", "folder": "Lists/Some thing", "uid": 7 },
    });
    let message = built(json.clone(), &[], Purpose::Draft);
    let header = HeaderSection::of(message.as_bytes());
    assert_eq!(header.first("To").unwrap().text(), "bo, Ann <ann@example.test>");
    let answers = Answers::read(&header).unwrap();
    assert_eq!((answers.kind, answers.uid, answers.folder.as_str()), (AnswerKind::Reply, 7, "Lists/Some thing"));
    assert!(letter(json).addressed(3).is_err());
    let sent =
        built(serde_json::json!({ "answers": { "kind": "reply", "folder": "x", "uid": 7 } }), &[], Purpose::Sending);
    assert!(!sent.contains(ANSWERS));
}

#[test]
fn everybody_gets_it_once() {
    let bob = serde_json::json!([{ "address": "Bob@example.test" }]);
    let addressed =
        letter(serde_json::json!({ "to": bob, "cc": bob, "bcc": [{ "address": "carl@example.test" }] })).addressed(3);
    assert_eq!(addressed.unwrap().people.len(), 2);
    assert!(letter(serde_json::json!({})).addressed(3).is_err());
    let many: Vec<_> = (0..4).map(|n| serde_json::json!({ "address": format!("{n}@example.test") })).collect();
    assert!(letter(serde_json::json!({ "to": many })).addressed(3).is_err());
}

#[test]
fn bcc_stays_in_our_own_copies() {
    let message = built(serde_json::json!({ "bcc": [{ "address": "carl@example.test" }] }), &[], Purpose::Sending);
    assert_eq!(Summary::of(message.as_bytes()).fields.bcc, "carl@example.test");
}
