//! Certificates that wait, and the old ones kept meanwhile: their files have been overwritten, and a restart must not
//! forget what the DNS vouches for.

use std::path::{Path, PathBuf};

use super::exchange::Waited;
use super::state::{Standing, State};
use super::{CertificateFiles, Loaded, load};
use crate::foundations::clock::Timestamp;
use crate::foundations::files;
use crate::foundations::hexadecimal::hexadecimal;

/// A certificate that waits until the DNS has its key.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) certificate: Loaded,
    pub(super) since: Timestamp,
    /// The names in the DNS that lack its key; empty while it only settles.
    pub(super) missing: Vec<String>,
    pub(super) waited: Waited,
    /// Whether the old one was found in its file at the start.
    pub(super) taken_up: bool,
}

impl Held {
    /// As it waits from now on, or goes on as before.
    pub(super) fn begin(certificate: Loaded, before: Option<&Self>, now: Timestamp) -> Self {
        let since = before.map_or(now, |before| before.since);
        let taken_up = before.is_some_and(|before| before.taken_up);
        Self { certificate, since, missing: Vec::new(), waited: Waited::default(), taken_up }
    }

    /// Whether another role has put it in force meanwhile and let go of the old one. This one may have no DNS to ask.
    pub(super) fn is_taken_elsewhere(&self, state: &Path) -> bool {
        self.taken_up && !place(state, &self.certificate.file).exists()
    }

    /// The records to publish beside those that are there.
    pub(super) fn publish(&self) -> Vec<String> {
        self.missing.iter().map(|at| record(at, &self.certificate)).collect()
    }

    pub(super) fn state(&self) -> State {
        State {
            standing: Standing::HeldBack,
            held_since: Some(self.since),
            publish: self.publish(),
            ..State::of(&self.certificate)
        }
    }
}

/// The record of a certificate's key, as a zone file has it.
pub(super) fn record(at: &str, certificate: &Loaded) -> String {
    format!("{at}. IN TLSA 3 1 1 {}", certificate.public_key())
}

/// Where the old certificate of a file is kept.
fn place(state: &Path, file: &Path) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, file.as_os_str().as_bytes());
    let name = hexadecimal(&digest.as_ref()[..8]);
    state.join("kept").join(format!("{name}.pem"))
}

/// Keeps the certificate in force where its file has another one. A role that may not write there goes on without: what
/// it loses is the old certificate after a restart.
pub(super) fn keep(state: &Path, old: &Loaded) {
    let path = place(state, &old.file);
    if path.exists() {
        return;
    }
    let kept = files::create_directory(&state.join("kept"), 0o750)
        .and_then(|()| files::write_durable(&path, old.pem.expose().as_bytes(), 0o640));
    if let Err(error) = kept {
        log::warn!(
            error:% = error;
            "The certificate in force cannot be kept in a file; after a restart the new one is served, known to the DNS or not"
        );
    }
}

/// Takes the kept one away, when it is not needed any more.
pub(super) fn forget(state: &Path, file: &Path) {
    // Another role may have done it, or the only one that may.
    let _ = std::fs::remove_file(place(state, file));
}

/// At a start: for files whose old certificate was kept, that one goes on and the file's waits.
pub(super) fn take_up(state: &Path, from_files: Vec<Loaded>, now: Timestamp) -> (Vec<Loaded>, Vec<Held>) {
    let (mut loaded, mut held) = (Vec::new(), Vec::new());
    for certificate in from_files {
        let path = place(state, &certificate.file);
        let kept = if path.exists() { load(&CertificateFiles { cert: path.clone(), key: path }).ok() } else { None };
        match kept.filter(|kept| kept.leaf() != certificate.leaf() && kept.not_after > now && !certificate.temporary) {
            Some(kept) => {
                loaded.push(Loaded { file: certificate.file.clone(), ..kept });
                held.push(Held { taken_up: true, ..Held::begin(certificate, None, now) });
            }
            None => {
                forget(state, &certificate.file);
                loaded.push(certificate);
            }
        }
    }
    (loaded, held)
}
