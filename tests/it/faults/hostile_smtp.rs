//! Malicious SMTP clients.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::attack::{during, flood};
use super::pipe::Pipe;
use super::server::{Layout, Server};

/// More than any client needs, and enough to show in the server's memory.
const FLOOD: usize = 96 << 20;

fn server() -> Server {
    Server::start(Layout { more: "[smtp]\nmessage_size = \"12M\"\n".to_owned(), ..Layout::default() })
}

#[test]
fn endless_lines() {
    let server = server();
    during(&server, "SMTP: a command line without end", 24, || {
        let mut client = server.relay().unwrap();
        let said = flood(&mut client.pipe, &[b'A'; 64 << 10], FLOOD);
        assert!(said.starts_with(b"500 5.5.2"), "{:?}", String::from_utf8_lossy(&said));
    });
    during(&server, "SMTP: a message line without end", 64, || {
        let mut client = server.relay().unwrap();
        for command in ["MAIL FROM:<a@elsewhere.test>", "RCPT TO:<ann@example.test>", "DATA"] {
            client.command(command).unwrap();
        }
        flood(&mut client.pipe, &[b'A'; 64 << 10], FLOOD);
    });
    during(&server, "SMTP: a chunk without end", 64, || {
        let mut client = server.relay().unwrap();
        for command in ["MAIL FROM:<a@elsewhere.test>", "RCPT TO:<ann@example.test>"] {
            client.command(command).unwrap();
        }
        client.pipe.send(b"BDAT 18446744073709551615 LAST\r\n").unwrap();
        let said = flood(&mut client.pipe, &[b'A'; 64 << 10], FLOOD);
        assert!(said.starts_with(b"5"), "{:?}", String::from_utf8_lossy(&said));
    });
}

#[test]
fn a_hundred_thousand_recipients() {
    let server = server();
    let accepted = during(&server, "SMTP: 100,000 recipients", 48, || {
        let mut client = server.lmtp().unwrap();
        assert_eq!(client.command("MAIL FROM:<a@elsewhere.test>").unwrap().code, 250);
        let mut accepted = 0;
        for round in 0..100 {
            let commands: String =
                (0..1000).map(|n| format!("RCPT TO:<ann+{}@example.test>\r\n", round * 1000 + n)).collect();
            if client.pipe.send(commands.as_bytes()).is_err() {
                break;
            }
            for _ in 0..1000 {
                match client.reply() {
                    Ok(reply) if reply.code == 250 => accepted += 1,
                    // RFC 5321 §4.5.3.1.10.
                    Ok(reply) => assert!(reply.code == 452 || reply.code == 421, "{reply:?}"),
                    Err(_) => return accepted,
                }
            }
        }
        accepted
    });
    assert_eq!(accepted, 1000, "as many as the settings allow");
}

/// Silent clients cost little and keep nobody out; after a while they are disconnected.
#[test]
fn half_open_connections() {
    let more = "[smtp]\ncommand_time = \"3s\"\n[imap]\nlogin_timeout = \"3s\"\n".to_owned();
    let server = Server::start(Layout { more, ..Layout::default() });
    during(&server, "500 silent connections", 48, || {
        let mut silent: Vec<Pipe> = Vec::new();
        for n in 0..500 {
            let port = [2500, 5870, 1430][n % 3];
            silent.push(Pipe::tcp(server.port(port)).unwrap());
        }
        for pipe in &mut silent {
            let said = pipe.rest().unwrap();
            let last = String::from_utf8_lossy(&said).lines().last().unwrap().to_owned();
            assert!(last.starts_with("421 ") || last.starts_with("* BYE"), "{last:?}");
        }
    });
}

/// One octet now and then keeps no connection open: the time limit is for the whole command.
#[test]
fn slow_writers() {
    let more = "[smtp]\ncommand_time = \"2s\"\ndata_time = \"2s\"\ndata_rate = \"1K\"\n\
                [imap]\nlogin_timeout = \"2s\"\n"
        .to_owned();
    let server = Server::start(Layout { more, ..Layout::default() });
    let drip = |mut pipe: Pipe, octets: &[u8]| -> io::Result<Duration> {
        let begun = Instant::now();
        for octet in octets.iter().cycle() {
            // The slowness is the attack.
            thread::sleep(Duration::from_millis(100));
            if pipe.send(&[*octet]).is_err() || begun.elapsed() > Duration::from_secs(30) {
                break;
            }
        }
        Ok(begun.elapsed())
    };
    during(&server, "slow writers", 24, || {
        thread::scope(|scope| {
            let mut slow = Vec::new();
            for _ in 0..10 {
                slow.push(scope.spawn(|| drip(Pipe::tcp(server.port(2500))?, b"NOOP nothing at all ")));
                slow.push(scope.spawn(|| drip(Pipe::tcp(server.port(1430))?, b"a NOOP nothing at all ")));
                slow.push(scope.spawn(|| {
                    let mut client = server.relay()?;
                    for command in ["MAIL FROM:<a@elsewhere.test>", "RCPT TO:<ann@example.test>", "DATA"] {
                        client.command(command)?;
                    }
                    drip(client.pipe, b"a line of text\r\n")
                }));
            }
            for thread in slow {
                let held = thread.join().unwrap().unwrap();
                assert!(held < Duration::from_secs(20), "a slow writer kept its connection for {held:?}");
            }
        });
    });
}

/// Any input, in any order, is answered or ends the session; never the server.
#[test]
fn garbage() {
    let server = server();
    during(&server, "garbage", 32, || {
        let mut random = super::random::Random::new("garbage");
        for n in 0..60 {
            let mut pipe = Pipe::tcp(server.port([2500, 5870, 1430][n % 3])).unwrap();
            let octets: Vec<u8> = (0..20_000).map(|_| (random.next() >> 32) as u8).collect();
            let _ = pipe.send(&octets);
            let _ = pipe.finish();
            // A connection that is closed in the middle of what we send may also break.
            let _ = pipe.rest();
        }
    });
}
