//! COMPRESS (RFC 4978).

use crate::foundations::wire::imap::encode::Condition;
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::serve::Conversation;

/// Begins to compress. The tagged OK goes out as it is, everything behind it compressed.
pub async fn run(talk: &mut Conversation, tag: &str, mechanism: &str) -> Outcome {
    if mechanism != "DEFLATE" {
        return Err(Trouble::bad("DEFLATE is the only mechanism"));
    }
    if talk.link.is_compressed() {
        return Err(Trouble::coded("COMPRESSIONACTIVE", "The connection is compressed already"));
    }
    if !talk.settings.compress {
        return Err(Trouble::coded("CANNOT", "Compression is switched off here"));
    }
    talk.link.out.tagged(tag, Condition::Ok, None, "Compression begins");
    talk.link.compress().await?;
    Ok(Done::silent())
}
