//! Malicious IMAP clients.

use std::io::Write;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use super::attack::{during, flood};
use super::imap::Imap;
use super::pipe::is_over;
use super::server::{Layout, Server};

const FLOOD: usize = 96 << 20;

#[test]
fn endless_lines_and_literals() {
    let server = Server::start(Layout::default());
    during(&server, "IMAP: a line without end, before login", 16, || {
        let mut client = server.imap_stranger().unwrap();
        let said = flood(&mut client.pipe, &[b'A'; 64 << 10], FLOOD);
        assert!(said.starts_with(b"* BAD"), "{:?}", String::from_utf8_lossy(&said));
    });
    during(&server, "IMAP: a line without end, after login", 16, || {
        let mut client = server.imap("ann").unwrap();
        flood(&mut client.pipe, &[b'A'; 64 << 10], FLOOD);
    });
    during(&server, "IMAP: a literal without end", 32, || {
        for announced in ["{18446744073709551615+}", "{4294967295+}", "{4294967295}", "{99999999999999999999999}"] {
            let mut client = server.imap("ann").unwrap();
            client.pipe.send(format!("a APPEND INBOX {announced}\r\n").as_bytes()).unwrap();
            let said = flood(&mut client.pipe, &[b'A'; 64 << 10], FLOOD);
            let said = String::from_utf8_lossy(&said);
            assert!(said.starts_with("a NO [TOOBIG]") || said.contains("BAD"), "{announced}: {said:?}");
        }
    });
    during(&server, "IMAP: a large literal before login", 16, || {
        let mut client = server.imap_stranger().unwrap();
        client.pipe.send(b"a LOGIN {90000000+}\r\n").unwrap();
        let said = flood(&mut client.pipe, &[b'A'; 64 << 10], FLOOD);
        assert!(said.starts_with(b"a BAD"), "{:?}", String::from_utf8_lossy(&said));
    });
}

#[test]
fn deep_and_long_arguments() {
    let server = Server::start(Layout::default());
    during(&server, "IMAP: deep and long arguments", 48, || {
        let mut client = server.imap("ann").unwrap();
        assert!(client.select("INBOX").unwrap().is_ok());
        let wide: String = (1..6000).map(|n| format!("{},", n * 2)).collect();
        for (command, may_be_ok) in [
            (format!("SEARCH {}ALL{}", "(".repeat(30_000), ")".repeat(30_000)), false),
            (format!("SEARCH {}ALL", "NOT ".repeat(15_000)), true),
            (format!("SEARCH {}ALL", "OR ALL ".repeat(9000)), true),
            (format!("SEARCH {}", "ALL ".repeat(15_000)), true),
            (format!("SEARCH {}1", wide), true),
            (format!("FETCH 1:* {}{}", "(".repeat(30_000), ")".repeat(30_000)), false),
            (format!("FETCH 1:* BODY[{}1]", "1.".repeat(30_000)), false),
            (format!("FETCH 1:* BODY[HEADER.FIELDS ({})]", "a ".repeat(30_000)), true),
            ("FETCH 4294967295:4294967295 BODY[]<4294967295.4294967295>".to_owned(), true),
            (format!("LIST \"\" \"{}x\"", "*%".repeat(30_000)), true),
            (format!("STORE 1 FLAGS ({})", "\\Seen ".repeat(9000)), true),
            (format!("STORE 1 FLAGS ({})", (0..5000).map(|n| format!("k{n} ")).collect::<String>()), false),
            (format!("ID ({})", "\"a\" \"b\" ".repeat(8000)), false),
        ] {
            let answer = client.command(&command);
            let name: String = command.chars().take(40).collect();
            match answer {
                Ok(answer) if answer.status == "OK" => assert!(may_be_ok, "{name}: {answer:?}"),
                Ok(answer) => assert!(["NO", "BAD"].contains(&answer.status.as_str()), "{name}: {answer:?}"),
                Err(error) => panic!("{name}: {error}"),
            }
        }
    });
}

/// Names lead only to folders of the user's own.
#[test]
fn names_of_folders() {
    let server = Server::start(Layout::default());
    let mut client = server.imap("ann").unwrap();
    let long = "x".repeat(10_000);
    let deep = "a/".repeat(5000) + "a";
    let names: [&[u8]; 20] = [
        b"..",
        b".",
        b"../bob",
        b"../../outside",
        b"a/../../../outside",
        b"a/./b",
        b"/etc",
        b"//",
        b"a//b",
        b"a\0b",
        b"\0",
        b"\x01\x7f",
        b"\r",
        b"&AAA-",
        b"&",
        b"&AC4ALg-",
        b"&AC8-etc",
        b"\xff\xfe",
        long.as_bytes(),
        deep.as_bytes(),
    ];
    for name in names {
        for command in ["CREATE", "SELECT", "SUBSCRIBE", "DELETE", "UNSUBSCRIBE", "RENAME Archive"] {
            let shown = String::from_utf8_lossy(&name[..name.len().min(30)]).into_owned();
            let mut line = format!("{command} {{{}+}}\r\n", name.len()).into_bytes();
            line.extend_from_slice(name);
            match client.octets(&line) {
                Ok(answer) => {
                    if answer.is_ok() && command.starts_with("RENAME") {
                        let mut back = format!("RENAME {{{}+}}\r\n", name.len()).into_bytes();
                        back.extend_from_slice(name);
                        back.extend_from_slice(b" Archive");
                        assert!(client.octets(&back).unwrap().is_ok(), "{shown:?}");
                    }
                }
                Err(error) if is_over(&error) => {
                    assert!(server.ended().is_none(), "{command} {shown:?} ends the server");
                    client = server.imap("ann").unwrap();
                }
                Err(error) => panic!("{command} {shown:?}: {error}"),
            }
        }
    }
    // Everything is still in ann's directory; beside and above it there is nothing new.
    let above = server.maildir("ann").parent().unwrap().to_owned();
    let beside: Vec<_> = std::fs::read_dir(&above).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(beside.iter().all(|name| name == "ann" || name == "bob"), "{beside:?}");
    assert!(!server.path("outside").exists() && !server.path("mail/outside").exists());
    let strange = std::fs::read_dir(server.maildir("ann"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().expect("names on disk are text"))
        .filter(|name| name.contains("..") || name.chars().any(char::is_control))
        .collect::<Vec<_>>();
    assert!(strange.is_empty(), "{strange:?}");
}

/// Clients that send commands without a pause, at least as many as there are processors: millions of commands fit into
/// a few octets with COMPRESS. Others must still get their turn.
#[test]
fn commands_without_a_pause() {
    let server = Server::start(Layout::default());
    let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(&b"a NOOP\r\n".repeat(1 << 20)).unwrap();
    // Blocks that end at an octet (RFC 1951 §3.2.4), so that they can be sent again and again.
    packer.flush().unwrap();
    let commands = packer.get_ref().clone();
    let mut bystander = server.imap("bob").unwrap();
    let mut attackers: Vec<_> =
        (0..2 * available_parallelism().unwrap().get()).map(|_| server.imap("ann").unwrap()).collect();
    for attacker in &mut attackers {
        assert!(attacker.command("COMPRESS DEFLATE").unwrap().is_ok());
    }
    // As many as the socket holds while nobody reads the answers.
    for attacker in &mut attackers {
        (0..4).for_each(|_| attacker.pipe.send(&commands).unwrap());
    }
    others_have_their_turn(&mut bystander);
    drop(attackers);
}

/// As many concurrent searches as one user may have connections, each for as many texts as allowed, in long messages.
#[test]
fn searches_for_texts() {
    let server = Server::start(Layout { more: "[imap]\nsearch_texts = 50\n".to_owned(), ..Layout::default() });
    let new = server.maildir("ann").join("new");
    std::fs::create_dir_all(&new).unwrap();
    let text = "Subject: long\r\n\r\n".to_owned() + &"zzzz yyyy zzzz yyyy zzzz yyyy\r\n".repeat(120_000);
    for n in 0..4 {
        std::fs::write(new.join(format!("1700000000.M{n}P1.elsewhere")), &text).unwrap();
    }
    let search = |keys: usize| format!("SEARCH{}", (0..keys).map(|n| format!(" NOT TEXT zyq{n}")).collect::<String>());
    let mut ann = server.imap("ann").unwrap();
    assert!(ann.select("INBOX").unwrap().is_ok());
    assert_eq!(ann.command(&search(51)).unwrap().status, "NO");
    drop(ann);
    during(&server, "IMAP: searches for texts", 160, || {
        let mut attackers: Vec<_> = (0..45).map(|_| server.imap("ann").unwrap()).collect();
        for attacker in &mut attackers {
            assert!(attacker.select("INBOX").unwrap().is_ok());
            attacker.pipe.send(format!("a {}\r\n", search(50)).as_bytes()).unwrap();
        }
        std::thread::sleep(Duration::from_secs(10));
    });
}

/// A client that does little is answered at once, for some seconds.
fn others_have_their_turn(bystander: &mut Imap) {
    assert!(bystander.select("INBOX").unwrap().is_ok());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        assert!(bystander.command("NOOP").unwrap().is_ok());
        assert!(asked.elapsed() < Duration::from_secs(2), "a bystander had to wait for {:?}", asked.elapsed());
    }
}
