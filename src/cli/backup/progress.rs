use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::termios::tcgetwinsize;

use crate::cli::output::Output;
use crate::foundations::counted::{counted, rounded};
use crate::services::backup::Progress;

/// A progress bar on a terminal, drawn until it is dropped.
pub(super) struct ProgressBar {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

const WIDTH: u64 = 30;
const PAUSE: Duration = Duration::from_millis(100);

impl ProgressBar {
    /// Starts drawing if standard error is a terminal. `expected` is the number of messages there will be.
    pub(super) fn start(output: Output, what: &'static str, progress: &Arc<Progress>, expected: Option<u64>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let looks = matches!(output, Output::People) && std::io::stderr().is_terminal();
        let thread = looks.then(|| {
            let (progress, stop) = (Arc::clone(progress), Arc::clone(&stop));
            std::thread::spawn(move || {
                // The end is drawn too.
                loop {
                    let is_over = stop.load(Ordering::Relaxed);
                    let text = format!("{what} {}", line(&progress, expected));
                    eprint!("\r\x1b[K{}", within(&text, tcgetwinsize(std::io::stderr()).map_or(0, |size| size.ws_col)));
                    let _ = std::io::stderr().flush();
                    if is_over {
                        break;
                    }
                    std::thread::park_timeout(PAUSE);
                }
                eprint!("\r\x1b[K");
            })
        });
        Self { stop, thread }
    }
}

fn line(progress: &Progress, expected: Option<u64>) -> String {
    let (messages, octets) = (progress.messages(), rounded(progress.octets()));
    let counted = counted(messages, "message");
    match expected.filter(|expected| *expected > 0) {
        Some(expected) => {
            let filled = usize::try_from((messages * WIDTH / expected).min(WIDTH)).unwrap_or(0);
            let bar = "#".repeat(filled);
            let percent = (messages * 100 / expected).min(100);
            format!("[{bar:<30}] {percent:>3} %  {counted}, {octets}")
        }
        None => format!("{counted}, {octets}"),
    }
}

/// As much of a text as fits one line of the given number of columns; 0 if that number is unknown. Text wrapped into a
/// second line would stay on the screen.
fn within(text: &str, columns: u16) -> &str {
    match usize::from(columns) {
        0 => text,
        // The last column stays free: some terminals start a new line after it.
        columns => text.get(..columns - 1).unwrap_or(text),
    }
}

impl Drop for ProgressBar {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_and_stay_within_their_bounds() {
        let progress = Progress::default();
        progress.add(50, 2048);
        assert_eq!(line(&progress, Some(100)), format!("[{:<30}]  50 %  50 messages, 2K", "#".repeat(15)));
        assert_eq!(line(&progress, Some(10)), format!("[{}] 100 %  50 messages, 2K", "#".repeat(30)));
        assert_eq!(line(&progress, None), "50 messages, 2K");
    }

    #[test]
    fn narrow_terminals_show_the_beginning() {
        assert_eq!(within("backup [##  ]", 8), "backup ");
        assert_eq!(within("backup", 80), "backup");
        assert_eq!(within("backup", 0), "backup");
    }
}
