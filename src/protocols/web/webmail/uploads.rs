//! Attachments that have been uploaded and are not in a draft yet. In memory: a draft is saved within seconds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde::Deserialize;

use super::Room;
use super::answer::{Answer, Asked, Octets, Problem};
use super::door::Reader;
use super::html::PICTURES;
use super::reasons;
use crate::foundations::clock::Timestamp;
use crate::protocols::web::bodies::Arrived;
use crate::protocols::web::token::fresh;

/// Uploads, by an unguessable name.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<HashMap<String, Upload>>);

/// One file.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    account: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) octets: Bytes,
    at: Timestamp,
}

impl Upload {
    /// Its cost: many empty files must not use up memory or time either.
    fn memory(&self) -> u64 {
        (LEAST + self.account.len() + self.name.len() + self.kind.len() + self.octets.len()) as u64
    }
}

impl Uploads {
    /// Keeps a file under a new name; `None` when there is no room for it.
    fn keep(&self, upload: Upload, per_user: u64, all: u64, time: Duration) -> Option<String> {
        let id = fresh().ok()?;
        let mut uploads = self.0.lock();
        uploads.retain(|_, known| known.at + time > upload.at);
        let own: u64 = uploads.values().filter(|known| known.account == upload.account).map(Upload::memory).sum();
        let whole: u64 = uploads.values().map(Upload::memory).sum();
        if own + upload.memory() > per_user || whole + upload.memory() > all {
            return None;
        }
        uploads.insert(id.clone(), upload);
        Some(id)
    }

    /// A file that this account has uploaded.
    pub(super) fn get(&self, account: &str, id: &str) -> Option<Upload> {
        self.0.lock().get(id).filter(|upload| upload.account == account).cloned()
    }

    /// These files are in a message now.
    pub(super) fn drop_all<'a>(&self, account: &str, ids: impl Iterator<Item = &'a str>) {
        let mut uploads = self.0.lock();
        for id in ids {
            if uploads.get(id).is_some_and(|upload| upload.account == account) {
                uploads.remove(id);
            }
        }
    }
}

/// The name of the file.
#[derive(Deserialize)]
pub(super) struct Question {
    name: String,
}

/// Takes a file: the body is its octets.
pub(super) async fn upload(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Asked(asked): Asked<Question>,
    headers: HeaderMap,
    Octets(Arrived { octets, share: _share }): Octets,
) -> Answer<Response> {
    let settings = room.needs.settings.get();
    if octets.len() as u64 > settings.attachment.get() {
        let most = settings.attachment;
        return Err(Problem::of(&reasons::FILE_TOO_LARGE).with("most", most));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let upload = Upload {
        account: reader.account.address.key(),
        name: asked.name.chars().take(LONGEST_NAME).collect(),
        kind: kind.chars().take(LONGEST_NAME).collect::<String>().to_ascii_lowercase(),
        octets,
        at: room.needs.clock.now(),
    };
    let size = upload.octets.len();
    let (per_user, all) = (settings.uploads_per_user.get(), settings.uploads.get());
    match room.uploads.keep(upload, per_user, all, settings.upload_time.duration()) {
        Some(id) => Ok((StatusCode::CREATED, Json(serde_json::json!({ "upload": id, "size": size }))).into_response()),
        None => Err(Problem::of(&reasons::NO_ROOM_FOR_UPLOADS)),
    }
}

/// Returns an uploaded picture to its uploader, so that it can be seen in a text that is being written.
pub(super) async fn show(State(room): State<Arc<Room>>, reader: Reader, Path(id): Path<String>) -> Answer<Response> {
    let found = room.uploads.get(&reader.account.address.key(), &id);
    let picture = found.and_then(|found| {
        let kind = PICTURES.into_iter().find(|kind| *kind == found.kind)?;
        Some((kind, found.octets))
    });
    let (kind, octets) = picture.ok_or_else(|| Problem::of(&reasons::NO_PICTURE))?;
    let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox")];
    Ok((reader.kept("private, max-age=3600"), headers, octets).into_response())
}

/// What an upload counts for at least, in octets: some thousands are the most that one account can have.
const LEAST: usize = 16 << 10;
/// In characters.
const LONGEST_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_bounded_and_files_are_private() {
        let (uploads, hour) = (Uploads::default(), Duration::from_secs(3_600));
        let kib = |size: u64| size << 10;
        let file = |account: &str, size: usize, at: i64| Upload {
            account: account.to_owned(),
            name: "x".to_owned(),
            kind: String::new(),
            octets: vec![0; size << 10].into(),
            at: Timestamp::from_unix_seconds(at),
        };
        let keep = |upload, per_user, all| uploads.keep(upload, kib(per_user), kib(all), hour);
        let first = keep(file("ann", 60, 0), 100, 170).unwrap();
        assert!(keep(file("ann", 60, 1), 100, 170).is_none(), "one account's share");
        let other = keep(file("bob", 70, 1), 100, 170).unwrap();
        assert!(keep(file("carl", 1, 1), 100, 170).is_none(), "all there is");
        assert!(uploads.get("ann", &first).is_some() && uploads.get("bob", &first).is_none());
        uploads.drop_all("ann", [other.as_str(), first.as_str()].into_iter());
        assert!(uploads.get("bob", &other).is_some() && uploads.get("ann", &first).is_none());
        assert!(keep(file("carl", 150, 3_602), 200, 170).is_some(), "old ones make room");
    }

    #[test]
    fn empty_files_need_room_too() {
        let (uploads, hour) = (Uploads::default(), Duration::from_secs(3_600));
        let file = || Upload {
            account: "ann".to_owned(),
            name: String::new(),
            kind: String::new(),
            octets: Bytes::new(),
            at: Timestamp::EPOCH,
        };
        let kept = (0..1_000).filter(|_| uploads.keep(file(), 1 << 20, 1 << 30, hour).is_some()).count();
        assert!((32..=64).contains(&kept), "{kept}");
    }
}
