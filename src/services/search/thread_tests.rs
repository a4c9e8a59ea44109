use super::*;

/// One message: id, references, subject, date.
type Line = (&'static str, &'static str, &'static str, i64);

fn forest(algorithm: ThreadAlgorithm, lines: &[Line]) -> Forest {
    let mut threader = Threader::new(algorithm, lines.len());
    for (id, references, subject, sent) in lines {
        let message_id = (!id.is_empty()).then_some(id.as_bytes());
        threader.add(Letter {
            message_id,
            references: references.split_ascii_whitespace().map(str::as_bytes),
            subject,
            sent: *sent,
        });
    }
    threader.finish()
}

/// Trees as text; messages are counted from 1, a missing one is `-`.
fn written(forest: &Forest) -> String {
    fn write(forest: &Forest, node: u32, out: &mut String) {
        out.push_str(&forest.message(node).map_or_else(|| "-".to_owned(), |message| (message + 1).to_string()));
        for child in forest.children(node) {
            out.push('(');
            write(forest, *child, out);
            out.push(')');
        }
    }
    let mut out = String::new();
    for root in &forest.roots {
        out.push('(');
        write(forest, *root, &mut out);
        out.push(')');
    }
    out
}

#[test]
fn references() {
    for (lines, trees) in [
        (&[][..], ""),
        // Replies, in any order of arrival.
        (&[("a", "", "x", 1), ("b", "a", "Re: x", 2), ("c", "a b", "Re: x", 3)], "(1(2(3)))"),
        (&[("c", "a b", "Re: x", 3), ("b", "a", "Re: x", 2), ("a", "", "x", 1)], "(3(2(1)))"),
        // A missing one in the middle is removed, a missing root stays only if it has several children.
        (&[("a", "", "x", 1), ("c", "a b", "y", 2)], "(1(2))"),
        (&[("b", "a", "x", 2), ("c", "a", "y", 1)], "(-(2)(1))"),
        (&[("b", "a", "x", 2)], "(1)"),
        (&[("d", "a b", "x", 2), ("e", "a c", "y", 1)], "(-(2)(1))"),
        // Loops.
        (&[("a", "b", "x", 1), ("b", "a", "y", 2)], "(2(1))"),
        (&[("a", "a", "x", 1)], "(1)"),
        // An id that occurs twice.
        (&[("a", "", "x", 1), ("a", "", "y", 2), ("b", "a", "z", 3)], "(1(3))(2)"),
        // What the message itself says counts more.
        (&[("c", "a b", "x", 3), ("b", "", "y", 2), ("a", "", "z", 1)], "(3)(2(1))"),
        // Siblings by date, then by place.
        (&[("a", "", "x", 1), ("b", "a", "Re: x", 5), ("c", "a", "Re: x", 4), ("d", "a", "Re: x", 4)], "(1(3)(4)(2))"),
    ] {
        assert_eq!(written(&forest(ThreadAlgorithm::References, lines)), trees, "{lines:?}");
    }
}

#[test]
fn subjects_are_gathered() {
    for (lines, trees) in [
        // A reply without references is placed below what it answers.
        (&[("", "", "x", 1), ("", "", "Re: x", 2)][..], "(1(2))"),
        (&[("", "", "Re: x", 1), ("", "", "x", 2)], "(2(1))"),
        // Two of equal rank get a missing parent.
        (&[("", "", "x", 1), ("", "", "x", 2)], "(-(1)(2))"),
        (&[("", "", "Re: x", 1), ("", "", "Re: x", 2), ("", "", "Re: x", 3)], "(-(1)(2)(3))"),
        (&[("", "", "x", 1), ("", "", "x", 2), ("", "", "Re: x", 3)], "(-(1)(2)(3))"),
        // Missing ones come together, and take others.
        (&[("b", "a", "x", 1), ("c", "a", "x", 2), ("e", "d", "x", 3), ("f", "d", "x", 4)], "(-(1)(2)(3)(4))"),
        (&[("", "", "x", 9), ("b", "a", "x", 1), ("c", "a", "x", 2)], "(-(2)(3)(1))"),
        // Nothing is gathered by an empty subject.
        (&[("", "", "", 1), ("", "", "Re:", 2)], "(1)(2)"),
    ] {
        assert_eq!(written(&forest(ThreadAlgorithm::References, lines)), trees, "{lines:?}");
    }
}

#[test]
fn ordered_subject() {
    let lines = [("", "", "b", 3), ("", "", "a", 2), ("", "", "Re: b", 1), ("", "", "[l] B", 4), ("", "", "", 0)];
    assert_eq!(written(&forest(ThreadAlgorithm::OrderedSubject, &lines)), "(5)(3(1)(4))(2)");
}

#[test]
fn refs() {
    let lines = [("a", "", "x", 1), ("b", "", "x", 2), ("c", "a", "y", 3)];
    assert_eq!(written(&forest(ThreadAlgorithm::Refs, &lines)), "(2)(1(3))");
}

#[test]
fn every_message_is_in_one_tree_whatever_they_refer_to() {
    let mut state = 7_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for algorithm in [ThreadAlgorithm::References, ThreadAlgorithm::Refs, ThreadAlgorithm::OrderedSubject] {
        for _ in 0..200 {
            let count = random(40) as usize;
            let mut threader = Threader::new(algorithm, count);
            for _ in 0..count {
                let ids: Vec<String> = (0..=random(4)).map(|_| random(12).to_string()).collect();
                let subject = ["x", "Re: x", "y", ""][random(4) as usize];
                let references = ids[1..].iter().map(String::as_bytes);
                threader.add(Letter {
                    message_id: Some(ids[0].as_bytes()),
                    references,
                    subject,
                    sent: random(9) as i64,
                });
            }
            let forest = threader.finish();
            let mut seen = vec![false; count];
            let mut open = forest.roots.clone();
            while let Some(node) = open.pop() {
                if let Some(message) = forest.message(node) {
                    assert!(!std::mem::replace(&mut seen[message], true), "twice: {message}");
                }
                open.extend(forest.children(node));
            }
            assert!(seen.iter().all(|seen| *seen));
        }
    }
}

#[test]
fn long_threads_and_hostile_ones_take_little_time() {
    const COUNT: usize = 20_000;
    const HOSTILE: usize = 3_000;
    let begun = std::time::Instant::now();
    for reversed in [false, true] {
        let mut threader = Threader::new(ThreadAlgorithm::References, COUNT);
        for n in 0..COUNT {
            let n = if reversed { COUNT - n } else { n };
            let (id, before) = (n.to_string(), n.wrapping_sub(1).to_string());
            threader.add(Letter {
                message_id: Some(id.as_bytes()),
                references: [before.as_bytes()],
                subject: "x",
                sent: 0,
            });
        }
        assert_eq!(threader.finish().roots.len(), 1);
    }
    // Every message claims that the beginning of the chain is below its end.
    let mut threader = Threader::new(ThreadAlgorithm::References, HOSTILE);
    let many: Vec<String> = (0..2_000).map(|n| format!("m{n}")).collect();
    for n in 0..HOSTILE {
        let (id, before) = (n.to_string(), n.saturating_sub(1).to_string());
        let references = [before.as_bytes(), b"0"].into_iter().chain(many.iter().map(String::as_bytes));
        threader.add(Letter { message_id: Some(id.as_bytes()), references, subject: "", sent: 0 });
    }
    assert!(threader.nodes.len() <= HOSTILE * (MISSING_PER_MESSAGE + 1));
    threader.finish();
    assert!(begun.elapsed().as_secs() < 60);
}
