//! Commands of a client.

use crate::foundations::secret::Secret;

/// A command with its arguments (RFC 5804 §2). Names of scripts are not validated yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// AUTHENTICATE.
    Authenticate {
        /// The mechanism's name.
        mechanism: String,
        /// The initial response in base64.
        initial: Option<Secret<Vec<u8>>>,
    },
    /// CAPABILITY.
    Capability,
    /// CHECKSCRIPT.
    CheckScript(Vec<u8>),
    /// DELETESCRIPT.
    DeleteScript(String),
    /// GETSCRIPT.
    GetScript(String),
    /// HAVESPACE: could a script of that name have this many octets?
    HaveSpace(String, u32),
    /// LISTSCRIPTS.
    ListScripts,
    /// LOGOUT.
    Logout,
    /// NOOP, with the text to echo.
    Noop(Option<String>),
    /// PUTSCRIPT.
    PutScript(String, Vec<u8>),
    /// RENAMESCRIPT, from and to.
    RenameScript(String, String),
    /// SETACTIVE; without a name no script is to be active.
    SetActive(Option<String>),
    /// STARTTLS.
    StartTls,
    /// UNAUTHENTICATE.
    Unauthenticate,
}

/// Why a line is not a valid command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCommand {
    /// No such keyword.
    #[error("Unknown command")]
    Unknown,
    /// Arguments that are missing, too many, or of another kind.
    #[error("Wrong arguments: {0} is wanted")]
    Arguments(&'static str),
}

impl Command {
    /// Reads a command as the framer delivers it, without its last CRLF.
    ///
    /// ```text
    /// command-setactive = "SETACTIVE" SP active-sieve-name CRLF       ; RFC 5804 §4, and the others alike
    /// ```
    pub fn parse(octets: &[u8]) -> Result<Self, BadCommand> {
        let keyword = octets.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(octets.len());
        let (keyword, rest) = octets.split_at(keyword);
        let mut arguments = Arguments(rest);
        let is = |word: &str| keyword.eq_ignore_ascii_case(word.as_bytes());
        let (command, wanted) = if is("AUTHENTICATE") {
            (authenticate(&mut arguments), "AUTHENTICATE \"mechanism\", with or without a response,")
        } else if is("CAPABILITY") {
            (Some(Self::Capability), "CAPABILITY")
        } else if is("CHECKSCRIPT") {
            (arguments.string().map(Self::CheckScript), "CHECKSCRIPT and the script")
        } else if is("DELETESCRIPT") {
            (arguments.text().map(Self::DeleteScript), "DELETESCRIPT \"name\"")
        } else if is("GETSCRIPT") {
            (arguments.text().map(Self::GetScript), "GETSCRIPT \"name\"")
        } else if is("HAVESPACE") {
            let space = arguments.text().and_then(|name| Some(Self::HaveSpace(name, arguments.number()?)));
            (space, "HAVESPACE \"name\" octets")
        } else if is("LISTSCRIPTS") {
            (Some(Self::ListScripts), "LISTSCRIPTS")
        } else if is("LOGOUT") {
            (Some(Self::Logout), "LOGOUT")
        } else if is("NOOP") {
            let tag = if arguments.is_empty() { Some(None) } else { arguments.text().map(Some) };
            (tag.map(Self::Noop), "NOOP, or NOOP \"tag\",")
        } else if is("PUTSCRIPT") {
            let put = arguments.text().and_then(|name| Some(Self::PutScript(name, arguments.string()?)));
            (put, "PUTSCRIPT \"name\" and the script")
        } else if is("RENAMESCRIPT") {
            let names = arguments.text().and_then(|from| Some(Self::RenameScript(from, arguments.text()?)));
            (names, "RENAMESCRIPT \"old\" \"new\"")
        } else if is("SETACTIVE") {
            let name = arguments.text().map(|name| Some(name).filter(|name| !name.is_empty()));
            (name.map(Self::SetActive), "SETACTIVE \"name\"")
        } else if is("STARTTLS") {
            (Some(Self::StartTls), "STARTTLS")
        } else if is("UNAUTHENTICATE") {
            (Some(Self::Unauthenticate), "UNAUTHENTICATE")
        } else {
            return Err(BadCommand::Unknown);
        };
        command.filter(|_| arguments.is_empty()).ok_or(BadCommand::Arguments(wanted))
    }

    /// Appends the command with its CRLF. Strings are literals, which can hold everything.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (keyword, strings): (&str, Vec<&[u8]>) = match self {
            Self::Authenticate { mechanism, initial } => {
                // The password belongs on the wire.
                let initial = initial.iter().map(|initial| initial.expose().as_slice());
                ("AUTHENTICATE", std::iter::once(mechanism.as_bytes()).chain(initial).collect())
            }
            Self::Capability => ("CAPABILITY", vec![]),
            Self::CheckScript(script) => ("CHECKSCRIPT", vec![script]),
            Self::DeleteScript(name) => ("DELETESCRIPT", vec![name.as_bytes()]),
            Self::GetScript(name) => ("GETSCRIPT", vec![name.as_bytes()]),
            Self::HaveSpace(name, _) => ("HAVESPACE", vec![name.as_bytes()]),
            Self::ListScripts => ("LISTSCRIPTS", vec![]),
            Self::Logout => ("LOGOUT", vec![]),
            Self::Noop(tag) => ("NOOP", tag.iter().map(String::as_bytes).collect()),
            Self::PutScript(name, script) => ("PUTSCRIPT", vec![name.as_bytes(), script]),
            Self::RenameScript(from, to) => ("RENAMESCRIPT", vec![from.as_bytes(), to.as_bytes()]),
            Self::SetActive(name) => ("SETACTIVE", vec![name.as_deref().unwrap_or_default().as_bytes()]),
            Self::StartTls => ("STARTTLS", vec![]),
            Self::Unauthenticate => ("UNAUTHENTICATE", vec![]),
        };
        out.extend_from_slice(keyword.as_bytes());
        for string in strings {
            out.extend_from_slice(format!(" {{{}+}}\r\n", string.len()).as_bytes());
            out.extend_from_slice(string);
        }
        if let Self::HaveSpace(_, octets) = self {
            out.extend_from_slice(format!(" {octets}").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// A client's response to a challenge, as the framer delivers it: one string, which is base64 or `*` (RFC 5804 §2.1).
pub fn response(octets: &[u8]) -> Option<Secret<Vec<u8>>> {
    let mut argument = Arguments(octets);
    let string = argument.bare_string()?;
    argument.is_empty().then(|| Secret::new(string))
}

fn authenticate(arguments: &mut Arguments<'_>) -> Option<Command> {
    let mechanism = arguments.text()?;
    let initial = if arguments.is_empty() { None } else { Some(Secret::new(arguments.string()?)) };
    Some(Command::Authenticate { mechanism, initial })
}

/// The unread rest of a command.
struct Arguments<'a>(&'a [u8]);

impl Arguments<'_> {
    fn is_empty(&self) -> bool {
        self.0.trim_ascii().is_empty()
    }

    /// One or more blanks: clients differ.
    fn blank(&mut self) -> Option<()> {
        let blanks = self.0.iter().take_while(|b| **b == b' ').count();
        self.0 = &self.0[blanks..];
        (blanks > 0).then_some(())
    }

    fn text(&mut self) -> Option<String> {
        let string = String::from_utf8(self.string()?).ok()?;
        (!string.contains('\0')).then_some(string)
    }

    fn string(&mut self) -> Option<Vec<u8>> {
        self.blank()?;
        self.bare_string()
    }

    fn bare_string(&mut self) -> Option<Vec<u8>> {
        match self.0.split_first()? {
            (b'"', rest) => {
                self.0 = rest;
                self.quoted()
            }
            (b'{', rest) => {
                self.0 = rest;
                self.literal()
            }
            _ => None,
        }
    }

    fn quoted(&mut self) -> Option<Vec<u8>> {
        let mut string = Vec::new();
        loop {
            let (first, rest) = self.0.split_first()?;
            self.0 = rest;
            match first {
                b'"' => return Some(string),
                b'\\' => {
                    let (escaped, rest) = self.0.split_first()?;
                    self.0 = rest;
                    string.push(*escaped);
                }
                b'\r' | b'\n' | 0 => return None,
                other => string.push(*other),
            }
        }
    }

    fn literal(&mut self) -> Option<Vec<u8>> {
        let digits = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        let size: usize = str::from_utf8(&self.0[..digits]).ok()?.parse().ok()?;
        let rest = self.0[digits..].strip_prefix(b"+}\r\n")?;
        let string = rest.get(..size)?.to_vec();
        self.0 = &rest[size..];
        Some(string)
    }

    fn number(&mut self) -> Option<u32> {
        self.blank()?;
        let digits = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        let number = str::from_utf8(&self.0[..digits]).ok()?.parse().ok()?;
        self.0 = &self.0[digits..];
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_commands() {
        let text = str::to_owned;
        for (line, command) in [
            ("CAPABILITY", Command::Capability),
            ("capability ", Command::Capability),
            ("PUTSCRIPT \"a \\\"b\\\\\" {6+}\r\nkeep;\n", Command::PutScript(text("a \"b\\"), b"keep;\n".to_vec())),
            ("PUTSCRIPT {1+}\r\na \"keep;\"", Command::PutScript(text("a"), b"keep;".to_vec())),
            ("CHECKSCRIPT {0+}\r\n", Command::CheckScript(vec![])),
            ("SETACTIVE \"\"", Command::SetActive(None)),
            ("SETACTIVE \"Ferien ü\"", Command::SetActive(Some(text("Ferien ü")))),
            ("HAVESPACE \"x\" 4294967295", Command::HaveSpace(text("x"), u32::MAX)),
            ("RENAMESCRIPT  \"a\" \"b\"", Command::RenameScript(text("a"), text("b"))),
            ("NOOP", Command::Noop(None)),
            ("NOOP \"tag\"", Command::Noop(Some(text("tag")))),
            ("AUTHENTICATE \"PLAIN\"", Command::Authenticate { mechanism: text("PLAIN"), initial: None }),
            (
                "Authenticate \"PLAIN\" {4+}\r\nAA==",
                Command::Authenticate { mechanism: text("PLAIN"), initial: Some(Secret::new(b"AA==".to_vec())) },
            ),
        ] {
            let parsed = Command::parse(line.as_bytes()).unwrap();
            assert_eq!(parsed, command, "{line}");
            let mut encoded = Vec::new();
            parsed.encode(&mut encoded);
            assert_eq!(Command::parse(encoded.strip_suffix(b"\r\n").unwrap()).unwrap(), parsed);
        }
        assert_eq!(response(b"\"AA==\""), Some(Secret::new(b"AA==".to_vec())));
        assert_eq!(response(b"{1+}\r\n*"), Some(Secret::new(b"*".to_vec())));
        assert_eq!((response(b"AA=="), response(b"\"a\" \"b\"")), (None, None));
    }

    #[test]
    fn refuses_what_is_none() {
        for line in ["", " CAPABILITY", "PUT", "\0", "AUTHENTICATED \"x\""] {
            assert_eq!(Command::parse(line.as_bytes()), Err(BadCommand::Unknown), "{line}");
        }
        for line in [
            "CAPABILITY \"x\"",
            "PUTSCRIPT \"a\"",
            "PUTSCRIPT a {1+}\r\nx",
            "PUTSCRIPT \"a\" {1}\r\nx",
            "PUTSCRIPT \"a\" {9+}\r\nx",
            "PUTSCRIPT \"a\"{1+}\r\nx",
            "GETSCRIPT \"a",
            "GETSCRIPT \"a\\",
            "GETSCRIPT \"\u{0}\"",
            "HAVESPACE \"a\" x",
            "HAVESPACE \"a\" 4294967296",
            "DELETESCRIPT \"a\" \"b\"",
        ] {
            assert!(matches!(Command::parse(line.as_bytes()), Err(BadCommand::Arguments(_))), "{line}");
        }
        assert!(matches!(Command::parse(b"GETSCRIPT \"\xff\""), Err(BadCommand::Arguments(_))));
    }
}
