//! Going through the headings of messages (the fields that SORT and THREAD need), from the cached summaries.

use super::Hit;
use super::find::blocking;
use crate::foundations::mail::{Heading, Summary};
use crate::storage::mailbox::{self, Row, Unreadable, View};

/// Headings read in one go on a blocking thread.
const BATCH: usize = 1_024;

/// Something that is computed from headings.
pub(super) trait HeadingVisitor: Send + 'static {
    /// Handles one message. Its heading is `None` when the message is gone by now or cannot be read.
    fn visit(&mut self, row: &Row, heading: Option<&Heading<'_>>);
}

/// Shows the headings of all messages to a visitor, in their order.
///
/// # Errors
/// The store cannot read its summaries.
pub(super) async fn visit_headings<V: HeadingVisitor>(
    mut visitor: V,
    hits: &[Hit],
    view: &View,
) -> Result<V, mailbox::Error> {
    let mut stream = view.summaries(hits.iter().map(|hit| hit.uid).collect());
    let mut unreadable = Unreadable::default();
    for batch in hits.chunks(BATCH) {
        let mut known = Vec::with_capacity(batch.len());
        for hit in batch {
            let Some(row) = view.row(hit.sequence) else { continue };
            known.push((row, unreadable.pass(stream.next().await)?.unwrap_or_default()));
        }
        visitor = blocking(move || {
            for (row, stored) in &known {
                visitor.visit(row, Summary::heading(stored).as_ref());
            }
            visitor
        })
        .await?;
    }
    unreadable.log(view);
    Ok(visitor)
}

/// RFC 5256 §2.2: when a message was sent, in seconds, or when it arrived, if its Date field does not say.
pub(super) fn sent(row: &Row, heading: Option<&Heading<'_>>) -> i64 {
    match heading.and_then(|heading| heading.sent) {
        Some(sent) => sent.seconds,
        None => row.internal_date.unix_seconds(),
    }
}
