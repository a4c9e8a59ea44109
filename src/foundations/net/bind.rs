use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::foundations::settings::{Place, Problems, Setting, Shape};

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bind {
    /// A TCP port: `192.0.2.1:25`, `[::]:25`. `[::]` also takes IPv4 unless `0.0.0.0` is bound on the same port.
    Tcp(SocketAddr),
    /// A Unix socket: `unix:/run/postrider/lmtp.sock`.
    Unix(PathBuf),
    /// The sockets that systemd passes under a name (`FileDescriptorName=`): `systemd:smtp`.
    Systemd(String),
}

/// The text says nowhere to listen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not \"ADDRESS:PORT\", \"unix:/PATH\" or \"systemd:NAME\"")]
pub struct InvalidBind(pub String);

impl FromStr for Bind {
    type Err = InvalidBind;

    fn from_str(text: &str) -> Result<Self, InvalidBind> {
        let invalid = || InvalidBind(text.chars().take(120).collect());
        if let Some(path) = text.strip_prefix("unix:") {
            // The kernel's sun_path has 108 octets, the last of them zero.
            let fits = path.starts_with('/') && path.len() < 108 && !path.contains('\0');
            return if fits { Ok(Self::Unix(path.into())) } else { Err(invalid()) };
        }
        if let Some(name) = text.strip_prefix("systemd:") {
            let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
            return if fits { Ok(Self::Systemd(name.to_owned())) } else { Err(invalid()) };
        }
        text.parse().map(Self::Tcp).map_err(|_| invalid())
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

impl Setting for Bind {
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        let wanted = "an address and a port such as \"[::]:25\", a socket such as \"unix:/run/postrider/lmtp.sock\", \
                      or a socket passed by systemd such as \"systemd:smtp\"";
        let text = place.text(wanted, problems)?;
        text.parse().ok().or_else(|| place.wrong(wanted, problems))
    }

    fn shape() -> Shape {
        Shape::Value("address to listen on")
    }

    fn write(&self) -> Option<String> {
        Some(toml::Value::String(self.to_string()).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for text in ["127.0.0.1:25", "[::]:25", "unix:/run/x.sock", "systemd:smtp"] {
            assert_eq!(text.parse::<Bind>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses() {
        let long = format!("unix:/{}", "x".repeat(107));
        for text in ["", "25", ":25", "localhost:25", "unix:relative", "unix:", "systemd:", "systemd:a b", &long] {
            assert!(text.parse::<Bind>().is_err(), "{text}");
        }
    }
}
