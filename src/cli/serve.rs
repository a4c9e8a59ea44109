use super::context::Context;
use super::exit::{Exit, Outcome};
use super::one_of::one_of;
use crate::daemon::{self, Daemon, Roles, World};
use crate::foundations::net::Inherited;

#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// Comma-separated roles of this process: mta, access, dashboard. All of them by default.
    #[arg(long, value_name = "ROLES")]
    role: Option<Roles>,
    /// The format of log lines, overriding `server.log_format`: auto, journal, text or json.
    #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
    #[arg(value_parser = one_of(daemon::LogFormat::ALL.iter().map(|form| form.word()), daemon::LogFormat::from_word))]
    log_format: Option<daemon::LogFormat>,
}

pub(super) fn run(arguments: &Serve, context: &Context) -> Outcome {
    let inherited = inherited()?;
    let source = context.source();
    let roles = arguments.role.clone().unwrap_or_else(Roles::all);
    let config = source.load(&roles)?;
    daemon::log::start(arguments.log_format.unwrap_or(config.server.log_format), config.server.log_level);
    daemon::log::tell_of_panics();
    daemon::raise_file_limit();
    let runtime = daemon::runtime(&config.server)?;
    let ended = runtime.block_on(async {
        let world = World { credentials: source.credentials.clone(), ..World::real(inherited) };
        let daemon = Box::pin(Daemon::build(config, roles, world)).await?;
        Box::pin(daemon::run(daemon, source)).await
    })?;
    // Anything still running on a blocking thread (a slow disk) is not waited for again.
    runtime.shutdown_background();
    Ok(if ended { Exit::Done } else { Exit::Failed })
}

/// The sockets passed by systemd, taken over while this is the only thread.
#[expect(clippy::disallowed_methods, reason = "the command line may read the environment")]
fn inherited() -> std::io::Result<Inherited> {
    let names = std::env::var("LISTEN_FDNAMES").ok();
    Inherited::take(names.as_deref())
}
