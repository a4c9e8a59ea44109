//! Certificates that wait, and the old ones that stay in force meanwhile. Their files have been overwritten, but after a restart
//! the certificate that the DNS vouches for must still be known.

use std::path::{Path, PathBuf};

use super::replacement::Waited;
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
    /// The names in the DNS that lack its key; empty while only old records expire from caches.
    pub(super) missing: Vec<String>,
    pub(super) waited: Waited,
    /// Whether the old one was found in its file at the start.
    pub(super) taken_up: bool,
}

impl Held {
    /// Starts to wait, or goes on waiting as before.
    pub(super) fn begin(certificate: Loaded, before: Option<&Self>, now: Timestamp) -> Self {
        let since = before.map_or(now, |before| before.since);
        let taken_up = before.is_some_and(|before| before.taken_up);
        Self { certificate, since, missing: Vec::new(), waited: Waited::default(), taken_up }
    }

    /// Whether another role has put it in force meanwhile and dropped the old one. This role may have no DNS to ask.
    pub(super) fn is_taken_elsewhere(&self, state: &Path) -> bool {
        self.taken_up && !place(state, &self.certificate.file).exists()
    }

    /// The records to publish in addition to those that are there.
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

/// The record of a certificate's key, in zone file format.
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

/// Keeps a copy of the certificate in force if its file has another one. A role that may not write there goes on without; it
/// only loses the old certificate at a restart.
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
            "The certificate in force cannot be saved in a file; after a restart the new one is served, whether the DNS has its key or not"
        );
    }
}

/// Removes the copy when it is no longer needed.
pub(super) fn forget(state: &Path, file: &Path) {
    // Another role may have done it, perhaps the only one that is allowed to.
    let _ = std::fs::remove_file(place(state, file));
}

/// At the start: where the old certificate was kept, it stays in force, and the one in the file waits.
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
