//! `sendmail`, for programs that do not speak SMTP: cron, smartd, PHP, `git send-email`, `mail`.
//!
//! The options are those of Postfix and Sendmail. The message goes to the server over the socket of a listener with
//! `protocol = "sendmail"`, where the system tells the server which user is sending. Nothing is stored here: until the
//! server accepts a message, the caller remains responsible, and learns so from the exit code (sysexits.h).

mod address_list;
mod letter;
mod options;
mod talk;

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use self::letter::Letter;
use self::options::{Mode, Options};
use self::talk::Talk;
use crate::config::{Checks, Protocol, load};
use crate::foundations::net::Bind;

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, disable_version_flag = true)]
#[command(override_usage = "sendmail [-t] [-i] [-f ADDRESS] [-F NAME] [-N WHEN] [-R WHAT] [-V ID] [RECIPIENT]...")]
#[command(after_help = options::HELP)]
pub(super) struct Sendmail {
    /// Options as in other programs of this name, and recipients.
    #[arg(allow_hyphen_values = true, trailing_var_arg = true, value_name = "OPTION|RECIPIENT")]
    arguments: Vec<OsString>,
}

/// The program's role when it is called by another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CalledAs {
    Sendmail,
    /// `sendmail -bp`.
    Mailq,
    /// `sendmail -bi`.
    Newaliases,
}

impl CalledAs {
    /// Selected by the name in `argv[0]`.
    pub(super) fn of(program: &Path) -> Option<Self> {
        match program.file_name()?.to_str()? {
            "sendmail" => Some(Self::Sendmail),
            "mailq" => Some(Self::Mailq),
            "newaliases" => Some(Self::Newaliases),
            _ => None,
        }
    }
}

/// What remains to be done.
pub(super) enum Errand {
    /// Nothing.
    Ended(ExitCode),
    /// List the queue.
    ListQueue,
}

/// Why a message was not accepted, with the matching code of sysexits.h.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn new(code: u8, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// As the subcommand.
pub(super) fn run(sendmail: Sendmail, config: &Path) -> Errand {
    perform(Options::parse(sendmail.arguments), config)
}

/// Called by one of the names that programs use.
pub(super) fn run_as(name: CalledAs, arguments: impl Iterator<Item = OsString>, config: &Path) -> Errand {
    let mode = match name {
        CalledAs::Sendmail => None,
        CalledAs::Mailq => Some("-bp"),
        CalledAs::Newaliases => Some("-bi"),
    };
    perform(Options::parse(mode.map(OsString::from).into_iter().chain(arguments)), config)
}

fn perform(options: Result<Options, Failure>, config: &Path) -> Errand {
    let done = options.and_then(|options| match options.mode {
        Mode::Deliver => deliver(&options, config).map(|()| Errand::Ended(ExitCode::SUCCESS)),
        Mode::Speak => talk::pass(&socket(config)).map(|()| Errand::Ended(ExitCode::SUCCESS)),
        Mode::ListQueue => Ok(Errand::ListQueue),
        Mode::RenewAliases => {
            super::output::print("Alias changes take effect immediately: see `postrider alias`.\n");
            Ok(Errand::Ended(ExitCode::SUCCESS))
        }
        Mode::Help => {
            super::output::print(options::USAGE);
            super::output::print(options::HELP);
            Ok(Errand::Ended(ExitCode::SUCCESS))
        }
    });
    done.unwrap_or_else(|failure| {
        for line in failure.text.lines() {
            eprintln!("sendmail: {line}");
        }
        Errand::Ended(failure.code.into())
    })
}

fn deliver(options: &Options, config: &Path) -> Result<(), Failure> {
    if options.recipients.is_empty() && !options.from_header {
        return Err(Failure::new(sysexits::USAGE, "name a recipient, or use -t for those in the message"));
    }
    let mut input = Vec::new();
    // One octet above the limit shows that there is more.
    let read = io::stdin().lock().take(LARGEST + 1).read_to_end(&mut input);
    read.map_err(|error| Failure::new(sysexits::IOERR, format!("the message cannot be read: {error}")))?;
    if input.len() as u64 > LARGEST {
        return Err(Failure::new(sysexits::DATAERR, "the message is larger than any server accepts"));
    }
    let talk = Talk::open(&socket(config))?;
    let letter = Letter::new(&input, options, talk.host(), talk.sender())?;
    talk.hand_over(&letter, options)
}

/// The socket on which the server accepts messages from programs: from the configuration, if this user may read it, or
/// the default path.
fn socket(config: &Path) -> PathBuf {
    let config = load(config, Checks::Syntax, None).ok();
    let listeners = config.iter().flat_map(|config| &config.listener);
    let mut places = listeners.filter(|listener| listener.protocol == Protocol::Sendmail).flat_map(|one| &one.bind);
    let place = places.find_map(|bind| match bind {
        Bind::Unix(path) => Some(path.clone()),
        Bind::Tcp(_) | Bind::Systemd(_) => None,
    });
    place.unwrap_or_else(|| PathBuf::from("/run/postrider-sendmail.sock"))
}

/// The most octets that are read; the server decides how large a message may be.
const LARGEST: u64 = 1 << 30;

/// The exit codes of other programs of this name.
mod sysexits {
    pub(super) const USAGE: u8 = 64;
    pub(super) const DATAERR: u8 = 65;
    pub(super) const NOUSER: u8 = 67;
    pub(super) const UNAVAILABLE: u8 = 69;
    pub(super) const IOERR: u8 = 74;
    pub(super) const TEMPFAIL: u8 = 75;
    pub(super) const NOPERM: u8 = 77;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_what_is_wanted() {
        for (program, wanted) in [
            ("/usr/sbin/sendmail", Some(CalledAs::Sendmail)),
            ("mailq", Some(CalledAs::Mailq)),
            ("/run/wrappers/bin/newaliases", Some(CalledAs::Newaliases)),
            ("/bin/postrider", None),
        ] {
            assert_eq!(CalledAs::of(Path::new(program)), wanted);
        }
    }
}
