//! Messages made to harm their readers: stored as received, and fetched without harm.

use std::io::Write as _;
use std::time::{Duration, Instant};

use base64::Engine as _;

use super::attack::{during, stored};
use super::imap::Imap;
use super::random::Random;
use super::server::{Layout, Server};

fn server() -> Server {
    Server::start(Layout { more: "[smtp]\nmessage_size = \"12M\"\n".to_owned(), ..Layout::default() })
}

/// Everything a client may request of one message; the client checks that the answers are well formed.
fn fetch_all(imap: &mut Imap, uid: u32) {
    for item in [
        "ENVELOPE",
        "BODYSTRUCTURE",
        "BODY",
        "BODY.PEEK[HEADER]",
        "BODY.PEEK[1]",
        "BODY.PEEK[1.MIME]",
        "BODY.PEEK[1.1.1.1.1.1.1.1.1.1.1.1]",
        "BODY.PEEK[2.1.HEADER]",
        "BODY.PEEK[4294967295]",
        "BODY.PEEK[HEADER.FIELDS (SUBJECT TO CONTENT-TYPE)]",
        "BODY.PEEK[HEADER.FIELDS.NOT (TO)]",
        "BODY.PEEK[TEXT]<1000000.10>",
        "BINARY.PEEK[1]",
        "BINARY.SIZE[1]",
        "PREVIEW",
    ] {
        let answer = imap.command(&format!("UID FETCH {uid} ({item})")).unwrap();
        assert!(answer.is_ok() || answer.status == "NO", "{item}: {} {}", answer.status, answer.text);
        if let Some(value) = answer.fetched().first().and_then(|fetched| fetched.item("BODYSTRUCTURE")) {
            assert!(value.depth() <= 1000, "a structure of depth {}", value.depth());
        }
    }
    let answer = imap.command("UID SEARCH TEXT nowhere").unwrap();
    assert!(answer.is_ok(), "{answer:?}");
}

/// The IMAP form of octets: no literal holds NUL (RFC 9051 §4.3.1).
fn shown(octets: &[u8]) -> Vec<u8> {
    octets.iter().map(|octet| if *octet == 0 { 0x80 } else { *octet }).collect()
}

/// Accepts a message and fetches everything of it; the stored octets must end with those that were sent.
fn survives(server: &Server, name: &str, mib: u64, content: &[u8]) {
    during(server, name, mib, || {
        let (mut imap, uid) = stored(server, content);
        fetch_all(&mut imap, uid);
        let fetched = imap.fetch(&uid.to_string(), "(BODY.PEEK[] RFC822.SIZE)").unwrap();
        let whole = fetched[0].octets("BODY[]");
        assert!(whole.ends_with(&shown(content)), "{name}: the message is not what was sent");
        assert_eq!(fetched[0].item("RFC822.SIZE").unwrap().number(), whole.len() as u64);
        assert!(imap.command(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)")).unwrap().is_ok());
        assert!(imap.command("EXPUNGE").unwrap().is_ok());
    });
}

#[test]
fn headers_of_ten_megabytes() {
    let server = server();
    let one = format!("Subject: {}\r\n\r\nbody\r\n", "x".repeat(10 << 20));
    survives(&server, "one field of 10 MB", 160, one.as_bytes());
    let folded = format!("Subject: a\r\n{}\r\nbody\r\n", " x\r\n".repeat(2_500_000));
    survives(&server, "a field of 2.5 million lines", 160, folded.as_bytes());
    let many = format!("{}\r\nbody\r\n", "A: b\r\n".repeat(1_700_000));
    survives(&server, "1.7 million fields", 240, many.as_bytes());
    let to = format!("To: {}z@z.test\r\n\r\nbody\r\n", "a@b.test, ".repeat(1_000_000));
    survives(&server, "a million addresses", 240, to.as_bytes());
    let words = format!("Subject: {}\r\n\r\nbody\r\n", "=?utf-8?q?=41?= ".repeat(600_000));
    survives(&server, "600,000 encoded words", 240, words.as_bytes());
    let groups = format!("To: {}\r\n\r\nbody\r\n", "(".repeat(5_000_000));
    survives(&server, "5 million open comments", 160, groups.as_bytes());
}

fn multipart(boundary: usize) -> String {
    format!("Content-Type: multipart/mixed; boundary=b{boundary}\r\n\r\n--b{boundary}\r\n")
}

#[test]
fn mime_bombs() {
    let server = server();
    let nested: String = (0..20_000).map(multipart).collect();
    survives(&server, "20,000 multiparts in each other", 200, nested.as_bytes());
    let messages = "Content-Type: message/rfc822\r\n\r\n".repeat(100_000) + "Subject: in the middle\r\n\r\nx\r\n";
    survives(&server, "100,000 messages in each other", 200, messages.as_bytes());
    let parts = multipart(1) + &"\r\n--b1\r\n".repeat(1_000_000);
    survives(&server, "a million empty parts", 320, parts.as_bytes());
    let same = "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n".repeat(100_000);
    survives(&server, "100,000 multiparts with the same boundary", 200, same.as_bytes());
    let parameters = format!(
        "Content-Type: text/plain{}\r\n\r\nx\r\n",
        (0..300_000).map(|n| format!("; n*{n}*=''v")).collect::<String>()
    );
    survives(&server, "300,000 pieces of a parameter", 240, parameters.as_bytes());
    let long = format!("Content-Type: multipart/mixed; boundary=\"{0}\"\r\n\r\n--{0}\r\n", "b".repeat(5 << 20));
    survives(&server, "a boundary of 5 MB", 160, long.as_bytes());
}

/// Arbitrary octets, by every way in, come out unchanged, except for NUL, which IMAP's literals may not hold (RFC 9051
/// §4.3.1).
#[test]
fn binary_garbage_comes_out_as_it_went_in() {
    let server = server();
    let mut random = Random::new("binary");
    let garbage: Vec<u8> = (0..200_000).map(|_| (random.next() >> 40) as u8).collect();
    let mut lines = Vec::new();
    for octet in &garbage {
        // Everything but the controls that end lines.
        if !matches!(octet, b'\r' | b'\n') {
            lines.push(*octet);
        }
    }
    let header: &[u8] = b"Subject: octets\r\n\r\n";
    let text = [header, &lines, b"\r\n"].concat();
    survives(&server, "garbage by DATA", 64, &text);
    survives(&server, "NUL and nothing else", 64, &[[0; 5000].as_slice(), b"\r\n"].concat());
    // RFC 3030: BINARYMIME carries anything, line ends or not.
    let binary = [header, &garbage].concat();
    during(&server, "garbage by BDAT", 64, || {
        let mut client = server.relay().unwrap();
        let mail = client.command("MAIL FROM:<a@elsewhere.test> BODY=BINARYMIME").unwrap();
        assert_eq!(mail.code, 250, "{mail:?}");
        assert_eq!(client.command("RCPT TO:<ann@example.test>").unwrap().code, 250);
        client.pipe.send(format!("BDAT {} LAST\r\n", binary.len()).as_bytes()).unwrap();
        client.pipe.send(&binary).unwrap();
        let reply = client.reply().unwrap();
        assert_eq!(reply.code, 250, "{reply:?}");
        let mut imap = server.imap("ann").unwrap();
        imap.select("INBOX").unwrap();
        let uid = imap.command("FETCH * (UID)").unwrap().fetched()[0].uid();
        fetch_all(&mut imap, uid);
        let fetched = imap.fetch(&uid.to_string(), "(BODY.PEEK[])").unwrap();
        assert!(fetched[0].octets("BODY[]").ends_with(&shown(&binary)));
    });
    // APPEND, with a literal8 (RFC 3516 §4.2).
    let mut imap = server.imap("ann").unwrap();
    let mut line = format!("APPEND INBOX ~{{{}+}}\r\n", binary.len()).into_bytes();
    line.extend_from_slice(&binary);
    let answer = imap.octets(&line).unwrap();
    assert!(answer.is_ok(), "{answer:?}");
    imap.select("INBOX").unwrap();
    let fetched = imap.fetch(&answer.new_uid().unwrap().to_string(), "(BODY.PEEK[])").unwrap();
    assert_eq!(fetched[0].octets("BODY[]"), shown(&binary));
}

/// Sends a message by SMTP, where the filter reads it before it is answered; it must be accepted or refused
/// permanently.
fn is_judged(server: &Server, name: &str, mib: u64, content: &[u8]) {
    during(server, name, mib, || {
        let begun = Instant::now();
        let replies = server.relay().unwrap().send("a@elsewhere.test", &["ann@example.test"], content).unwrap();
        let last = replies.last().unwrap();
        assert!(last.code == 250 || last.code >= 500, "{name}: {last:?}");
        eprintln!("{name}: {} MB judged in {:.2?}: {}", content.len() / 1_000_000, begun.elapsed(), last.code);
        assert!(begun.elapsed() < JUDGED, "{name}: {:?}", begun.elapsed());
    });
}

/// The longest that filtering may take, on a machine that runs other tests at the same time.
const JUDGED: Duration = Duration::from_secs(60);

/// A message with one attachment.
fn with_attachment(kind: &str, name: &str, octets: &[u8]) -> Vec<u8> {
    let encoded = base64::engine::general_purpose::STANDARD.encode(octets);
    let mut text = format!(
        "From: a@elsewhere.test\r\nTo: ann@example.test\r\nSubject: x\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nsee there\r\n\
         --b\r\nContent-Type: {kind}\r\nContent-Disposition: attachment; filename={name}\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n"
    );
    for line in encoded.as_bytes().chunks(76) {
        text.push_str(std::str::from_utf8(line).unwrap());
        text.push_str("\r\n");
    }
    text.push_str("--b--\r\n");
    text.into_bytes()
}

/// An archive with these files.
fn zipped(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, content) in files {
        archive.start_file(name, options).unwrap();
        archive.write_all(&content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn bombs_for_the_filter() {
    let server = server();
    let header = "From: a@elsewhere.test\r\nTo: ann@example.test\r\nSubject: x\r\n";
    let long = format!("{header}X-Long: {}\r\n\r\nbody\r\n", "x ".repeat(5 << 20));
    is_judged(&server, "judging: one field of 10 MB", 160, long.as_bytes());
    let many = format!("{header}{}\r\nbody\r\n", "Received: from a by b\r\n".repeat(400_000));
    is_judged(&server, "judging: 9 MB of Received", 160, many.as_bytes());
    let parts =
        format!("{header}{}{}\r\n", multipart(1), "\r\n--b1\r\nContent-Type: text/html\r\n\r\n<b>x".repeat(100_000));
    is_judged(&server, "judging: 100,000 parts", 160, parts.as_bytes());
    let nested: String = (0..100_000).map(multipart).collect();
    is_judged(&server, "judging: 100,000 multiparts in each other", 200, format!("{header}{nested}").as_bytes());
    let html =
        format!("{header}Content-Type: text/html\r\n\r\n{}\r\n", "<div><a href=http://x.test/>\r\n".repeat(300_000));
    is_judged(&server, "judging: HTML of 600,000 open tags", 200, html.as_bytes());
    let text =
        format!("{header}\r\n{}", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\r\n".repeat(150_000));
    is_judged(&server, "judging: 9 MB of one letter", 160, text.as_bytes());
    // 100 MB of nothing in 100 KB, packed five times over, and ten of each in the one around it.
    let mut inner = zipped([("zeros.bin".to_owned(), vec![0; 100 << 20])]);
    for level in 0..5 {
        inner = zipped((0..10).map(|n| (format!("{level}-{n}.zip"), inner.clone())));
    }
    is_judged(&server, "judging: 10 TB in zips within zips", 160, &with_attachment("application/zip", "a.zip", &inner));
    let crowd = zipped((0..60_000).map(|n| (format!("{n}.exe"), Vec::new())));
    is_judged(&server, "judging: a zip of 60,000 files", 160, &with_attachment("application/zip", "a.zip", &crowd));
}

/// Archives sent to the address for reports, which are unpacked.
#[test]
fn bombs_among_reports() {
    let more = "[smtp]\nmessage_size = \"12M\"\n[reports]\naddresses = [\"ann@example.test\"]\n".to_owned();
    let server = Server::start(Layout { more, ..Layout::default() });
    let zeros = zipped([("report.xml".to_owned(), vec![b'<'; 100 << 20])]);
    is_judged(&server, "reading: 100 MB in a zip", 200, &with_attachment("application/zip", "r.zip", &zeros));
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..100 {
        packer.write_all(&[b' '; 1 << 20]).unwrap();
    }
    let packed = packer.finish().unwrap();
    is_judged(&server, "reading: 100 MB in a gzip", 200, &with_attachment("application/gzip", "r.xml.gz", &packed));
}
