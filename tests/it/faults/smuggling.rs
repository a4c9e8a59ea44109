//! Tricks with line ends and with commands sent too early.

use super::pipe::Pipe;
use super::server::{Layout, PASSWORD, Server};
use super::smtp::Smtp;

/// Sequences that some server takes for the end of a message, and we must not.
const NEARLY_ENDS: &[&str] = &[
    "\n.\n",
    "\n.\r\n",
    "\r\n.\n",
    "\r.\r",
    "\r.\r\n",
    "\r\n.\r",
    "\r\n.\r\r\n",
    "\n\r.\r\n",
    "\r\n\r.\r\n",
    "\n.\r",
    "\r.\n",
    "\r\n\0.\r\n",
    "\r\n.\0\r\n",
    "\r\n.\r\0\n",
    "\r\n. \r\n",
    "\r\n..\r\n",
    "\u{85}.\u{85}",
];

const SECOND: &str =
    "MAIL FROM:<ceo@example.test>\r\nRCPT TO:<ann@example.test>\r\nDATA\r\nSubject: second\r\n\r\nsmuggled\r\n";

/// Sends a message that hides a second one behind `end`; returns the codes of all replies.
fn smuggle(server: &Server, end: &str) -> Vec<u16> {
    let mut client = server.relay().unwrap();
    for command in ["MAIL FROM:<a@elsewhere.test>", "RCPT TO:<ann@example.test>", "DATA"] {
        client.command(command).unwrap();
    }
    let content = format!("Subject: first\r\n\r\nbody{end}{SECOND}.\r\n");
    client.pipe.send(content.as_bytes()).unwrap();
    client.pipe.send(b"NOOP\r\nQUIT\r\n").unwrap();
    let mut codes = Vec::new();
    while let Ok(reply) = client.reply() {
        codes.push(reply.code);
    }
    codes
}

/// Number of ann's messages.
fn messages(server: &Server) -> u64 {
    let mut imap = server.imap("ann").unwrap();
    let answer = imap.command("STATUS INBOX (MESSAGES)").unwrap();
    answer.untagged[0][2].list()[1].number()
}

#[test]
fn nothing_is_smuggled_behind_a_message() {
    let server = Server::start(Layout::default());
    for end in NEARLY_ENDS {
        let before = messages(&server);
        let codes = smuggle(&server, end);
        let taken = messages(&server) - before;
        match codes.as_slice() {
            // One message with everything in it, or none; then NOOP and QUIT, and nothing else was a command.
            [250, 250, 221] => assert_eq!(taken, 1, "{end:?}"),
            [554, 250, 221] => assert_eq!(taken, 0, "{end:?}"),
            _ => panic!("{end:?}: {codes:?}"),
        }
        let has_lone = end.replace("\r\n", "").contains(['\r', '\n']);
        assert_eq!(codes[0] == 554, has_lone, "{end:?}: a CR or LF that stands alone is refused");
    }
}

#[test]
fn normalised_line_ends_smuggle_nothing_either() {
    let more = "[smtp]\nline_endings = \"normalise\"\n".to_owned();
    let server = Server::start(Layout { more, ..Layout::default() });
    for end in NEARLY_ENDS {
        let before = messages(&server);
        assert_eq!(smuggle(&server, end), [250, 250, 221], "{end:?}");
        assert_eq!(messages(&server) - before, 1, "{end:?}");
        let mut imap = server.imap("ann").unwrap();
        imap.select("INBOX").unwrap();
        let fetched = imap.command("FETCH * BODY.PEEK[]").unwrap().fetched();
        let text = String::from_utf8_lossy(fetched[0].octets("BODY[]")).into_owned();
        assert!(text.contains("Subject: first") && text.ends_with("smuggled\r\n"), "{end:?}: {text:?}");
        // The continuation is unambiguous.
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{end:?}: {text:?}");
    }
}

/// CVE-2011-0411: plain text sent behind STARTTLS must not count as sent under TLS.
#[test]
fn nothing_sent_before_the_handshake_survives_it() {
    let server = Server::start(Layout::default());
    for port in [2500, 5870] {
        let mut client = Smtp::over_smtp(Pipe::tcp(server.port(port)).unwrap()).unwrap();
        client.pipe.send(b"STARTTLS\r\nEHLO evil.test\r\nMAIL FROM:<evil@elsewhere.test>\r\n").unwrap();
        let reply = client.reply().unwrap();
        if reply.code != 220 {
            // Refused for having been sent ahead: just as good.
            continue;
        }
        let pipe = client.pipe.start_tls(&server.authority()).unwrap();
        let mut client = SecureSmtp { pipe };
        // The greeting and the sender are forgotten.
        assert_eq!(client.code("RCPT TO:<ann@example.test>"), 503);
        assert_eq!(client.code("MAIL FROM:<a@elsewhere.test>"), 503);
        assert_eq!(client.code("QUIT"), 221);
    }
    let mut client = super::imap::Imap::greet(Pipe::tcp(server.port(1430)).unwrap()).unwrap();
    let login = format!("LOGIN ann@example.test \"{PASSWORD}\"");
    client.pipe.send(format!("a STARTTLS\r\nb {login}\r\nc SELECT INBOX\r\n").as_bytes()).unwrap();
    let answer = client.answer("a").unwrap();
    if answer.is_ok() {
        client.pipe = client.pipe.start_tls(&server.authority()).unwrap();
        let answer = client.command("SELECT INBOX").unwrap();
        assert_eq!(answer.status, "BAD", "{answer:?}");
        assert!(client.command(&login).unwrap().is_ok());
        assert!(client.command("SELECT INBOX").unwrap().is_ok());
    }
}

/// Under TLS, before a greeting.
struct SecureSmtp {
    pipe: Pipe,
}

impl SecureSmtp {
    fn code(&mut self, command: &str) -> u16 {
        self.pipe.send(format!("{command}\r\n").as_bytes()).unwrap();
        let line = self.pipe.line().unwrap();
        String::from_utf8_lossy(&line[..3]).parse().unwrap()
    }
}
