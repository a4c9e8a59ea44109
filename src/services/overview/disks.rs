//! The free space on file systems.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Disk;

/// How long a file system is waited for. One of the network may answer in hours, or never.
const PATIENCE: Duration = Duration::from_secs(2);

/// Directories whose file systems are watched. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Disks(Arc<[Watched]>);

struct Watched {
    /// What is kept there.
    purpose: &'static str,
    path: PathBuf,
    /// Held by the caller until there is an answer: a file system that hangs takes one thread, however often it is
    /// asked.
    turn: Arc<Semaphore>,
}

/// What file systems have answered.
#[derive(Debug, Default)]
pub struct Answers {
    /// Those that have; a directory that does not exist (yet) has none.
    pub disks: Vec<Disk>,
    /// Why others are missing, in sentences.
    pub problems: Vec<String>,
}

/// Size and what is free for us, in octets.
type Room = (u64, u64);

impl Disks {
    /// Watches the file systems of these directories, by what they are for.
    pub fn new(places: impl IntoIterator<Item = (&'static str, PathBuf)>) -> Self {
        let watched =
            |(purpose, path): (&'static str, PathBuf)| Watched { purpose, path, turn: Arc::new(Semaphore::new(1)) };
        Self(places.into_iter().map(watched).collect())
    }

    /// Asks all of them.
    pub async fn read(&self) -> Answers {
        self.read_by(PATIENCE, room).await
    }

    async fn read_by<L>(&self, patience: Duration, look: L) -> Answers
    where
        L: Fn(&Path) -> Option<Room> + Clone + Send + 'static,
    {
        let mut answers = Answers::default();
        let asked = self.0.iter().map(|watched| timeout(patience, watched.ask(look.clone())));
        for (watched, answer) in self.0.iter().zip(join_all(asked).await) {
            match answer {
                Ok(Some((size, free))) => answers.disks.push(Disk { purpose: watched.purpose, size, free }),
                Ok(None) => {}
                Err(_) => {
                    answers.problems.push(format!("the file system of `{}` does not answer", watched.path.display()));
                }
            }
        }
        answers
    }
}

impl Watched {
    async fn ask(&self, look: impl Fn(&Path) -> Option<Room> + Send + 'static) -> Option<Room> {
        let turn = Arc::clone(&self.turn).acquire_owned().await.ok()?;
        let path = self.path.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            look(&path)
        });
        asked.await.ok()?
    }
}

fn room(path: &Path) -> Option<Room> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some((found.f_blocks.saturating_mul(found.f_frsize), found.f_bavail.saturating_mul(found.f_frsize)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn what_hangs_takes_one_thread_and_is_told() {
        let disks = Disks::new([("mailboxes", PathBuf::from("/")), ("queue", PathBuf::from("/hangs"))]);
        let (wire, hanging) = (Arc::new(Mutex::new(())), Arc::new(AtomicU32::new(0)));
        let look = {
            let (wire, hanging) = (Arc::clone(&wire), Arc::clone(&hanging));
            move |path: &Path| {
                if path == Path::new("/hangs") {
                    hanging.fetch_add(1, Ordering::SeqCst);
                    drop(wire.blocking_lock());
                }
                Some((2, 1))
            }
        };
        {
            let cut = wire.lock().await;
            for _ in 0..3 {
                // Whether the other one answers within this time does not matter here.
                let answers = disks.read_by(Duration::from_millis(20), look.clone()).await;
                assert!(answers.problems.iter().any(|problem| problem.contains("`/hangs`")), "{answers:?}");
            }
            assert!(hanging.load(Ordering::SeqCst) <= 1, "one call waits for all");
            drop(cut);
        }
        let answers = disks.read_by(Duration::from_secs(3_600), look).await;
        assert_eq!((answers.disks.len(), answers.problems.len()), (2, 0), "{answers:?}");
    }

    #[tokio::test]
    async fn the_room_is_that_of_the_file_system() {
        let disks = Disks::new([("mailboxes", PathBuf::from("/")), ("queue", PathBuf::from("/none/such"))]);
        let Answers { disks, problems } = disks.read_by(Duration::from_secs(3_600), room).await;
        assert!(problems.is_empty() && disks.len() == 1, "{disks:?}");
        assert!(disks[0].size >= disks[0].free && disks[0].size > 0, "{disks:?}");
    }
}
