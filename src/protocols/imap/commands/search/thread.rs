//! THREAD (RFC 5256 §3): what is found, in trees.

use super::{condition_of, failed, found};
use crate::foundations::wire::imap::Thread;
use crate::protocols::imap::link::Link;
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::serve::Conversation;
use crate::services::search::{Forest, thread};

/// Finds messages and tells them in trees.
pub async fn run(talk: &mut Conversation, command: Thread) -> Outcome {
    let condition = condition_of(talk, &command.search)?;
    let (_, selected) = talk.state.selected_mut()?;
    let threaded = async {
        let hits = found(&condition, &selected.view, talk.settings.search_batch, &mut talk.link).await?;
        let forest = thread(command.algorithm, &hits, &selected.view).await?;
        Ok((hits, forest))
    };
    let (hits, forest) = match threaded.await {
        Ok(threaded) => threaded,
        Err(error) => return Err(failed(talk, &command.search, &error)),
    };
    let numbers: Vec<u32> = hits.iter().map(|hit| hit.number(command.search.addressing)).collect();
    tell(&forest, &numbers, &mut talk.link).await?;
    Ok(Done::new("Threaded"))
}

/// What is written next.
enum Step {
    Open(u32),
    Close,
}

/// ```abnf
/// thread-data    = "THREAD" [SP 1*thread-list]
/// thread-list    = "(" (thread-members / thread-nested) ")"
/// thread-members = nz-number *(SP nz-number) [SP thread-nested]
/// thread-nested  = 2*thread-list
/// ```
async fn tell(forest: &Forest, numbers: &[u32], link: &mut Link) -> Result<(), Trouble> {
    link.out.raw(if forest.roots.is_empty() { "* THREAD" } else { "* THREAD " });
    let mut steps: Vec<Step> = forest.roots.iter().rev().map(|root| Step::Open(*root)).collect();
    while let Some(step) = steps.pop() {
        link.relieve().await?;
        let Step::Open(node) = step else {
            link.out.raw(")");
            continue;
        };
        link.out.raw("(");
        let (mut node, mut separator) = (node, "");
        loop {
            if let Some(number) = forest.message(node).and_then(|message| numbers.get(message)) {
                link.out.raw(separator).number(*number);
                separator = " ";
            }
            // What has only one answer stands in one list with it.
            match forest.children(node) {
                [only] => node = *only,
                children => {
                    steps.push(Step::Close);
                    if !children.is_empty() {
                        link.out.raw(separator);
                    }
                    steps.extend(children.iter().rev().map(|child| Step::Open(*child)));
                    break;
                }
            }
        }
    }
    link.out.line_end();
    Ok(())
}
