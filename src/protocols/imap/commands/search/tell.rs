//! Results on their way to the client: sent as they fill the output, since they may list the whole mailbox.

use std::io;

use crate::foundations::mail::ModSeq;
use crate::foundations::wire::imap::{Addressing, PartialRange};
use crate::protocols::imap::link::Link;
use crate::services::search::Hit;

/// `* SEARCH numbers` (RFC 3501 §7.2.5) or `* SORT numbers` (RFC 5256 §4), with the highest modification sequence when
/// CONDSTORE took part.
pub async fn numbers(
    response: &str,
    hits: &[Hit],
    addressing: Addressing,
    mod_seq: Option<ModSeq>,
    link: &mut Link,
) -> io::Result<()> {
    link.out.raw("* ").raw(response);
    for hit in hits {
        link.out.raw(" ").number(hit.number(addressing));
        link.relieve().await?;
    }
    if let Some(mod_seq) = mod_seq {
        link.out.raw(" (MODSEQ ").display(mod_seq).raw(")");
    }
    link.out.line_end();
    Ok(())
}

/// An ESEARCH response (RFC 4731 §3.1).
pub struct Esearch<'h> {
    /// The tag of the command it belongs to.
    pub tag: &'h str,
    /// Which numbers are told.
    pub addressing: Addressing,
    /// The first number.
    pub min: Option<u32>,
    /// The last number.
    pub max: Option<u32>,
    /// How many.
    pub count: Option<u32>,
    /// All messages, in the order of the result.
    pub all: Option<&'h [Hit]>,
    /// Some of the messages (RFC 9394): which of them.
    pub partial: Option<(PartialRange, &'h [Hit])>,
    /// The highest modification sequence among the messages returned (RFC 7162 §3.1.10).
    pub mod_seq: Option<ModSeq>,
}

impl Esearch<'_> {
    /// `* ESEARCH (TAG "tag") UID ALL 1:3 …`.
    pub async fn tell(&self, link: &mut Link) -> io::Result<()> {
        link.out.esearch(self.tag, self.addressing);
        for (word, number) in [("MIN", self.min), ("MAX", self.max), ("COUNT", self.count)] {
            if let Some(number) = number {
                link.out.raw(" ").raw(word).raw(" ").number(number);
            }
        }
        // RFC 9051 §6.4.4: no ALL when nothing was found.
        if let Some(all) = self.all.filter(|all| !all.is_empty()) {
            link.out.raw(" ALL ");
            set(all, self.addressing, link).await?;
        }
        if let Some((range, some)) = self.partial {
            link.out.raw(" PARTIAL (").display(range).raw(" ");
            match some {
                [] => _ = link.out.raw("NIL"),
                some => set(some, self.addressing, link).await?,
            }
            link.out.raw(")");
        }
        if let Some(mod_seq) = self.mod_seq {
            link.out.raw(" MODSEQ ").display(mod_seq);
        }
        link.out.line_end();
        Ok(())
    }
}

/// RFC 5267 §3.2: a set whose order is that of the result; consecutive numbers are written as a range.
async fn set(hits: &[Hit], addressing: Addressing, link: &mut Link) -> io::Result<()> {
    let follow = move |one: &Hit, next: &Hit| one.number(addressing).checked_add(1) == Some(next.number(addressing));
    let mut separator = "";
    for run in hits.chunk_by(follow) {
        link.out.raw(separator);
        match run {
            [first, .., last] => _ = link.out.number(first.number(addressing)).raw(":").number(last.number(addressing)),
            run => run.iter().for_each(|only| _ = link.out.number(only.number(addressing))),
        }
        separator = ",";
        link.relieve().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::foundations::mail::{SequenceNumber, Uid};
    use crate::foundations::net::Stream;
    use crate::foundations::wire::imap::Limits;

    fn hits(numbers: impl IntoIterator<Item = u32>) -> Vec<Hit> {
        let hit = |number| Hit {
            sequence: SequenceNumber::new(number).unwrap(),
            uid: Uid::new(number).unwrap(),
            mod_seq: ModSeq::MIN,
        };
        numbers.into_iter().map(hit).collect()
    }

    fn esearch(all: &[Hit]) -> Esearch<'_> {
        let (tag, addressing) = ("a", Addressing::Uid);
        Esearch { tag, addressing, min: None, max: None, count: None, all: Some(all), partial: None, mod_seq: None }
    }

    fn link() -> (Link, tokio::io::DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(4 << 20);
        let limits = Limits { line: 100, literal: 100, literals: 1, skip: 100 };
        (Link::new(Stream::from(ours), limits, Duration::from_secs(60)), theirs)
    }

    #[tokio::test]
    async fn results_keep_their_order_and_runs_become_ranges() {
        for (found, want) in [
            (&[][..], ""),
            (&[7], " ALL 7"),
            (&[5, 6, 7, 3, 2, 4, 5], " ALL 5:7,3,2,4:5"),
            (&[u32::MAX, 1], " ALL 4294967295,1"),
        ] {
            let (mut link, _client) = link();
            esearch(&hits(found.iter().copied())).tell(&mut link).await.unwrap();
            let said = String::from_utf8(link.out.take()).unwrap();
            assert_eq!(said, format!("* ESEARCH (TAG \"a\") UID{want}\r\n"));
        }
    }

    /// Every other message of a large mailbox: in one piece that would be megabytes.
    #[tokio::test]
    async fn a_long_answer_is_sent_as_it_is_written() {
        let hits = hits((1..=100_000).map(|number| number * 2));
        let (mut link, mut client) = link();
        esearch(&hits).tell(&mut link).await.unwrap();
        numbers("SEARCH", &hits, Addressing::Uid, None, &mut link).await.unwrap();
        assert!(link.out.len() < 100_000, "{}", link.out.len());
        link.flush().await.unwrap();
        link.close().await;
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("* ESEARCH (TAG \"a\") UID ALL 2,4,6") && lines[0].ends_with(",199998,200000"));
        assert!(lines[1].starts_with("* SEARCH 2 4 6") && lines[1].ends_with(" 199998 200000"));
    }
}
