//! Attacks on a running server: while one goes on, others are served, and memory stays bounded.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::imap::Imap;
use super::pipe::{Pipe, is_over};
use super::server::Server;

/// How long a bystander may wait for an answer, on a machine that runs other tests at the same time.
const BYSTANDER: Duration = Duration::from_secs(20);

/// Runs an attack. Meanwhile a bystander gets mail and reads it, and the server's memory must grow by no more than `mib`
/// mebibytes at any moment.
pub(super) fn during<T>(server: &Server, name: &str, mib: u64, attack: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    serve_bystander(server).unwrap();
    server.forget_peak();
    let before = server.memory();
    let (result, served, slowest) = thread::scope(|scope| {
        let bystander = scope.spawn(|| {
            let (mut served, mut slowest) = (0, Duration::ZERO);
            loop {
                let begun = Instant::now();
                serve_bystander(server).unwrap();
                slowest = begun.elapsed().max(slowest);
                served += 1;
                if done.load(Ordering::SeqCst) {
                    return (served, slowest);
                }
            }
        });
        // Even when the attack panics: the scope waits for the bystander before it passes the panic on.
        let result = panic::catch_unwind(AssertUnwindSafe(attack));
        done.store(true, Ordering::SeqCst);
        let result = result.unwrap_or_else(|cause| panic::resume_unwind(cause));
        let (served, slowest) = bystander.join().unwrap();
        (result, served, slowest)
    });
    let after = server.memory();
    let grown = after.peak.saturating_sub(before.now);
    eprintln!(
        "{name}: memory {} MiB before, {} at most, {} after; a bystander was served {served} times, slowest {slowest:.0?}",
        before.now >> 20,
        after.peak >> 20,
        after.now >> 20
    );
    assert!(server.ended().is_none(), "{name}: the server has ended\n{}", server.log());
    assert!(grown <= mib << 20, "{name}: memory grew by {} MiB", grown >> 20);
    assert!(slowest <= BYSTANDER, "{name}: a bystander had to wait for {slowest:?}");
    result
}

/// An uninvolved client: bob gets a message and sees it.
fn serve_bystander(server: &Server) -> io::Result<()> {
    let text = b"From: a@elsewhere.test\r\nSubject: meanwhile\r\n\r\nhello\r\n";
    let replies = server.lmtp()?.send("a@elsewhere.test", &["bob@example.test"], text)?;
    assert!(replies.iter().all(|reply| reply.code == 250), "{replies:?}");
    let mut imap = server.imap("bob")?;
    let answer = imap.select("INBOX")?;
    assert!(answer.is_ok(), "{answer:?}");
    let fetched = imap.command("FETCH * (UID BODY.PEEK[TEXT])")?.fetched();
    assert_eq!(fetched[0].octets("BODY[TEXT]"), b"hello\r\n");
    Ok(())
}

/// Sends the same octets again and again until the server refuses more or `most` have been sent; returns the server's
/// output.
pub(super) fn flood(pipe: &mut Pipe, piece: &[u8], most: usize) -> Vec<u8> {
    let mut sent = 0;
    while sent < most {
        match pipe.send(piece) {
            Ok(()) => sent += piece.len(),
            Err(error) if is_over(&error) => break,
            Err(error) => panic!("after {sent} octets: {error}"),
        }
    }
    let _ = pipe.finish();
    pipe.rest().unwrap()
}

/// Stores a message in ann's INBOX over LMTP; returns a session that has selected it, and its UID.
pub(super) fn stored(server: &Server, content: &[u8]) -> (Imap, u32) {
    let replies = server.lmtp().unwrap().send("a@elsewhere.test", &["ann@example.test"], content).unwrap();
    assert!(replies.iter().all(|reply| reply.code == 250), "{replies:?}");
    let mut imap = server.imap("ann").unwrap();
    assert!(imap.select("INBOX").unwrap().is_ok());
    let uid = imap.command("FETCH * (UID)").unwrap().fetched()[0].uid();
    (imap, uid)
}
