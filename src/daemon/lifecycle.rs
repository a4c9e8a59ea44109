use std::path::PathBuf;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::control::ReloadRequest;
use super::{Daemon, Error, Roles};
use crate::config::{Checks, Config, LoadError, Role, load};
use crate::foundations::event::{Event, EventKind};

/// Where the configuration comes from, for reloading it.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// The directory of this process's credentials.
    pub credentials: Option<PathBuf>,
}

impl Source {
    /// The configuration as a process with these roles needs it. Keys and passwords that only other roles use may be
    /// unreadable: the monitoring page has no certificate, and the declared accounts are applied by the role with the
    /// mailboxes. Blocks while files are read.
    ///
    /// # Errors
    /// The file cannot be read, or it has mistakes.
    pub fn load(&self, roles: &Roles) -> Result<Config, LoadError> {
        let checks = match (roles.has(Role::Mta), roles.has(Role::Access)) {
            (true, true) => Checks::Files,
            (true, false) => Checks::FilesOf(Role::Mta),
            (false, true) => Checks::FilesOf(Role::Access),
            (false, false) => Checks::Syntax,
        };
        let has_tls = checks != Checks::Syntax;
        let mut config = load(&self.path, checks, self.credentials.as_deref())?;
        if !has_tls {
            config.tls.certificates.clear();
            config.tls.self_signed = None;
        }
        if !roles.has(Role::Access) {
            config.accounts.declared = None;
        }
        Ok(config)
    }
}

/// Runs a server that has been built: tells systemd that it is ready, then reloads on SIGHUP and stops on SIGTERM or
/// SIGINT. Returns whether everything ended in time.
///
/// # Errors
/// Signals cannot be caught.
pub async fn run(mut daemon: Daemon, source: Source) -> Result<bool, Error> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut watchdog = watchdog();
    notify(&[NotifyState::Ready, NotifyState::Status(&status(&daemon))]);
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                // Errors have been logged.
                tokio::select! {
                    _ = watchdog.beside(reload(&daemon, &source, None), alive) => {}
                    () = told_to_stop(&mut terminate, &mut interrupt) => break,
                }
            }
            ReloadRequest { administrator, done } = daemon.reload_request() => {
                tokio::select! {
                    result = watchdog.beside(reload(&daemon, &source, administrator.as_deref()), alive) => {
                        let _ = done.send(result);
                    }
                    () = told_to_stop(&mut terminate, &mut interrupt) => break,
                }
            }
            () = told_to_stop(&mut terminate, &mut interrupt) => break,
            () = watchdog.tick() => alive(),
        }
    }
    log::info!("Stopping: notifying sessions and finishing deliveries in flight");
    notify(&[NotifyState::Stopping, NotifyState::Status("Waiting for sessions and deliveries in flight")]);
    let patience = daemon.parts().config.server.stop_within.duration();
    Ok(daemon.stop(patience).await)
}

/// Resolves when the process is to end. Does not wait for a reload: it may take longer than systemd waits for the end,
/// and no longer matters.
async fn told_to_stop(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Reloads the configuration and applies it, as this administrator has asked; a broken one changes nothing.
async fn reload(daemon: &Daemon, source: &Source, administrator: Option<&str>) -> Result<Vec<&'static str>, String> {
    let mut states = vec![NotifyState::Reloading];
    // Type=notify-reload requires the time at which the reload began.
    states.extend(NotifyState::monotonic_usec_now().ok());
    notify(&states);
    let begun = Instant::now();
    let (source, roles) = (source.clone(), daemon.parts().roles.clone());
    let loaded = tokio::task::spawn_blocking(move || source.load(&roles)).await;
    let event = Event::new(daemon.parts().clock.now(), EventKind::Configuration);
    let (result, told) = match loaded {
        Ok(Ok(config)) => match Box::pin(daemon.reload(config)).await {
            Ok(waiting) => (Ok(waiting), "loaded"),
            Err(error @ Error::Incomplete(_)) => (Err(error.to_string()), "incomplete"),
            Err(error) => (Err(error.to_string()), "kept-old"),
        },
        Ok(Err(error)) => (Err(error.to_string()), "kept-old"),
        Err(_) => (Err("reading it was interrupted".to_owned()), "kept-old"),
    };
    let event = event.with("result", told);
    let event = match &result {
        Ok(_) => event.with("milliseconds", u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)),
        Err(error) => event.with("problem", error.as_str()),
    };
    daemon.parts().journal.on_behalf_of(administrator).record(event);
    notify(&[NotifyState::Ready, NotifyState::Status(&status(daemon))]);
    result
}

fn status(daemon: &Daemon) -> String {
    let protocols: Vec<String> =
        daemon.listening().iter().map(|place| format!("{} on {}", place.protocol, place.bind)).collect();
    let mut status = format!("Serving {}", protocols.join(", "));
    for place in &daemon.parts().unopened {
        status += &format!("; NOT {} on {}: {}", place.protocol, place.listener, place.reason);
    }
    status
}

/// Notifies systemd, if there is one. A failure is no reason to stop serving mail.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!(error:% = error; "systemd cannot be notified of the state of this process");
    }
}

/// Tells systemd that this process is alive.
fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// Waits for something that may take longer than systemd's start timeout, and keeps asking for more time.
pub(super) async fn patiently<T>(work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut ask = tokio::time::interval(ASK_EVERY);
    loop {
        tokio::select! {
            biased;
            result = &mut work => return result,
            _ = ask.tick() => notify(&[NotifyState::ExtendTimeoutUsec(MORE_MICROSECONDS)]),
        }
    }
}

/// Well below the time that is requested.
const ASK_EVERY: Duration = Duration::from_secs(20);
const MORE_MICROSECONDS: u32 = 90_000_000;

/// When to tell systemd that this process is alive: twice as often as required, or never if it is not required.
fn watchdog() -> Watchdog {
    Watchdog(
        sd_notify::watchdog_enabled().map(|limit| tokio::time::interval((limit / 2).max(Duration::from_millis(10)))),
    )
}

struct Watchdog(Option<tokio::time::Interval>);

impl Watchdog {
    async fn tick(&mut self) {
        match &mut self.0 {
            Some(interval) => {
                interval.tick().await;
            }
            None => std::future::pending().await,
        }
    }

    /// Does work that may take longer than the watchdog interval: a reload uses the DNS and the database, which may not
    /// answer.
    async fn beside<T>(&mut self, work: impl Future<Output = T>, alive: impl Fn()) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                result = &mut work => return result,
                () = self.tick() => alive(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_reload_is_seen_to_live() {
        let mut watchdog = Watchdog(Some(tokio::time::interval(Duration::from_millis(1))));
        let told = tokio::sync::Semaphore::new(0);
        // It ends only after systemd has been notified three times.
        let work = async { told.acquire_many(3).await.is_ok() };
        assert!(watchdog.beside(work, || told.add_permits(1)).await);
    }
}
