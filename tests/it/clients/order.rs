//! SORT and THREAD give the same results as Dovecot: the same mail in both, the same queries to both.

use std::fmt::Write as _;

use tokio::process::Command;

use super::moving::{MAIL_USER, USER, dovecot, folder, user_at};
use crate::harness::tools::assert_success;
use crate::harness::{Host, Imap};

/// How many messages both have.
const MESSAGES: u32 = 300;

/// The same numbers in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

const SUBJECTS: &[&str] = &[
    "lunch",
    "Lunch",
    "LUNCH  today",
    "lunch today",
    "Re: lunch",
    "RE: Lunch",
    "Fwd: lunch",
    "FW: Re: lunch",
    "[list] lunch",
    "[list] Re: lunch",
    "Re: [list] lunch",
    "[a][b] lunch",
    "[list]",
    "Re: [list]",
    "lunch (fwd)",
    "[Fwd: lunch]",
    "[fwd: Re: lunch today]",
    "Re[3]: lunch",
    "Re [x] : report",
    "report",
    "Re: report (fwd) (FWD)",
    "=?utf-8?q?Gr=C3=BC=C3=9Fe?=",
    "Re: =?iso-8859-1?q?gr=FC=DFe?=",
    "=?utf-8?b?UmU6IGx1bmNo?=",
    "",
    "Re:",
    "  ",
    "Re lunch",
    "Reply: lunch",
    "zebra",
    "\u{e4}pfel",
    "Apfel",
    "10",
    "9",
    "Re: 9",
    "[unclosed lunch",
    "a]b",
    "AW: lunch",
];

const NAMES: &[&str] = &[
    "ann@example.test",
    "Ann <ann@example.test>",
    "\"Zoe Q\" <zoe@example.test>",
    "bob@b.example, ann@example.test",
    "=?utf-8?q?=C3=84rger?= <anger@example.test>",
    "friends: ann@example.test, bob@b.example;",
    "Bob <BOB@b.example>",
    "carl@example.test (Carl C)",
    "\"\" <dora@example.test>",
    "empty:;",
];

const DATES: &[&str] = &[
    "Date: Tue, 14 Nov 2023 22:13:20 +0000",
    "Date: Tue, 14 Nov 2023 23:13:20 +0100",
    "Date: 15 Nov 2023 01:00:00 -0500",
    "Date: Mon, 13 Nov 2023 09:00 +0000",
    "Date: nonsense",
    "",
    "Date: Sun, 1 Jan 2023 00:00:00 GMT",
];

/// One of several kinds of message, and its arrival time.
fn letter(chance: &mut Chance, number: u32) -> (String, String) {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to memory cannot fail.
        let _ = write!(text, "{name}: {value}\r\n");
    };
    let id = |chance: &mut Chance| format!("<{}@id.example>", chance.below(260));
    if chance.below(12) > 0 {
        line("Subject", chance.one_of(SUBJECTS));
    }
    line("From", chance.one_of(NAMES));
    if chance.below(5) > 0 {
        line("To", chance.one_of(NAMES));
    }
    if chance.below(3) == 0 {
        line("Cc", chance.one_of(NAMES));
    }
    match chance.below(14) {
        0 => {}
        1 => line("Message-ID", "no brackets"),
        2 => line("Message-ID", &id(chance)),
        3 => line("Message-ID", &format!("<\"{number}\"@id.example>")),
        _ => line("Message-ID", &format!("<{number}@id.example>")),
    }
    match chance.below(8) {
        0..=2 => {}
        3 => line("In-Reply-To", &id(chance)),
        4 => line("In-Reply-To", &format!("Your message of Monday {} {}", id(chance), id(chance))),
        // Not `<@x>`: Dovecot takes that for a message id, though RFC 5322 §3.6.4 wants something before the sign.
        5 => line("References", &format!("junk {} <broken> <> {}", id(chance), id(chance))),
        _ => {
            let several: Vec<String> = (0..=chance.below(5)).map(|_| id(chance)).collect();
            line("References", &several.join("\r\n "));
        }
    }
    if chance.below(4) == 0 {
        let date = chance.one_of(DATES);
        if !date.is_empty() {
            let _ = write!(text, "{date}\r\n");
        }
    } else {
        let (day, hour) = (chance.below(28) + 1, chance.below(24));
        let _ = write!(text, "Date: {day} Oct 2023 {hour:02}:{:02}:00 +0000\r\n", chance.below(60));
    }
    let arrived = format!("{:02}-Nov-2023 {:02}:00:00 +0000", chance.below(28) + 1, chance.below(24));
    (format!("{text}\r\n{}\r\n", "x".repeat(chance.below(30))), arrived)
}

async fn fill(imap: &mut Imap) {
    let mut chance = Chance(3);
    imap.ok("CREATE Many").await;
    for number in 0..MESSAGES {
        let (letter, arrived) = letter(&mut chance, number);
        imap.ok(&format!("APPEND Many \"{arrived}\" {{{}+}}\r\n{letter}", letter.len())).await;
    }
    imap.ok("SELECT Many").await;
}

const QUESTIONS: &[&str] = &[
    "SORT (ARRIVAL) UTF-8 ALL",
    "SORT (REVERSE ARRIVAL) UTF-8 ALL",
    "SORT (DATE) UTF-8 ALL",
    "SORT (REVERSE DATE) US-ASCII ALL",
    "SORT (SIZE) UTF-8 ALL",
    "SORT (REVERSE SIZE SUBJECT) UTF-8 ALL",
    "SORT (SUBJECT) UTF-8 ALL",
    "SORT (REVERSE SUBJECT DATE) UTF-8 ALL",
    "SORT (FROM) UTF-8 ALL",
    "SORT (TO REVERSE DATE) UTF-8 ALL",
    "SORT (CC FROM TO) UTF-8 ALL",
    "SORT (DISPLAYFROM) UTF-8 ALL",
    "SORT (REVERSE DISPLAYTO ARRIVAL) UTF-8 ALL",
    "UID SORT (SUBJECT) UTF-8 FROM ann",
    "SORT (SUBJECT) UTF-8 FROM nobody",
    "SORT RETURN (MIN MAX COUNT) (SUBJECT) UTF-8 ALL",
    "SORT RETURN (ALL) (REVERSE ARRIVAL) UTF-8 20:40",
    "SORT RETURN () (SUBJECT) UTF-8 ALL",
    "THREAD REFERENCES UTF-8 ALL",
    "UID THREAD REFERENCES UTF-8 ALL",
    "THREAD REFERENCES UTF-8 1:50",
    "THREAD ORDEREDSUBJECT UTF-8 ALL",
    "THREAD ORDEREDSUBJECT UTF-8 SUBJECT lunch",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sort_and_thread_answer_as_dovecot_does() {
    let place = folder();
    let mail = place.path().join("mail");
    std::fs::create_dir(&mail).unwrap();
    assert_success("chown", &Command::new("chown").arg(MAIL_USER).arg(&mail).output().await.unwrap());
    let Some((_running, port)) = dovecot(place.path(), &mail).await else { return };
    let host = Host::start().user(USER).real_time().await;
    let (mut theirs, mut ours) = (user_at(port).await, host.imap(USER).await);
    fill(&mut theirs).await;
    fill(&mut ours).await;
    let mut differences = Vec::new();
    for question in QUESTIONS {
        // The tags are the same, since both have received equally many commands.
        let tagless = |lines: Vec<String>| -> Vec<String> {
            let without = |line: String| line.split_once("\") ").map_or(line.clone(), |(_, rest)| rest.to_owned());
            lines.into_iter().map(without).collect()
        };
        let (theirs, ours) = (theirs.ok(question).await, ours.ok(question).await);
        let (theirs, ours) = (tagless(theirs.untagged), tagless(ours.untagged));
        if theirs != ours {
            differences.push(format!("{question}\n  Dovecot {}\n  ours    {}", theirs.join("|"), ours.join("|")));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    host.stop().await;
}
