use bytes::Bytes;

use super::*;

fn parse(text: &str) -> Result<CommandBody, String> {
    let bytes = Bytes::copy_from_slice(format!("a {text}").as_bytes());
    Command::parse(&bytes).map(|command| command.body).map_err(|error| error.cause.to_string())
}

#[test]
fn everything_valid_is_understood() {
    for text in VALID {
        assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
    }
}

#[test]
fn nothing_invalid_is() {
    for text in INVALID {
        assert!(parse(text).is_err(), "{text}: {:?}", parse(text));
    }
}

#[test]
fn prefixes_and_mutations_never_panic() {
    for text in VALID.iter().chain(INVALID) {
        let text = format!("a {text}");
        for end in 0..text.len() {
            let _ = Command::parse(&Bytes::copy_from_slice(&text.as_bytes()[..end]));
            for octet in [0, b' ', b'(', b')', b'"', b'{', b'\\', b'*', 0xff] {
                let mut bytes = text.as_bytes().to_vec();
                bytes[end] = octet;
                let _ = Command::parse(&bytes.into());
            }
        }
    }
}

#[test]
fn errors_are_exact() {
    for (text, want) in [
        ("FOO", "Unknown command"),
        ("SELECT", "A space expected at octet 8"),
        ("SELECT ", "A mailbox name expected at octet 9"),
        ("STORE 1 FLAGS (\\Recent)", "A flag that can be set expected at octet 17"),
        ("FETCH 1 BODY[1.FOO]", "HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT or MIME expected at octet 17"),
        ("NOOP x", "The end of the command expected at octet 6"),
        ("UID NOOP", "Unknown command"),
    ] {
        assert_eq!(parse(text), Err(want.to_owned()), "{text}");
    }
    let error = Command::parse(&Bytes::from_static(b"a+ NOOP")).expect_err("no tag");
    assert_eq!(error.tag, None);
    let error = Command::parse(&Bytes::from_static(b"a1")).expect_err("no command");
    assert_eq!(error.tag.as_ref().map(Tag::as_str), Some("a1"));
}

#[test]
fn hostile_nesting_is_bounded() {
    assert!(parse(&format!("SEARCH {}ALL", "NOT ".repeat(20))).is_ok());
    assert!(parse(&format!("SEARCH {}ALL", "NOT ".repeat(10_000))).is_err());
    assert!(parse(&format!("SEARCH {}ALL{}", "(".repeat(10_000), ")".repeat(10_000))).is_err());
    assert!(parse(&format!("SEARCH {}", "OR ALL ".repeat(10_000))).is_err());
    assert!(parse(&format!("SEARCH{}", " ALL".repeat(10_000))).is_err());
    assert!(parse(&format!("FETCH 1 BODY[1{}]", ".1".repeat(10_000))).is_err());
    assert!(parse(&format!("FETCH 1 ({})", "UID ".repeat(10_000))).is_err());
}

#[test]
fn fetch_items() {
    let Ok(CommandBody::Fetch(fetch)) = parse("UID FETCH 1:3,$ FAST").or_else(|_| parse("UID FETCH 1:3 FAST")) else {
        panic!("not understood")
    };
    assert_eq!(fetch.items, [FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size]);
    assert_eq!(fetch.messages.addressing(), Addressing::Uid);
    let Ok(CommandBody::Fetch(fetch)) = parse("FETCH $ (BODY.PEEK[1.2.HEADER.FIELDS (To \"X-a\")]<5.6> body[])") else {
        panic!("not understood")
    };
    let mut out = encode::Out::new();
    for item in &fetch.items {
        if let FetchItem::BodySection { section, partial, .. } = item {
            out.raw("BODY").section(section).origin(partial.map(|p| p.first)).raw(" ");
        }
    }
    let want = "BODY[1.2.HEADER.FIELDS (To X-a)]<5> BODY[] ";
    assert_eq!(String::from_utf8_lossy(out.bytes()), want);
}

#[test]
fn responses_are_quoted_as_needed() {
    let mut out = encode::Out::new();
    for text in ["plain", "a \"b\" \\c", "", "ü", "a\r\nb"] {
        out.string(text).raw(" ");
    }
    for (name, encoding) in [
        ("INBOX", NameEncoding::ModifiedUtf7),
        ("Entwürfe", NameEncoding::ModifiedUtf7),
        ("Entwürfe \"x\"", NameEncoding::Utf8),
        ("nil", NameEncoding::Utf8),
        ("a]%", NameEncoding::Utf8),
    ] {
        out.mailbox(name, encoding).raw(" ");
    }
    let want = "\"plain\" \"a \\\"b\\\" \\\\c\" \"\" {2}\r\nü {4}\r\na\r\nb INBOX Entw&APw-rfe \"Entwürfe \\\"x\\\"\" \"nil\" \"a]%\" ";
    assert_eq!(String::from_utf8_lossy(out.bytes()), want);
    out.clear();
    out.tagged("a", encode::Condition::No, Some(&encode::Code::Word("TRYCREATE")), "line\r\nfeed");
    assert_eq!(out.bytes(), b"a NO [TRYCREATE] line??feed\r\n");
    out.clear();
    for number in [0u64, 7, 10, 4_294_967_295, u64::MAX] {
        out.number(number).raw(" ");
    }
    assert_eq!(out.bytes(), b"0 7 10 4294967295 18446744073709551615 ");
}

const VALID: &[&str] = &[
    "CAPABILITY",
    "noop",
    "LOGOUT",
    "STARTTLS",
    "AUTHENTICATE PLAIN",
    "AUTHENTICATE plain AGFubgBwdw==",
    "AUTHENTICATE EXTERNAL =",
    "LOGIN ann \"pass word\"",
    "LOGIN {3}\r\nann {2+}\r\npw",
    "LOGIN \"\u{fc}\" p]w",
    "ID NIL",
    "ID (\"name\" \"x\" \"version\" NIL)",
    "ID ()",
    "ID ( \"name\" \"x\" )",
    "ENABLE CONDSTORE QRESYNC",
    "GETMETADATA INBOX ({16+}\r\n/private/comment {15}\r\n/shared/comment)",
    "GETMETADATA INBOX (DEPTH 1) ({16}\r\n/private/comment)",
    "GETMETADATA INBOX (\"/private/comment\" /shared)",
    "SELECT INBOX",
    "SELECT \"a b\" (CONDSTORE)",
    "EXAMINE a/b (QRESYNC (67890007 90060115194045000 41:211,214:541))",
    "SELECT INBOX (QRESYNC (67890007 20050715194045000 41,43:211,214:541 (1:3 5:7)))",
    "SELECT INBOX (QRESYNC (67890007 20050715194045000 (1:3 5:7)))",
    "CREATE {3}\r\nfoo",
    "CREATE foo (USE (\\Sent \\Drafts))",
    "CREATE foo (USE ())",
    "CREATE foo (USE (\\X-Foo))",
    "DELETE foo",
    "RENAME a b",
    "SUBSCRIBE a",
    "UNSUBSCRIBE a",
    "LIST \"\" *",
    "LIST \"\" \"\"",
    "LIST \"\" {1}\r\n*",
    "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (a% \"b\") RETURN (CHILDREN STATUS (MESSAGES UNSEEN))",
    "LIST () \"\" % RETURN (SPECIAL-USE)",
    "LIST \"\" % RETURN ()",
    "LIST (SPECIAL-USE REMOTE) \"\" *",
    "LSUB \"\" %",
    "NAMESPACE",
    "STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN SIZE DELETED HIGHESTMODSEQ APPENDLIMIT)",
    "APPEND INBOX {3}\r\nabc",
    "APPEND \"INBOX\" (\\Seen $x) \" 7-Feb-1994 21:52:25 -0800\" {3+}\r\nabc",
    "APPEND INBOX () ~{3}\r\na\0c",
    "APPEND INBOX UTF8 (~{3}\r\nabc)",
    "APPEND INBOX {3}\r\nabc (\\Seen) {1}\r\nx",
    "APPEND INBOX (\\Seen) CATENATE (URL \"/INBOX;UIDVALIDITY=1/;UID=2/;SECTION=HEADER\" TEXT {3}\r\nabc)",
    "APPEND INBOX catenate (text ~{1+}\r\n\0 utf8 (~{2}\r\nab)) {1}\r\nx CATENATE (URL ;UID=1)",
    "REPLACE 1 INBOX CATENATE (URL anything)",
    "UID REPLACE 7 INBOX \" 7-Feb-1994 21:52:25 -0800\" CATENATE (TEXT {0}\r\n)",
    "IDLE",
    "GETQUOTA \"\"",
    "GETQUOTAROOT INBOX",
    "SETQUOTA \"\" (STORAGE 512)",
    "CHECK",
    "CLOSE",
    "UNSELECT",
    "EXPUNGE",
    "UID EXPUNGE 1:*",
    "UID EXPUNGE $",
    "CANCELUPDATE \"a1\" \"a2\"",
    "SEARCH ALL",
    "SEARCH RETURN (UPDATE) ALL",
    "SEARCH RETURN (CONTEXT COUNT UPDATE (UID BODY[HEADER.FIELDS (TO)]) MIN) ALL",
    "SEARCH RETURN (UPDATE(UID) PARTIAL 1:2) ALL",
    "UID SORT RETURN (UPDATE PARTIAL 1:2) (SUBJECT) UTF-8 ALL",
    "SEARCH CHARSET UTF-8 SUBJECT {2}\r\n\u{fc}",
    "SEARCH RETURN (MIN MAX COUNT SAVE) UNSEEN",
    "UID SEARCH RETURN () 1:* NOT (DELETED OR FROM a TO b)",
    "SEARCH KEYWORD $Junk UNKEYWORD x LARGER 5 SMALLER 7 HEADER X-y \"\"",
    "SEARCH BEFORE 1-Feb-1994 ON \"1-Feb-1994\" SINCE 01-Feb-1994 SENTBEFORE 1-Feb-1994 SENTON 1-Feb-1994 SENTSINCE 1-Feb-1994",
    "SEARCH MODSEQ \"/flags/\\\\draft\" all 620162338",
    "SEARCH MODSEQ 0 OLDER 5 YOUNGER 9 $ UID 1:*",
    "SEARCH NEW OLD RECENT ANSWERED UNANSWERED DELETED UNDELETED DRAFT UNDRAFT FLAGGED UNFLAGGED SEEN",
    "SEARCH BCC a BODY b CC c TEXT d",
    "SEARCH (1:3) *",
    "FETCH 1 ALL",
    "FETCH 1:* full",
    "FETCH 1 (FLAGS UID INTERNALDATE RFC822 RFC822.HEADER RFC822.SIZE RFC822.TEXT ENVELOPE BODY BODYSTRUCTURE MODSEQ)",
    "FETCH 1 BODY[1.2.MIME]",
    "FETCH 1 PREVIEW",
    "FETCH 1 PREVIEW (CHANGEDSINCE 5)",
    "FETCH 1 (PREVIEW (LAZY) UID)",
    "FETCH 1 BODY.PEEK[HEADER.FIELDS.NOT (a {1}\r\nb)]<0.1>",
    "FETCH 1 (BINARY[1]<0.5> BINARY.PEEK[] BINARY.SIZE[1.2])",
    "FETCH 1 BODY[TEXT]",
    "UID FETCH 1:* FLAGS (CHANGEDSINCE 12345 VANISHED)",
    "FETCH 1:* (FLAGS) (CHANGEDSINCE 12345)",
    "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 0)",
    "STORE 1 +FLAGS (\\Seen $Forwarded)",
    "STORE 1 -FLAGS.SILENT \\Seen x",
    "STORE $ FLAGS ()",
    "UID STORE 1:3 (UNCHANGEDSINCE 0) flags.silent (\\Deleted)",
    "COPY 1 a",
    "UID COPY $ a",
    "MOVE 1:* a",
    "UID MOVE 1 \"\"",
];

const INVALID: &[&str] = &[
    "",
    " NOOP",
    "NOOP ",
    "LOGIN ann",
    "LOGIN ann ",
    "LOGIN ann pw x",
    "LOGIN ann {2}\r\np",
    "LOGIN \"a\0\" b",
    "AUTHENTICATE",
    "SELECT",
    "SELECT a ()",
    "SELECT a (FOO)",
    "SELECT %",
    "SELECT \"\u{fffd}",
    "EXAMINE a (QRESYNC (0 1))",
    "EXAMINE a (QRESYNC (1 0))",
    "EXAMINE a (QRESYNC (1 1 *))",
    "EXAMINE a (QRESYNC (1 1 (1:3 5:6)))",
    "CREATE a (USE)",
    "CREATE a (USE (Foo))",
    "RENAME a",
    "LIST",
    "LIST \"\"",
    "LIST (RECURSIVEMATCH) \"\" *",
    "LIST \"\" ()",
    "LIST \"\" * RETURN",
    "LIST \"\" * RETURN (FOO)",
    "STATUS a ()",
    "STATUS a (FOO)",
    "STATUS a MESSAGES",
    "APPEND a",
    "APPEND a (\\Seen)",
    "APPEND a (\\Recent) {1}\r\nx",
    "APPEND a \"\" {1}\r\nx",
    "APPEND a {2}\r\nx",
    "APPEND a \"x\"",
    "APPEND a {1}\r\nx ",
    "APPEND a CATENATE",
    "APPEND a CATENATE ()",
    "APPEND a CATENATE (TEXT x)",
    "APPEND a CATENATE (FOO {1}\r\nx)",
    "APPEND a CATENATE (URL)",
    "APPEND a CATENATE (TEXT {1}\r\nx",
    "APPEND a CATENATE(TEXT {1}\r\nx)",
    "ENABLE",
    "ENABLE ",
    "ID",
    "ID (\"a\")",
    "CANCELUPDATE",
    "CANCELUPDATE \"a\" ",
    "CANCELUPDATE (\"a\")",
    "SEARCH RETURN (UPDATE ()) ALL",
    "SEARCH RETURN (UPDATE (FOO)) ALL",
    "SEARCH",
    "SEARCH FOO",
    "SEARCH ()",
    "SEARCH NOT",
    "SEARCH OR ALL",
    "SEARCH LARGER x",
    "SEARCH BEFORE yesterday",
    "SEARCH RETURN (FOO) ALL",
    "SEARCH KEYWORD \\Seen",
    "FETCH",
    "FETCH 0 FLAGS",
    "FETCH 1",
    "FETCH 1 ()",
    "FETCH 1 FOO",
    "FETCH 1 (ALL)",
    "FETCH 1 (FLAGS  UID)",
    "FETCH 1 BODY[",
    "FETCH 1 BODY[MIME]",
    "FETCH 1 (PREVIEW (FOO) UID)",
    "FETCH 1 BODY[0]",
    "FETCH 1 BODY[1.]",
    "FETCH 1 BODY[HEADER.FIELDS]",
    "FETCH 1 BODY[HEADER.FIELDS ()]",
    "FETCH 1 BODY[HEADER.FIELDS (\"a b\")]",
    "FETCH 1 BODY[]<1>",
    "FETCH 1 BODY[]<1.0>",
    "FETCH 1 BODY.PEEK",
    "FETCH 1 BINARY[TEXT]",
    "FETCH 1 FLAGS (VANISHED)",
    "FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)",
    "FETCH 1 FLAGS (CHANGEDSINCE)",
    "STORE 1 FLAGS",
    "STORE 1 *FLAGS (\\Seen)",
    "STORE 1 +-FLAGS (\\Seen)",
    "STORE 1 (UNCHANGEDSINCE) FLAGS (\\Seen)",
    "COPY 1",
    "COPY x a",
    "UID",
    "UID EXPUNGE",
    "EXPUNGE 1",
];

/// imap-codec reads and writes our examples; what it writes must mean the same to us.
#[test]
fn agrees_with_imap_codec() {
    use imap_codec::CommandCodec;
    use imap_codec::decode::Decoder;
    use imap_codec::encode::{Encoder, Fragment};

    let codec = CommandCodec::default();
    let mut compared = 0;
    for text in VALID {
        let line = format!("a {text}\r\n");
        let Ok((b"", command)) = codec.decode(line.as_bytes()) else { continue };
        let written = codec.encode(&command).fold(Vec::new(), |mut bytes, fragment| {
            match fragment {
                Fragment::Line { data } | Fragment::Literal { data, .. } => bytes.extend(data),
            }
            bytes
        });
        let mut written = Bytes::from(written);
        written.truncate(written.len() - 2);
        let theirs = Command::parse(&written);
        let ours = Command::parse(&Bytes::copy_from_slice(line.trim_end_matches("\r\n").as_bytes()));
        assert_eq!(theirs, ours, "{text} became {}", String::from_utf8_lossy(&written));
        compared += 1;
    }
    assert!(compared > 40, "imap-codec understood only {compared}");
    let read = INVALID.iter().filter(|text| matches!(codec.decode(format!("a {text}\r\n").as_bytes()), Ok((b"", _))));
    assert_eq!(read.copied().collect::<Vec<_>>(), LAXER_IN_IMAP_CODEC);
}

/// Input that imap-codec accepts although the grammar does not allow it.
const LAXER_IN_IMAP_CODEC: &[&str] =
    &["STATUS a ()", "APPEND a (\\Recent) {1}\r\nx", "FETCH 1 ()", "FETCH 1 BODY[HEADER.FIELDS (\"a b\")]"];
