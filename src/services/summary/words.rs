//! The summary as people read it.

use std::fmt;

use super::Summary;
use crate::foundations::clock::Timestamp;
use crate::foundations::counted::{amount, counted};
use crate::services::overview::Talker;

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (spam, flow) = (&self.spam, &self.spam.flow);
        writeln!(f, "{} from {} to {}", self.hostname, minute(spam.since), minute(spam.until))?;
        if !self.attention.is_empty() {
            writeln!(f, "\nNeeds attention")?;
            self.attention.iter().try_for_each(|told| writeln!(f, "  - {told}"))?;
        }
        writeln!(f, "\nMail")?;
        for (what, number) in [
            ("messages received", flow.received),
            ("delivered to mailboxes", flow.delivered),
            ("passed on to other servers", flow.relayed),
            ("attempts to be repeated", flow.deferred),
            ("recipients given up", flow.failed),
            ("put among junk or into quarantine", flow.junk),
            ("refused as spam", flow.spam),
            ("clients, recipients and messages refused", flow.refused),
        ] {
            writeln!(f, "  {number:>9}  {what}")?;
        }
        writeln!(f, "  {:>8.1} %  of it was unwanted", spam.unwanted_percent)?;
        if !spam.refusals.is_empty() {
            writeln!(f, "\nRefused")?;
            for refusal in spam.refusals.iter().take(10) {
                writeln!(f, "  {:>9}  {}: {}", refusal.number, refusal.kind, refusal.reason)?;
            }
        }
        self.queue(f)?;
        talkers(f, "Top senders", &self.senders)?;
        talkers(f, "Top recipients", &self.recipients)?;
        self.room(f)?;
        self.backups(f)
    }
}

impl Summary {
    fn queue(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = &self.queue.queue;
        writeln!(f, "\nQueue")?;
        writeln!(
            f,
            "  {:>9}  {}; recipients: {} waiting, {} held, {} in quarantine",
            queue.entries,
            if queue.entries == 1 { "message" } else { "messages" },
            queue.waiting,
            queue.held,
            queue.quarantined
        )?;
        if let Some(oldest) = queue.oldest {
            writeln!(f, "             the oldest came at {}", minute(oldest))?;
        }
        for backlog in queue.destinations.iter().take(10) {
            let reply = backlog.last_reply.as_deref().unwrap_or("not tried yet");
            writeln!(f, "  {:>9}  {}: {reply}", backlog.waiting + backlog.held, backlog.destination)?;
        }
        Ok(())
    }

    fn backups(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nBackups")?;
        if self.backups.runs.is_empty() {
            writeln!(f, "             none has ever been made")?;
        }
        for run in &self.backups.runs {
            let result = match (&run.problem, run.succeeded_at) {
                (None, _) => "well".to_owned(),
                (Some(problem), Some(at)) => format!("failed: {problem}; the last success was at {}", minute(at)),
                (Some(problem), None) => format!("failed: {problem}"),
            };
            write!(f, "  {:>9}  at {}: {result}", run.what.word(), minute(run.at))?;
            if let Some(recovery) = run.recovery_milliseconds {
                write!(f, ", the first login after {}.{} s", recovery / 1000, recovery % 1000 / 100)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }

    fn room(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let boxes = &self.mailboxes;
        writeln!(f, "\nStorage")?;
        writeln!(
            f,
            "  {:>9}  in {} of {}",
            amount(boxes.stored),
            counted(boxes.messages, "message"),
            counted(boxes.users, "user")
        )?;
        for mailbox in boxes.mailboxes.iter().take(20) {
            let quota = mailbox.quota.map(amount).unwrap_or_default();
            writeln!(f, "  {:>9}  {} nearly full: of {quota}", amount(mailbox.stored), mailbox.address)?;
        }
        for disk in &self.disks {
            writeln!(f, "  {:>9}  free of {} for {}", amount(disk.free), amount(disk.size), disk.purpose)?;
        }
        for problem in &self.problems {
            writeln!(f, "             {problem}")?;
        }
        Ok(())
    }
}

fn talkers(f: &mut fmt::Formatter<'_>, title: &str, talkers: &[Talker]) -> fmt::Result {
    if talkers.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}")?;
    for talker in talkers {
        let address = if talker.address.is_empty() { "<>" } else { &talker.address };
        writeln!(f, "  {:>9}  {address}", talker.number)?;
    }
    Ok(())
}

fn minute(at: Timestamp) -> impl fmt::Display {
    at.local().format("%Y-%m-%d %H:%M")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::overview::{Flow, QueueState};
    use crate::services::summary::{BackupReport, MailboxReport, QueueReport, SpamReport};

    #[test]
    fn a_file_system_that_does_not_answer_is_no_gap() {
        let at = Timestamp::EPOCH;
        let flow = Flow::default();
        let spam =
            SpamReport { since: at, until: at, flow, unwanted_percent: 0.0, refusals: Vec::new(), steps: Vec::new() };
        let summary = Summary {
            hostname: "mail.example.test".parse().unwrap(),
            attention: vec!["Make room".to_owned()],
            spam,
            queue: QueueReport { at, queue: QueueState::default() },
            mailboxes: MailboxReport { at, users: 0, stored: 0, messages: 0, mailboxes: Vec::new() },
            senders: Vec::new(),
            recipients: Vec::new(),
            disks: Vec::new(),
            problems: vec!["the file system of `/mail` does not answer".to_owned()],
            backups: BackupReport { at, runs: Vec::new() },
        };
        assert!(summary.to_string().contains("\n\nNeeds attention\n  - Make room\n\nMail\n"), "{summary}");
        assert!(
            summary.to_string().contains("\n             the file system of `/mail` does not answer\n"),
            "{summary}"
        );
    }
}
