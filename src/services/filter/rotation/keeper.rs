//! Carrying out the steps: files, the DNS, events.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::plan::{Step, Urgency, next};
use super::state::{DomainState, KeyPairState, Phase, RotatedKey};
use crate::foundations::address::Domain;
use crate::foundations::clock::{SharedClock, Timestamp};
use crate::foundations::dns::SharedResolver;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::failure;
use crate::foundations::files;
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::services::filter::authentication::dkim::{self, generate};
use crate::services::filter::{DkimKeySettings, DkimRotationSettings, Filter, FilterSettings};
use crate::storage::journal::Journal;

/// Keys cannot be exchanged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// Another process is exchanging keys.
    #[error("another process is exchanging keys in `{}`; try again in a minute", .0.display())]
    Busy(PathBuf),
    /// The lock file cannot be opened.
    #[error("`{}` cannot be opened: {source}; the directory must belong to the user of the server", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key cannot be generated.
    #[error(transparent)]
    Key(#[from] dkim::Error),
    /// The state file is damaged.
    #[error("`{}` is damaged: {reason}; restore it, or move the directory away to start over", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The work with files and keys did not finish.
    #[error("the work with keys was aborted: {0}")]
    Interrupted(String),
    /// No directory is configured.
    #[error("`spam.dkim.rotation.directory` must be set, with the domains in `spam.dkim.rotation.domains`")]
    NotConfigured,
}

/// What rotation needs.
pub struct RotationParts {
    /// The filter's settings.
    pub settings: Live<FilterSettings>,
    /// Tells whether records are published.
    pub resolver: SharedResolver,
    /// Where steps are recorded.
    pub journal: Journal,
    /// The time.
    pub clock: SharedClock,
}

/// Exchanges keys.
pub struct Rotation(RotationParts);

/// The state between two checks.
#[derive(Default)]
struct Known {
    /// For each domain the signing keys as last read.
    keys: HashMap<Domain, Vec<DkimKeySettings>>,
    /// When a problem with a domain was last reported.
    told: HashMap<Domain, Timestamp>,
}

impl Known {
    /// Whether something may be reported about a domain: once a day.
    fn may_tell(&mut self, domain: &Domain, now: Timestamp) -> bool {
        let is_due = self.told.get(domain).is_none_or(|told| now.since(*told) >= Duration::from_secs(86_400));
        if is_due {
            self.told.insert(domain.clone(), now);
        }
        is_due
    }
}

/// How often to check whether something is due, or whether the command line has done something.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Most steps for one domain at a time; the others follow at the next check.
const MOST_STEPS: usize = 8;
/// Largest state file.
const LARGEST: u64 = 1 << 20;

impl Rotation {
    /// Puts the parts together.
    pub const fn new(parts: RotationParts) -> Self {
        Self(parts)
    }

    /// Does what is due and gives the filter the signing keys, until `tasks` stop.
    pub async fn run(self: Arc<Self>, filter: Arc<Filter>, tasks: Tasks) {
        let mut known = Known::default();
        loop {
            let now = self.0.clock.now();
            let settings = self.0.settings.get();
            let rotation = &settings.dkim.rotation;
            // A reload may have taken the directory away, and with it the keys.
            let domains: &[Domain] = if rotation.directory.is_some() { &rotation.domains } else { &[] };
            for domain in domains {
                self.look(domain, &mut known).await;
            }
            let keys = domains.iter().filter_map(|domain| known.keys.get(domain));
            filter.sign_with(keys.flatten().cloned().collect());
            tokio::select! {
                () = tasks.stopping() => return,
                () = self.0.clock.sleep_until(now + LOOK_EVERY) => {}
            }
        }
    }

    /// Does what is due for a domain and finds out which of its keys sign. If they cannot be read, the domain keeps those it had.
    async fn look(&self, domain: &Domain, known: &mut Known) {
        let now = self.0.clock.now();
        let advanced = self.advance(domain, Urgency::Scheduled).await;
        let read = self.active(domain).await.map(|keys| known.keys.insert(domain.clone(), keys));
        let error = match (advanced, read) {
            (Ok(Some(Step::Missing)), Ok(_)) => {
                if known.may_tell(domain, now) {
                    log::warn!(domain:% = domain; "The new DKIM keys of {domain} should sign by now, but the DNS does not show their records; see `postrider dkim list`");
                }
                return;
            }
            (Ok(_) | Err(Error::Busy(_)), Ok(_)) => None,
            // Both have read the same files: one message about them is enough.
            (_, Err(error)) | (Err(error), Ok(_)) => Some(error),
        };
        match error {
            Some(error) if known.may_tell(domain, now) => match known.keys.get(domain) {
                Some(_) => {
                    log::error!(domain:% = domain; "DKIM keys of {domain} cannot be exchanged, the last known ones sign: {error}");
                }
                None => {
                    log::error!(domain:% = domain; "DKIM keys of {domain} cannot be read, its mail goes out without their signatures: {error}");
                }
            },
            Some(_) => {}
            None => {
                known.told.remove(domain);
            }
        }
    }

    /// Takes the next steps for a domain; an administrator's request is for the first step only. Returns what was done last, or
    /// is missing.
    async fn advance(&self, domain: &Domain, urgency: Urgency) -> Result<Option<Step>, Error> {
        let settings = self.0.settings.get();
        let directory = settings.dkim.rotation.directory.clone().ok_or(Error::NotConfigured)?;
        let place = Place { directory, domain: domain.clone() };
        let _lock = place.on_thread(Place::open).await?;
        let mut urgency = urgency;
        let mut last = None;
        for _ in 0..MOST_STEPS {
            let mut state = place.on_thread(Place::load).await?;
            let now = self.0.clock.now();
            let visible = self.is_visible(&state, domain).await;
            let Some(step) = next(&state, visible, &settings.dkim.rotation, urgency, now) else { break };
            last = Some(step);
            match step {
                Step::Missing => break,
                Step::Make => {
                    let (settings, known) = (Arc::clone(&settings), state.clone());
                    let pair = place.on_thread(move |place| place.make(&settings.dkim.rotation, &known, now)).await?;
                    self.record(domain, &pair, "announced");
                    state.pairs.push(pair);
                    urgency = Urgency::Scheduled;
                }
                Step::Switch => {
                    self.switch(domain, &mut state, now);
                    urgency = Urgency::Scheduled;
                }
                Step::Delete(at) => {
                    let pair = state.pairs.remove(at);
                    self.record(domain, &pair, "deleted");
                    place.on_thread(move |place| place.delete(&pair)).await?;
                }
            }
            place.on_thread(move |place| place.save(&state)).await?;
        }
        Ok(last)
    }

    /// Puts the announced pair in force, and retires the one that has signed until now.
    fn switch(&self, domain: &Domain, state: &mut DomainState, now: Timestamp) {
        for pair in &mut state.pairs {
            let phase = match pair.phase {
                Phase::Announced => Phase::Active,
                Phase::Active => Phase::Retired,
                Phase::Retired => continue,
            };
            (pair.phase, pair.since) = (phase, now);
            self.record(domain, pair, phase.word());
        }
    }

    /// Takes the next step for a domain now, whatever the schedule says, and returns the domain's keys. A pair is still not put
    /// in force before its records are in the DNS.
    ///
    /// # Errors
    /// No directory is configured, another process is at it, or the files cannot be read or written.
    pub async fn rotate(&self, domain: &Domain) -> Result<Vec<KeyPairState>, Error> {
        self.advance(domain, Urgency::Now).await?;
        self.read_pairs(domain).await
    }

    /// The keys of a domain, read on a thread that may block.
    async fn read_pairs(&self, domain: &Domain) -> Result<Vec<KeyPairState>, Error> {
        let (settings, domain) = (self.0.settings.get(), domain.clone());
        on_thread(move || pairs(&settings.dkim.rotation, &domain)).await
    }

    /// The keys of a domain.
    ///
    /// # Errors
    /// No directory is configured, or its files cannot be read.
    pub fn pairs(&self, domain: &Domain) -> Result<Vec<KeyPairState>, Error> {
        pairs(&self.0.settings.get().dkim.rotation, domain)
    }

    /// The signing keys of a domain.
    async fn active(&self, domain: &Domain) -> Result<Vec<DkimKeySettings>, Error> {
        let settings = self.0.settings.get();
        let directory = settings.dkim.rotation.directory.as_deref().ok_or(Error::NotConfigured)?;
        let pairs = self.read_pairs(domain).await?;
        let keys = pairs.iter().filter(|pair| pair.phase == Phase::Active).flat_map(|pair| &pair.keys);
        Ok(keys
            .map(|key| DkimKeySettings {
                domain: Some(domain.clone()),
                selector: key.selector.clone(),
                file: key.file(directory, domain),
            })
            .collect())
    }

    /// Whether the DNS shows the records of the announced pair.
    async fn is_visible(&self, state: &DomainState, domain: &Domain) -> bool {
        let Some(pair) = state.pairs.iter().find(|pair| pair.phase == Phase::Announced) else { return false };
        for key in &pair.keys {
            let found = self.0.resolver.txt(&key.name(domain)).await.map(|answer| answer.records).unwrap_or_default();
            let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            if !found.iter().any(|record| bare(record).trim_end_matches(';') == bare(&key.record)) {
                return false;
            }
        }
        true
    }

    fn record(&self, domain: &Domain, pair: &KeyPairState, action: &'static str) {
        for key in &pair.keys {
            let event = Event::new(self.0.clock.now(), EventKind::SigningKey).subject(domain.to_string());
            let event = event.with("action", action).with("selector", key.selector.clone());
            let name = key.name(domain);
            self.0.journal.record(match action {
                "announced" => event.with("publish", name).with("record", key.record.clone()),
                "deleted" => event.with("unpublish", name),
                _ => event,
            });
        }
    }
}

/// The keys of a domain, for reading only.
///
/// # Errors
/// No directory is configured, or its files cannot be read.
pub fn pairs(settings: &DkimRotationSettings, domain: &Domain) -> Result<Vec<KeyPairState>, Error> {
    let directory = settings.directory.as_deref().ok_or(Error::NotConfigured)?;
    Ok(load(&directory.join(domain.as_str()))?.pairs)
}

/// Does work that waits for the disk or for key generation, on a thread that may block.
async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Interrupted(error.to_string()))?
}

/// Where the keys of a domain are. All methods block.
#[derive(Clone)]
struct Place {
    /// The directory of all domains.
    directory: PathBuf,
    domain: Domain,
}

impl Place {
    /// Does this on a thread that may block.
    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let place = self.clone();
        on_thread(move || work(&place)).await
    }

    fn path(&self) -> PathBuf {
        self.directory.join(self.domain.as_str())
    }

    /// Creates the domain's directory, and excludes other processes until the returned value is dropped.
    fn open(&self) -> Result<std::fs::File, Error> {
        let path = self.path();
        files::create_directory(&path, 0o700)?;
        give_to_owner(&path, &self.directory);
        lock(&self.directory)
    }

    fn load(&self) -> Result<DomainState, Error> {
        load(&self.path())
    }

    fn save(&self, state: &DomainState) -> Result<(), Error> {
        save(&self.path(), state)
    }

    /// Creates a pair: its files are on disk when this returns.
    fn make(
        &self,
        settings: &DkimRotationSettings,
        state: &DomainState,
        now: Timestamp,
    ) -> Result<KeyPairState, Error> {
        let date = now.utc().format("%Y%m%d").to_string();
        let is_taken =
            |selector: &str| state.pairs.iter().flat_map(|pair| &pair.keys).any(|key| key.selector == selector);
        let mut keys = Vec::new();
        for algorithm in &settings.algorithms {
            // Several in a day are distinguished by a number.
            let base = format!("p{date}{}", &algorithm.word()[..1]);
            let numbered = (2..1_000).map(|number| format!("{base}{number}"));
            let selector = std::iter::once(base.clone()).chain(numbered).find(|selector| !is_taken(selector));
            let pair = generate(*algorithm)?;
            let key = RotatedKey { selector: selector.unwrap_or(base), record: pair.record };
            let file = key.file(&self.directory, &self.domain);
            files::write_durable(&file, pair.private.expose().as_bytes(), 0o600)?;
            give_to_owner(&file, &self.directory);
            keys.push(key);
        }
        Ok(KeyPairState { phase: Phase::Announced, since: now, keys })
    }

    /// Removes the files of keys that no longer sign.
    fn delete(&self, pair: &KeyPairState) -> Result<(), Error> {
        for key in &pair.keys {
            let file = key.file(&self.directory, &self.domain);
            if let Err(error) = std::fs::remove_file(&file) {
                log::warn!(file:% = file.display(), cause:% = error; "A retired key cannot be deleted");
            }
        }
        Ok(())
    }
}

fn load(place: &Path) -> Result<DomainState, Error> {
    let path = place.join("state.json");
    let octets = match files::read_bounded(&path, LARGEST) {
        Ok(octets) => octets,
        Err(error) if error.kind() == failure::Kind::NotFound => return Ok(DomainState::default()),
        Err(error) => return Err(error.into()),
    };
    serde_json::from_slice(&octets).map_err(|error| Error::State { path, reason: error.to_string() })
}

fn save(place: &Path, state: &DomainState) -> Result<(), Error> {
    let path = place.join("state.json");
    let text = serde_json::to_vec_pretty(state);
    let text = text.map_err(|error| Error::State { path: path.clone(), reason: error.to_string() })?;
    files::write_durable(&path, &text, 0o600)?;
    give_to_owner(&path, place);
    Ok(())
}

/// Excludes other processes until it is dropped.
fn lock(directory: &Path) -> Result<std::fs::File, Error> {
    let path = directory.join("lock");
    let opened = std::fs::File::options().create(true).append(true).open(&path);
    let file = opened.map_err(|source| Error::Lock { path: path.clone(), source })?;
    give_to_owner(&path, directory);
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| Error::Busy(directory.to_owned()))?;
    Ok(file)
}

/// Gives what an administrator has created to the owner of the directory, who must be able to read it. Anybody else already
/// owns what they create, so a failure means nothing.
fn give_to_owner(path: &Path, directory: &Path) {
    if let (Ok(made), Ok(owner)) = (std::fs::metadata(path), std::fs::metadata(directory))
        && (made.uid(), made.gid()) != (owner.uid(), owner.gid())
    {
        let _ = std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()));
    }
}
