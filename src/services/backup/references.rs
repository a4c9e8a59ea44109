//! Which objects a snapshot needs.

use super::create::{read_folder, read_record};
use super::repository::{FileContent, FileRecord, Kind, ObjectId, Repository, Snapshot};
use super::{Error, rows};

/// Calls back with each object, the kind of pack it belongs in, and its owner. A list that cannot be read is also reported, as an
/// error, and what it would have named is skipped.
pub fn each_reference(
    repository: &Repository,
    snapshot: &Snapshot,
    each: &mut dyn FnMut(ObjectId, Kind, &str),
    failed: &mut dyn FnMut(Error, &str),
) {
    rows::objects(&snapshot.database).for_each(|id| each(*id, Kind::Content, "the database"));
    for (files, what) in [(&snapshot.spool, "the queue"), (&snapshot.files, "the configuration")] {
        files.iter().flat_map(objects).for_each(|id| each(*id, Kind::Content, what));
    }
    for user in &snapshot.users {
        let whose = user.address();
        each(user.record, Kind::List, &whose);
        let record = match read_record(repository, &user.record) {
            Ok(record) => record,
            Err(error) => {
                failed(error, &whose);
                continue;
            }
        };
        record.files.iter().flat_map(objects).for_each(|id| each(*id, Kind::Content, &whose));
        for folder in &record.folders {
            folder.pages.iter().for_each(|id| each(*id, Kind::List, &whose));
            match read_folder(repository, folder) {
                Ok(messages) => {
                    let objects = messages.iter().flat_map(|message| &message.objects);
                    objects.for_each(|id| each(*id, Kind::Content, &whose));
                }
                Err(error) => failed(error, &whose),
            }
        }
    }
}

fn objects(file: &FileRecord) -> &[ObjectId] {
    match &file.content {
        FileContent::Objects(objects) => objects,
        FileContent::Link(_) => &[],
    }
}
