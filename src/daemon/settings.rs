use std::path::PathBuf;

use crate::foundations::settings::Span;

crate::settings! {
    /// The process as a whole: how it stops, what it logs, and where commands reach it (the control sockets).
    pub struct ServerSettings {
        /// Directory of the control sockets (`mta.sock`, `access.sock`, `dashboard.sock`), through which the command
        /// line talks to running roles. Root and the role's user may open them. The status sockets beside them
        /// (`mta-status.sock` and so on) are open to the group as well, and can change nothing. Over `mta-post.sock`
        /// the role `access` sends mail from scripts, and requests to leave mailing lists. If it runs as a different
        /// user from `mta`, systemd must create that socket, so that only `access` may open it.
        pub control_directory: PathBuf = PathBuf::from("/run/postrider"),
        /// How long sessions and deliveries in flight may take to finish when the server stops. What is unfinished then is cut
        /// off; nothing that was acknowledged is lost.
        pub stop_within: Span = Span::seconds(30),
        /// Threads for the work itself; 0 for one per processor.
        pub threads: u16 = 0,
        /// Most threads for files and passwords. They end when idle.
        pub blocking_threads: u16 = 64,
        /// What is logged.
        pub log_level: LogLevel = LogLevel::Info,
        /// How it is logged.
        pub log_format: LogFormat = LogFormat::Auto,
    }
}

crate::words! {
    /// How much is logged.
    pub enum LogLevel {
        /// Only what an administrator must look at.
        Error = "error",
        /// Also what may become a problem.
        Warn = "warn",
        /// Also every decision about a message or login.
        Info = "info",
        /// Also the dialogue with clients.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

crate::words! {
    /// The form of log lines.
    pub enum LogFormat {
        /// Structured fields to the journal when systemd has connected us to it, lines on standard error otherwise.
        Auto = "auto",
        /// Structured fields to the journal.
        Journal = "journal",
        /// Readable lines on standard error: time, level, sentence, then the fields as `name=value`.
        Text = "text",
        /// One JSON object per line on standard error.
        Json = "json",
    }
}

impl LogLevel {
    /// As the `log` crate filters.
    pub const fn filter(self) -> log::LevelFilter {
        match self {
            Self::Error => log::LevelFilter::Error,
            Self::Warn => log::LevelFilter::Warn,
            Self::Info => log::LevelFilter::Info,
            Self::Debug => log::LevelFilter::Debug,
            Self::Trace => log::LevelFilter::Trace,
        }
    }
}
