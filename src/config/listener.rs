use std::fmt;
use std::path::Path;

use ipnet::IpNet;

use crate::foundations::net::{Bind, UnixAccess};
use crate::foundations::settings::{Place, Problems, Setting, Shape, Span};

crate::settings! {
    /// Where the server listens, one table for each protocol: what is spoken, at which addresses or sockets, and how
    /// many clients may be connected at once.
    pub struct ListenerSettings {
        /// What is spoken there. It must be given.
        pub protocol: Protocol = Protocol::Smtp,
        /// Addresses: `"[::]:25"` (with IPv4), `"192.0.2.1:25"`, `"unix:/run/postrider/lmtp.sock"`, or `"systemd:NAME"`.
        /// A socket that systemd passes for one of these addresses is used as it is, whatever its name.
        pub bind: Vec<Bind> = vec![],
        /// The role that serves it, in place of the one the protocol belongs to. Only for `metrics`, since each process has
        /// figures of its own connections, and for `https`, which has the webmail only in the role `access`.
        pub role: Option<Role> = None,
        /// Most connections at once. Further clients wait in the kernel's queue.
        pub connections: u32 = 20_000,
        /// Networks of load balancers that begin every connection with a PROXY header (version 1 or 2) naming the real
        /// client. Connections from there without one are closed.
        pub proxies: Vec<IpNet> = vec![],
        /// How long a load balancer may take for its PROXY header; then the connection is closed.
        pub proxy_timeout: Span = Span::seconds(5),
        /// Permission bits of Unix sockets, as in `chmod`.
        pub mode: Mode = Mode(0o660),
        /// Owner of Unix sockets as `"user"`, `"user:group"` or `":group"`; unset for the server's own user and group.
        pub owner: Option<Owner> = None,
    }
}

crate::words! {
    /// What a listener speaks.
    pub enum Protocol {
        /// Mail from other servers, with STARTTLS.
        Smtp = "smtp",
        /// Mail from our users, with STARTTLS (RFC 6409).
        Submission = "submission",
        /// Mail from our users, TLS from the start (RFC 8314).
        Submissions = "submissions",
        /// Mail from programs of this machine, as `postrider sendmail` hands it over. Only on Unix sockets, where the
        /// system says as which user a program runs; every user may have to open it: `mode = "0666"`.
        Sendmail = "sendmail",
        /// Mail into mailboxes from a process that has accepted it (RFC 2033).
        Lmtp = "lmtp",
        /// Mailboxes, with STARTTLS (RFC 9051).
        Imap = "imap",
        /// Mailboxes, TLS from the start.
        Imaps = "imaps",
        /// Inboxes, with STLS (RFC 1939).
        Pop3 = "pop3",
        /// Inboxes, TLS from the start.
        Pop3s = "pop3s",
        /// Sieve scripts of users, with STARTTLS (RFC 5804).
        ManageSieve = "managesieve",
        /// The public site, on port 80: answers to certificate authorities (`tls.acme`), and the way to HTTPS.
        Http = "http",
        /// The public site, TLS from the start, on port 443: our policies on TLS for other servers (`mta_sts`, RFC 8461), the
        /// settings that mail programs look for (`autoconfig`), answers to certificate authorities and, in a process with the
        /// mailboxes, the webmail.
        Https = "https",
        /// The webmail, without TLS: for this machine or behind a reverse proxy. `https` serves it too.
        Webmail = "webmail",
        /// Sessions and messages from the other nodes of a cluster, over TLS with the keys of `cluster.secret`.
        Cluster = "cluster",
        /// The monitoring page and its JSON interface, without TLS: for this machine or behind a reverse proxy.
        Dashboard = "dashboard",
        /// Metrics for Prometheus at `/metrics`, and `/healthz` and `/readyz`.
        Metrics = "metrics",
    }
}

crate::words! {
    /// A part of the server that can run as a process of its own.
    pub enum Role {
        /// Receives, filters, queues and sends mail. Needs no access to mailboxes.
        Mta = "mta",
        /// Keeps the mailboxes and serves them.
        Access = "access",
        /// Shows how the server is doing.
        Dashboard = "dashboard",
    }
}

impl Protocol {
    /// Who serves it.
    pub const fn role(self) -> Role {
        match self {
            Self::Smtp | Self::Submission | Self::Submissions | Self::Sendmail | Self::Http | Self::Https => Role::Mta,
            Self::Lmtp
            | Self::Imap
            | Self::Imaps
            | Self::Pop3
            | Self::Pop3s
            | Self::ManageSieve
            | Self::Webmail
            | Self::Cluster => Role::Access,
            Self::Dashboard | Self::Metrics => Role::Dashboard,
        }
    }

    /// Whether TLS begins with the first octet.
    pub const fn has_implicit_tls(self) -> bool {
        matches!(self, Self::Submissions | Self::Imaps | Self::Pop3s | Self::Https)
    }
}

impl ListenerSettings {
    /// Who serves it.
    pub fn role(&self) -> Role {
        self.role.unwrap_or(self.protocol.role())
    }

    /// Who may open its Unix sockets.
    ///
    /// # Errors
    /// The owner names a user or group that this machine does not know; the name is returned.
    pub fn access(&self) -> Result<UnixAccess, String> {
        let (user, group) = match &self.owner {
            None => (None, None),
            Some(Owner { user, group }) => (
                user.as_deref().map(|user| number_of(user, "/etc/passwd")).transpose()?,
                group.as_deref().map(|group| number_of(group, "/etc/group")).transpose()?,
            ),
        };
        Ok(UnixAccess { mode: self.mode.0, user, group })
    }
}

/// The number of a user or group: itself, or as the machine's files have it.
fn number_of(name: &str, file: &str) -> Result<u32, String> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let text = std::fs::read_to_string(Path::new(file)).unwrap_or_default();
    let line = text.lines().find(|line| line.split(':').next() == Some(name));
    line.and_then(|line| line.split(':').nth(2)?.parse().ok()).ok_or_else(|| name.to_owned())
}

/// Permission bits, written as text in octal: `"0660"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Setting for Mode {
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        let wanted = "permission bits as in chmod, such as \"0660\"";
        let text = place.text(wanted, problems)?;
        let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o777 && !text.starts_with('+'));
        bits.map(Self).or_else(|| place.wrong(wanted, problems))
    }

    fn shape() -> Shape {
        Shape::Value("permission bits")
    }

    fn write(&self) -> Option<String> {
        Some(format!("\"{self}\""))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// A user, a group, or both; by name or number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: Option<String>,
    /// The group.
    pub group: Option<String>,
}

impl Setting for Owner {
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        let wanted = "\"user\", \"user:group\" or \":group\"";
        let text = place.text(wanted, problems)?;
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        let part = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        let owner = Self { user: part(user), group: part(group) };
        let fits = (owner.user.is_some() || owner.group.is_some()) && !group.contains(':');
        if fits { Some(owner) } else { place.wrong(wanted, problems) }
    }

    fn shape() -> Shape {
        Shape::Value("user and group")
    }

    fn write(&self) -> Option<String> {
        let group = self.group.as_ref().map(|group| format!(":{group}")).unwrap_or_default();
        Some(format!("\"{}{group}\"", self.user.as_deref().unwrap_or_default()))
    }
}
