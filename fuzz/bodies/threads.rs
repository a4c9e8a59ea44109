//! Trees of messages. Every two octets of the input are a message: its id and the one it answers, out of few ids, so that
//! loops, duplicates and orphans are frequent.

use postrider::foundations::mail::BaseSubject;
use postrider::foundations::wire::imap::ThreadAlgorithm;
use postrider::services::search::{Forest, Letter, Threader};

const SUBJECTS: [&str; 4] = ["", "lunch", "Re: lunch", "[list] Fwd: Re: lunch (fwd)"];

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let base = BaseSubject::of(&text);
    assert!(!BaseSubject::of(&base.key()).is_reply_or_forward, "{text:?} -> {:?}", base.key());
    let messages: Vec<&[u8]> = data.chunks_exact(2).collect();
    for algorithm in [ThreadAlgorithm::OrderedSubject, ThreadAlgorithm::References, ThreadAlgorithm::Refs] {
        let mut threader = Threader::new(algorithm, messages.len());
        for message in &messages {
            let (who, whom) = (message[0], message[1]);
            let id = [b'a' + who % 16];
            let references: [&[u8]; 2] = [&[b'a' + whom % 16], &[b'a' + whom / 16]];
            threader.add(Letter {
                message_id: (who % 17 != 0).then_some(&id[..]),
                references: references.into_iter().take(usize::from(who / 64)),
                subject: SUBJECTS[usize::from(whom % 4)],
                sent: i64::from(who),
            });
        }
        everybody_once(&threader.finish(), messages.len());
    }
}

fn everybody_once(forest: &Forest, messages: usize) {
    let mut seen = vec![false; messages];
    let mut nodes = forest.roots.clone();
    while let Some(node) = nodes.pop() {
        nodes.extend(forest.children(node));
        if let Some(message) = forest.message(node) {
            assert!(!std::mem::replace(&mut seen[message], true), "message {message} is there twice");
        }
    }
    assert!(seen.iter().all(|seen| *seen), "a message is missing: {seen:?}");
}
