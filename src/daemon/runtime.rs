use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

use super::ServerSettings;

/// The runtime of a server: a thread for each processor, and additional ones for files and passwords that end when idle.
///
/// # Errors
/// The system provides no threads or no event queue.
pub fn runtime(settings: &ServerSettings) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if settings.threads > 0 {
        builder.worker_threads(settings.threads.into());
    }
    builder
        .max_blocking_threads(usize::from(settings.blocking_threads.max(4)))
        .thread_keep_alive(IDLE)
        .thread_name("postrider")
        .enable_all()
        .build()
}

/// Raises the limit of open files to the maximum: every connection is one, and the usual limit of 1,024 only exists for
/// programs that use `select`.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    if let Err(error) = raised {
        log::warn!(error:% = error; "The limit of open files cannot be raised; many connections at once may be refused");
    }
}

/// How long an additional thread stays idle before it ends.
const IDLE: Duration = Duration::from_secs(5);
