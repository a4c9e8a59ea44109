use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::foundations::address::Address;

use super::{
    alias, backup, ban, certificate, check, cluster, config, demo, dkim, dns, doctor, domain, export, import,
    quarantine, queue, report, sendmail, serve, sieve, spam, trace, user,
};

/// The default path of the configuration.
pub(super) const CONFIG: &str = "/etc/postrider/postrider.toml";

/// A complete mail server: SMTP, IMAP, POP3, Sieve, filter, queue and monitoring in one program.
#[derive(Debug, Parser)]
#[command(name = "postrider", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = super::exit::HELP)]
pub(super) struct Arguments {
    /// The configuration file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = CONFIG,
        env = "POSTRIDER_CONFIG"
    )]
    pub(super) config: PathBuf,
    /// Print the result as JSON. Times given as numbers are microseconds since 1970 (UTC), those given as text are
    /// RFC 3339; sizes are in octets.
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
// The arguments of a command are only built when it is called, so they take up no memory in the server.
#[command(defer = true)]
pub(super) enum Command {
    /// Run the server. SIGTERM stops it, SIGHUP reloads it.
    Serve(serve::Serve),
    /// Try out the whole server in a separate directory, with nothing else installed.
    Demo(demo::Demo),
    /// Check a configuration and report every mistake with its line. Exits with 3 if there is one.
    Check(check::Check),
    /// Print an example configuration or the configuration reference.
    #[command(subcommand)]
    Config(config::Config),
    /// Show which roles are running, and in which process. Exits with 75 if none is.
    Status,
    /// Make the running server reload its configuration, certificates and declared accounts.
    Reload,
    /// Show the certificates of the running server, check that they are served, and renew them.
    #[command(subcommand)]
    Certificate(certificate::Certificate),
    /// Show what the declared accounts would change, without changing anything.
    Plan {
        /// Do not read password files. They then need not be readable, and changes of passwords are not shown.
        #[arg(long)]
        without_passwords: bool,
    },
    /// List and change the domains this server accepts mail for.
    #[command(subcommand)]
    Domain(domain::Domain),
    /// List and change users.
    #[command(subcommand)]
    User(user::User),
    /// List and change aliases.
    #[command(subcommand)]
    Alias(alias::Alias),
    /// Show and release messages that the filter has quarantined.
    #[command(subcommand)]
    Quarantine(quarantine::Quarantine),
    /// Show and change the queue.
    ///
    /// Quarantined messages are listed too, but only changed when their ids are given: see `postrider quarantine`.
    #[command(subcommand)]
    Queue(queue::Queue),
    /// Send a message from a program on this machine, as `sendmail` does.
    ///
    /// The message is read from standard input and goes to the given recipients, or with -t to those in its To, Cc and Bcc
    /// fields. For programs that call `sendmail`, link that name to this program.
    Sendmail(sendmail::Sendmail),
    /// Rebuild the indexes of a user's mailboxes from the mail itself. Clients do not notice.
    Reindex {
        /// The user's address.
        #[arg(value_name = "ADDRESS")]
        user: Address,
    },
    /// Import mail and accounts from another server. Nothing is changed there.
    #[command(subcommand)]
    Import(import::Import),
    /// Prepare mailboxes for use by another server.
    #[command(subcommand)]
    Export(export::Export),
    /// Show what happened to a message, what happened at an address, or the events that contain given words.
    Trace(trace::Arguments),
    /// Create reports for other programs and the postmaster, and show reports received from other servers.
    #[command(subcommand)]
    Report(report::Report),
    /// Take, check and restore backups.
    Backup(backup::Backup),
    /// List and change bans of clients.
    ///
    /// Bans apply to the running roles on all machines that share the database, and survive a restart.
    #[command(subcommand)]
    Ban(ban::Ban),
    /// Show and move what the nodes of a cluster own.
    ///
    /// The commands work on any machine that can reach the database. Nodes carry them out when they next renew their lease
    /// (`cluster.renew`).
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// Create, list and rotate the keys that sign outgoing mail (DKIM).
    #[command(subcommand)]
    Dkim(dkim::Dkim),
    /// Print every DNS record to publish for the host and its domains.
    Dns(dns::Dns),
    /// Find out what prevents mail from being received, sent or trusted, and how to fix it. Exits with 1 if something is
    /// wrong.
    Doctor(doctor::Arguments),
    /// Explain the spam filter's verdicts, train it, and try changes on existing mail.
    #[command(subcommand)]
    Spam(spam::Spam),
    /// Show, change and try out users' Sieve scripts.
    ///
    /// The commands work on the files themselves, whether or not the server is running.
    #[command(subcommand)]
    Sieve(sieve::Sieve),
    /// Print a script with which a shell completes commands, options and values.
    Completions {
        /// The shell to print it for.
        shell: Shell,
    },
    /// Write the manual pages into a directory.
    Man {
        /// The directory; it is created if necessary.
        directory: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// Help of one word says no more than the argument's name.
    #[test]
    fn help_says_what_commands_and_arguments_are() {
        fn look(command: &clap::Command, above: &str) {
            let path = format!("{above} {}", command.get_name());
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(about.contains(' '), "{path}: `{about}`");
            // clap's own, which say it in two words.
            let own = ["help", "version"];
            for argument in command.get_arguments().filter(|argument| !own.contains(&argument.get_id().as_str())) {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                let is_span = argument.get_value_names().is_some_and(|names| names.iter().any(|name| name == "SPAN"));
                let shows_units = help.contains("h or ") || help.contains("h, ");
                let place = format!("{path} {}: `{help}`", argument.get_id());
                assert!(help.split(' ').count() > 2 && (!is_span || shows_units), "{place}");
            }
            command.get_subcommands().for_each(|inner| look(inner, &path));
        }
        let mut command = Arguments::command().disable_help_subcommand(true);
        command.build();
        look(&command, "");
    }

    #[test]
    fn options_have_one_name_and_earlier_names_still_hold() {
        for line in [
            "trace --text silent --limit 7",
            "report dmarc --limit 7",
            "report dmarc --most 7",
            "report failures --since 2020-02-29",
            "report summary --since 1d",
            "user app-password add ann@example.test Phone --scopes mail,dav",
            "user app-password add ann@example.test Phone --for mail,dav",
        ] {
            let parsed = Arguments::try_parse_from(["postrider"].into_iter().chain(line.split(' ')));
            assert!(parsed.is_ok(), "{line}: {parsed:?}");
        }
        let nothing = Arguments::try_parse_from(["postrider", "trace"]).unwrap_err().to_string();
        assert!(nothing.contains("--text <WORD>") && nothing.contains("--since <TIME>"), "{nothing}");
        for line in ["report dmarc --limit 0", "report summary --since 9000-01-01", "trace --most 7"] {
            let parsed = Arguments::try_parse_from(["postrider"].into_iter().chain(line.split(' ')));
            assert!(parsed.is_err(), "{line}");
        }
    }
}
