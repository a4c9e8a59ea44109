//! The options of `sendmail`, read as getopt(3) reads them.

use std::ffi::OsString;
use std::iter::Peekable;
use std::str::CharIndices;

use super::{Failure, sysexits};
use crate::foundations::mail::{DsnReturn, Notify};
use crate::foundations::wire::smtp::{parse_notify, parse_return};

pub(super) const USAGE: &str =
    "Usage: sendmail [-t] [-i] [-f ADDRESS] [-F NAME] [-N WHEN] [-R WHAT] [-V ID] [RECIPIENT]...\n\n";

pub(super) const HELP: &str = "Options:
  -t          also send to the recipients in To, Cc and Bcc of the message
  -i, -oi     a line with only a dot does not end the message
  -f ADDRESS  the sender, who receives notifications; -r is the same
  -F NAME     the sender's name, for a message without From
  -N WHEN     notify the sender of success, failure, delay (separated by
              commas) or never
  -R WHAT     how much of the message notifications contain: full or hdrs
  -V ID       the sender's own identifier of the message, for notifications
  -bm         send a message (the default)
  -bs         speak SMTP over standard input and output
  -bp         list the queue, like `mailq`
  -bi         do nothing, like `newaliases`: aliases take effect immediately
Other options of Sendmail and Postfix are accepted and ignored.

Programs of a system user in `submission.programs` send as the account named
there. Others can only reach addresses of this server, and send as their user's
name at this host. Nothing is stored locally: either the server has accepted the
message, or the exit code says that it has not.

Exit codes: 0 accepted, 64 wrong options, 65 wrong message or address, 67 no such
recipient, 69 refused, 74 not readable, 75 try again later, 77 not allowed.
";

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Deliver,
    Speak,
    ListQueue,
    RenewAliases,
    Help,
}

/// The meaning of a line with only a dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoneDot {
    End,
    Text,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) mode: Mode,
    pub(super) lone_dot: LoneDot,
    /// Whether the recipients in the header receive the message too.
    pub(super) from_header: bool,
    pub(super) sender: Option<String>,
    pub(super) name: Option<String>,
    pub(super) notify: Option<Notify>,
    pub(super) ret: Option<DsnReturn>,
    pub(super) envelope_id: Option<String>,
    pub(super) recipients: Vec<String>,
}

impl Options {
    pub(super) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Failure> {
        let mut options = Self {
            mode: Mode::Deliver,
            lone_dot: LoneDot::End,
            from_header: false,
            sender: None,
            name: None,
            notify: None,
            ret: None,
            envelope_id: None,
            recipients: Vec::new(),
        };
        let mut arguments = arguments.into_iter().map(|argument| argument.to_string_lossy().into_owned());
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--" => {
                    options.recipients.extend(arguments);
                    break;
                }
                "--help" => options.mode = Mode::Help,
                long if long.starts_with("--") => return Err(unknown(long)),
                word if word.len() > 1 && word.starts_with('-') => options.word(&word[1..], &mut arguments)?,
                _ => options.recipients.push(argument),
            }
        }
        Ok(options)
    }

    /// The letters of one word. The first that takes a value takes the rest of the word, or the next one.
    fn word(&mut self, word: &str, more: &mut impl Iterator<Item = String>) -> Result<(), Failure> {
        let mut letters = word.char_indices().peekable();
        while let Some((_, letter)) = letters.next() {
            match letter {
                'i' => self.lone_dot = LoneDot::Text,
                't' => self.from_header = true,
                'I' => self.mode = Mode::RenewAliases,
                // Options that Postfix ignores, or that have no meaning here, such as -v for verbose output.
                'G' | 'U' | 'c' | 'm' | 'n' | 'v' => {}
                // Their value is in the same word or absent.
                'd' | 'q' => return Ok(()),
                _ => {
                    let value = value_of(letter, word, &mut letters, more)?;
                    return self.set(letter, value);
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, letter: char, value: String) -> Result<(), Failure> {
        let wrong = |wanted: &str| Failure::new(sysexits::USAGE, format!("-{letter} takes {wanted}, not `{value}`"));
        match letter {
            'b' => self.mode = mode(&value)?,
            'f' | 'r' => self.sender = Some(value),
            'F' => self.name = Some(value),
            'N' => {
                let words = "`never`, or a comma-separated list of `success`, `failure` and `delay`";
                self.notify = Some(parse_notify(&value).ok_or_else(|| wrong(words))?);
            }
            'R' => self.ret = Some(parse_return(&value).ok_or_else(|| wrong("`full` or `hdrs`"))?),
            'V' => self.envelope_id = Some(value),
            'o' if value == "i" => self.lone_dot = LoneDot::Text,
            _ => {}
        }
        Ok(())
    }
}

/// The value of an option that has one.
fn value_of(
    letter: char,
    word: &str,
    letters: &mut Peekable<CharIndices<'_>>,
    more: &mut impl Iterator<Item = String>,
) -> Result<String, Failure> {
    if !"ABCFLNORVXbefhopr".contains(letter) {
        return Err(unknown(&format!("-{letter}")));
    }
    let rest = letters.peek().map(|(at, _)| word[*at..].to_owned());
    let missing = || Failure::new(sysexits::USAGE, format!("-{letter} needs a value"));
    rest.or_else(|| more.next()).ok_or_else(missing)
}

fn mode(value: &str) -> Result<Mode, Failure> {
    match value {
        "m" => Ok(Mode::Deliver),
        "s" => Ok(Mode::Speak),
        "p" => Ok(Mode::ListQueue),
        "i" => Ok(Mode::RenewAliases),
        _ => Err(Failure::new(
            sysexits::USAGE,
            format!("-b{value} is not supported; use `postrider serve` to run the server"),
        )),
    }
}

fn unknown(option: &str) -> Failure {
    Failure::new(sysexits::USAGE, format!("there is no option {option}; `sendmail --help` lists the options"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, Failure> {
        Options::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn what_known_programs_give_is_understood() {
        for (line, from_header, sender, name, recipients) in [
            // Debian's cron, cronie, git, PHP, bsd-mailx, s-nail, fail2ban, unattended-upgrades.
            ("-i -FCronDaemon -B8BITMIME -oem root", false, None, Some("CronDaemon"), vec!["root"]),
            ("-FCronDaemon -i -odi -oem -oi -t -f root", true, Some("root"), Some("CronDaemon"), vec![]),
            ("-i -f ann@a.test bob@a.test", false, Some("ann@a.test"), None, vec!["bob@a.test"]),
            ("-t -i -fann@a.test", true, Some("ann@a.test"), None, vec![]),
            ("-i bob@a.test", false, None, None, vec!["bob@a.test"]),
            ("-i -r ann@a.test -- -odd@a.test", false, Some("ann@a.test"), None, vec!["-odd@a.test"]),
            ("-f <> bob@a.test", false, Some("<>"), None, vec!["bob@a.test"]),
            ("-oi -t", true, None, None, vec![]),
            ("-ti bob@a.test -q30m -O Timeout=1 -h 5 -Lx", true, None, None, vec!["bob@a.test"]),
        ] {
            let options = parsed(line).unwrap_or_else(|failure| panic!("{line}: {failure}"));
            assert_eq!(options.mode, Mode::Deliver, "{line}");
            assert_eq!(options.from_header, from_header, "{line}");
            assert_eq!((options.sender.as_deref(), options.name.as_deref()), (sender, name), "{line}");
            assert_eq!(options.recipients, recipients, "{line}");
            assert_eq!(options.lone_dot == LoneDot::Text, line.contains('i') && !line.starts_with("-f <"), "{line}");
        }
    }

    #[test]
    fn wishes_for_notifications_are_read() {
        let options = parsed("-N success,delay -R hdrs -V id-1 x@a.test").unwrap();
        let notify = options.notify.unwrap();
        assert!(notify.success && notify.delay && !notify.failure);
        assert_eq!((options.ret, options.envelope_id.as_deref()), (Some(DsnReturn::Headers), Some("id-1")));
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (line, said) in [
            ("-N sometimes x@a.test", "-N takes"),
            ("-R some x@a.test", "-R takes"),
            ("-bd", "-bd is not"),
            ("-y x@a.test", "no option -y"),
            ("--quick", "no option --quick"),
            ("x@a.test -f", "-f needs"),
        ] {
            let failure = parsed(line).expect_err(line);
            assert!(failure.code == sysexits::USAGE && failure.text.contains(said), "{line}: {failure}");
        }
    }
}
