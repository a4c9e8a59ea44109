use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::foundations::address::Address;

use super::{
    alias, backup, ban, certificate, check, cluster, config, demo, dkim, dns, doctor, domain, export, import,
    quarantine, queue, report, sendmail, serve, sieve, spam, trace, user,
};

/// Where the configuration is by custom.
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
    /// Print the result as JSON. Moments are whole microseconds since 1970 in UTC where they are numbers, RFC 3339 where
    /// they are text; sizes are octets.
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
// The arguments of a command are defined when it is called: code that the server never runs takes none of its memory.
#[command(defer = true)]
pub(super) enum Command {
    /// Run the server until it is told to stop (SIGTERM); SIGHUP reloads it.
    Serve(serve::Serve),
    /// Try the whole server out, in a directory of its own, with nothing else installed.
    Demo(demo::Demo),
    /// Check a configuration and report every mistake in it, with its line. Ends with 3 if there is a mistake.
    Check(check::Check),
    /// Print an example or the reference of the configuration.
    #[command(subcommand)]
    Config(config::Config),
    /// Say which roles run, in which process. Ends with 75 if none does.
    Status,
    /// Let the running server load configuration, certificates and declared accounts again.
    Reload,
    /// Show the certificates of the running server, whether they are really served, and renew them.
    #[command(subcommand)]
    Certificate(certificate::Certificate),
    /// Say what the declared accounts would change, and change nothing.
    Plan {
        /// Read no password files: what a change of passwords would do is left out, and nothing needs to be readable.
        #[arg(long)]
        without_passwords: bool,
    },
    /// Change and list the domains whose mail is ours.
    #[command(subcommand)]
    Domain(domain::Domain),
    /// Change and list users.
    #[command(subcommand)]
    User(user::User),
    /// Change and list aliases.
    #[command(subcommand)]
    Alias(alias::Alias),
    /// Look at what the filter keeps back, and release it.
    #[command(subcommand)]
    Quarantine(quarantine::Quarantine),
    /// Look at the queue and change it.
    ///
    /// What is in quarantine is listed too, but only changed when its id is given: see `postrider quarantine`.
    #[command(subcommand)]
    Queue(queue::Queue),
    /// Take a message from a program of this machine, as `sendmail` does.
    ///
    /// The message is read from standard input; it goes to the recipients that are named, with -t to those of its To, Cc and
    /// Bcc fields. Programs call it by the name `sendmail`: link that name to this program.
    Sendmail(sendmail::Sendmail),
    /// Make the indexes of a user's mailboxes anew from the mail itself. Clients notice nothing.
    Reindex {
        /// The user's address.
        #[arg(value_name = "ADDRESS")]
        user: Address,
    },
    /// Move mail and accounts in from another server. Nothing there is changed.
    #[command(subcommand)]
    Import(import::Import),
    /// Prepare mailboxes for another server.
    #[command(subcommand)]
    Export(export::Export),
    /// Tell a message's journey, what an address has met with, or which events hold some words.
    Trace(trace::Arguments),
    /// Make reports for other programs and for the postmaster, and show those of other servers.
    #[command(subcommand)]
    Report(report::Report),
    /// Take backups, check them, restore them.
    Backup(backup::Backup),
    /// Change and list bans of clients.
    ///
    /// Running roles on all machines that share the database hold them, also after a restart.
    #[command(subcommand)]
    Ban(ban::Ban),
    /// Show and move what the nodes of a cluster own.
    ///
    /// The commands work on any machine that reaches the database. Nodes do what is wished when they next renew their lease
    /// (`cluster.renew`).
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// Make, list and exchange the keys that sign outgoing mail (DKIM).
    #[command(subcommand)]
    Dkim(dkim::Dkim),
    /// Print every DNS record to publish for the host and its domains.
    Dns(dns::Dns),
    /// Find out what keeps mail from coming, going and being believed, and what to do about it. Ends with 1 if something is
    /// wrong.
    Doctor(doctor::Arguments),
    /// Explain what the spam filter thinks, teach it, and try changes on mail that is there.
    #[command(subcommand)]
    Spam(spam::Spam),
    /// Look at users' Sieve scripts, change them, and try them out.
    ///
    /// The commands work on the files themselves, whether the server runs or not.
    #[command(subcommand)]
    Sieve(sieve::Sieve),
    /// Print the script by which a shell completes commands, options and values.
    Completions {
        /// The shell it is for.
        shell: Shell,
    },
    /// Write the manual pages into a directory.
    Man {
        /// The directory; it is made if need be.
        directory: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// What one word says, the name of the argument says already.
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
