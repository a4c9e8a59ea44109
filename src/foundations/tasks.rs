//! Tracked tasks: all background work can be told to stop and waited for.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A group of tasks with a common end. Cloning gives another handle to the same group.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// An empty group.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a task in the group. It should watch [`Tasks::stopping`] and end soon after it resolves.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns, so that every task is tracked")]
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(self.tracker.track_future(task))
    }

    /// Runs a duty that others rely on as long as the process lives. If it panics, it is restarted after a pause, which
    /// grows with each further panic in quick succession. `name` identifies it in the log.
    pub fn keep<F>(&self, name: &'static str, duty: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let tasks = self.clone();
        self.spawn(async move {
            let mut pause = FIRST_PAUSE;
            loop {
                let begun = Instant::now();
                if AssertUnwindSafe(duty()).catch_unwind().await.is_ok() {
                    return;
                }
                if begun.elapsed() > LONGEST_PAUSE {
                    pause = FIRST_PAUSE;
                }
                log::error!(duty = name, seconds = pause.as_secs(); "{name} ended because of a bug in this program; restarting it");
                tokio::select! {
                    () = tasks.stopping() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }

    /// Resolves when the group is told to stop.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Whether the group has been told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// A token that is cancelled when the group is told to stop.
    pub fn token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// How many tasks run.
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether no task runs.
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }

    /// Tells every task to stop and waits for them at most `patience`; whether all have ended.
    pub async fn stop(&self, patience: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(patience, self.tracker.wait()).await.is_ok()
    }
}

/// Pause before restarting a duty that panicked: after the first panic, and after many.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long a task may keep its thread to itself.
const TURN: Duration = Duration::from_millis(2);

/// A conversation's time on its thread. A client that sends many commands at once never makes its task wait: octets
/// that have already arrived, or that a few decompress into, involve no I/O at which the runtime would switch tasks.
#[derive(Debug)]
pub struct Turn {
    since: Instant,
}

impl Turn {
    /// Begins now.
    pub fn begin() -> Self {
        Self { since: Instant::now() }
    }

    /// Yields to other tasks when this one has used up its time.
    pub async fn share(&mut self) {
        if self.since.elapsed() >= TURN {
            tokio::task::yield_now().await;
            self.since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_duty_that_panics_begins_anew() {
        let (tasks, begun) = (Tasks::new(), std::sync::Arc::new(AtomicU32::new(0)));
        let (stopping, count) = (tasks.clone(), std::sync::Arc::clone(&begun));
        let (at_work, mut comes) = tokio::sync::mpsc::channel(1);
        tasks.keep("a duty", move || {
            let (tasks, at_work) = (stopping.clone(), at_work.clone());
            let n = count.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(n > 0, "the first time it breaks down, as it shall");
                at_work.send(()).await.unwrap();
                tasks.stopping().await;
            }
        });
        tokio::time::timeout(Duration::from_secs(60), comes.recv()).await.unwrap().unwrap();
        assert!(tasks.stop(Duration::from_secs(60)).await, "one that ends by itself does not begin anew");
        assert_eq!(begun.load(Ordering::SeqCst), 2);
    }

    /// Even on a single thread, a task that always has work leaves room for another.
    #[tokio::test]
    async fn a_busy_task_gives_way() {
        let heard = std::sync::Arc::new(AtomicBool::new(false));
        let tasks = Tasks::new();
        let other = std::sync::Arc::clone(&heard);
        tasks.spawn(async move { other.store(true, Ordering::SeqCst) });
        let (begun, mut turn) = (Instant::now(), Turn::begin());
        while !heard.load(Ordering::SeqCst) {
            assert!(begun.elapsed() < Duration::from_secs(10), "nobody else had a turn");
            turn.share().await;
        }
        assert!(begun.elapsed() >= TURN, "a task that has just begun gives way");
    }
}
