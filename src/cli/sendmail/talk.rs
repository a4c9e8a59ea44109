//! The conversation with the server: SMTP over its Unix socket.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;

use super::letter::Letter;
use super::options::Options;
use super::{Failure, sysexits};
use crate::foundations::address::{Address, Domain, ForwardPath, ReversePath};
use crate::foundations::mail::BodyKind;
use crate::foundations::wire::smtp::{Class, Command, MailParameters, RcptParameters, Reply, ReplyReader};

pub(super) struct Talk {
    stream: BufReader<UnixStream>,
    host: Domain,
    sender: Address,
}

impl Talk {
    /// Connects and greets.
    pub(super) fn open(socket: &Path) -> Result<Self, Failure> {
        let stream = connect(socket)?;
        let limits = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        limits.map_err(|error| broken(&error.to_string()))?;
        let mut stream = BufReader::new(stream);
        let greeting = reply(&mut stream)?;
        if !greeting.is_success() {
            return Err(refused(None, &greeting));
        }
        send(&mut stream, b"EHLO localhost\r\n")?;
        let told = reply(&mut stream)?;
        if !told.is_success() {
            return Err(refused(None, &told));
        }
        // The server's name, followed by the address it gives this program's user.
        let mut words = told.lines().next().unwrap_or_default().split(' ');
        let host = words.next().and_then(|word| word.parse().ok());
        let sender = words.next().and_then(|word| word.parse().ok());
        match (host, sender) {
            (Some(host), Some(sender)) => Ok(Self { stream, host, sender }),
            _ => Err(broken("this is not a listener with `protocol = \"sendmail\"`")),
        }
    }

    /// The server's name.
    pub(super) const fn host(&self) -> &Domain {
        &self.host
    }

    /// The address the server gives this program's user.
    pub(super) const fn sender(&self) -> &Address {
        &self.sender
    }

    /// Hands over a message. If some recipients are refused, the others still receive it.
    pub(super) fn hand_over(mut self, letter: &Letter, options: &Options) -> Result<(), Failure> {
        let reply = self.ask(&mail(letter, options))?;
        if !reply.is_success() {
            return Err(refused(None, &reply));
        }
        let mut failures: Vec<Failure> = Vec::new();
        for address in &letter.recipients {
            let parameters = RcptParameters { notify: options.notify, original: None };
            let path = ForwardPath::Address(address.clone());
            let reply = self.ask(&Command::Rcpt { path, international: address.needs_smtputf8(), parameters })?;
            if !reply.is_success() {
                failures.push(refused(Some(address), &reply));
            }
        }
        if failures.len() < letter.recipients.len() {
            let size = letter.message.len() as u64;
            let mut octets = BytesMut::new();
            Command::Bdat { size, last: true }.encode(&mut octets);
            octets.extend_from_slice(&letter.message);
            send(&mut self.stream, &octets)?;
            let reply = self::reply(&mut self.stream)?;
            if !reply.is_success() {
                return Err(refused(None, &reply));
            }
        }
        // The message has been accepted, whatever the server answers now.
        let _ = self.ask(&Command::Quit);
        let Some(code) = failures.iter().map(|failure| failure.code).max() else { return Ok(()) };
        let texts: Vec<String> = failures.into_iter().map(|failure| failure.text).collect();
        Err(Failure::new(code, texts.join("\n")))
    }

    fn ask(&mut self, command: &Command) -> Result<Reply, Failure> {
        ask(&mut self.stream, command)
    }
}

fn mail(letter: &Letter, options: &Options) -> Command {
    let is_international = |path: &ReversePath| path.address().is_some_and(Address::needs_smtputf8);
    let international = is_international(&letter.sender) || letter.recipients.iter().any(Address::needs_smtputf8);
    let parameters = MailParameters {
        size: Some(letter.message.len() as u64),
        body: (!letter.message.is_ascii()).then_some(BodyKind::EightBitMime),
        smtputf8: international,
        ret: options.ret,
        envelope_id: options.envelope_id.clone(),
        ..MailParameters::default()
    };
    Command::Mail { path: letter.sender.clone(), international, parameters }
}

/// For `-bs`: passes data on in both directions until the server closes the connection.
pub(super) fn pass(socket: &Path) -> Result<(), Failure> {
    let stream = connect(socket)?;
    let failed = |error: io::Error| broken(&error.to_string());
    let mut sending = stream.try_clone().map_err(failed)?;
    let mut receiving = stream;
    // Ends with the process: a read from standard input cannot be interrupted.
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut sending);
        let _ = sending.shutdown(Shutdown::Write);
    });
    let mut out = io::stdout().lock();
    let mut buffer = [0; 8192];
    loop {
        match receiving.read(&mut buffer).map_err(failed)? {
            0 => return Ok(()),
            read => out.write_all(&buffer[..read]).and_then(|()| out.flush()).map_err(failed)?,
        }
    }
}

/// Waits a moment in case the server is just being restarted.
fn connect(socket: &Path) -> Result<UnixStream, Failure> {
    let mut left = ATTEMPTS;
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                left -= 1;
                let may_come = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
                    || error.kind() == io::ErrorKind::WouldBlock;
                if left == 0 || !may_come {
                    let text = format!(
                        "the mail server does not answer at `{}` ({error}); the message was not accepted",
                        socket.display()
                    );
                    let code = if may_come { sysexits::TEMPFAIL } else { sysexits::NOPERM };
                    return Err(Failure::new(code, text));
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
}

fn ask(stream: &mut BufReader<UnixStream>, command: &Command) -> Result<Reply, Failure> {
    let mut line = BytesMut::new();
    command.encode(&mut line);
    send(stream, &line)?;
    reply(stream)
}

fn send(stream: &mut BufReader<UnixStream>, octets: &[u8]) -> Result<(), Failure> {
    stream.get_mut().write_all(octets).map_err(|error| broken(&error.to_string()))
}

fn reply(stream: &mut BufReader<UnixStream>) -> Result<Reply, Failure> {
    let mut replies = ReplyReader::new();
    loop {
        let mut line = Vec::new();
        let read = stream.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        read.map_err(|error| broken(&error.to_string()))?;
        let Some(line) = line.strip_suffix(b"\n") else { return Err(broken("the connection was closed")) };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(reply) = replies.line(line).map_err(|error| broken(&error.to_string()))? {
            return Ok(reply);
        }
    }
}

fn broken(cause: &str) -> Failure {
    Failure::new(
        sysexits::TEMPFAIL,
        format!("the conversation with the mail server failed ({cause}); the message was not accepted"),
    )
}

/// A refusal as a code of sysexits.h.
fn refused(recipient: Option<&Address>, reply: &Reply) -> Failure {
    let subject = reply.status().map(|status| status.subject());
    let code = match (reply.class(), subject) {
        (Class::Transient, _) => sysexits::TEMPFAIL,
        (_, Some(1)) => sysexits::NOUSER,
        (_, Some(6)) => sysexits::DATAERR,
        (_, Some(7)) => sysexits::NOPERM,
        _ => sysexits::UNAVAILABLE,
    };
    let recipient = recipient.map(|address| format!("{address}: ")).unwrap_or_default();
    Failure::new(code, format!("{recipient}{reply}"))
}

const LONGEST_LINE: u64 = 4096;
/// The timeout for one reply: the server's filter may take a while.
const PATIENCE: Duration = Duration::from_secs(600);
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);
