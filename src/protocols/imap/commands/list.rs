//! LIST and LSUB (RFC 9051 §6.3.9; RFC 3501 §6.3.9; RFC 5258; RFC 5819; RFC 6154).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::matching::Pattern;
use super::{status, trouble};
use crate::foundations::wire::imap::encode::{ListAttributes, ListLine};
use crate::foundations::wire::imap::{InvalidName, List, ListReturn, ListSelect, NameEncoding, RawName, SpecialUse};
use crate::protocols::imap::account::Enabled;
use crate::protocols::imap::link::Link;
use crate::protocols::imap::outcome::{Done, Outcome, Trouble};
use crate::protocols::imap::serve::Conversation;
use crate::storage::mailbox::{FolderEntry, FolderName};

/// LIST.
pub async fn run(talk: &mut Conversation, list: &List) -> Outcome {
    let encoding = encoding(talk)?;
    if !list.extended && list.patterns.iter().all(|pattern| pattern.as_str().is_empty()) {
        // RFC 9051 §6.3.9: an empty name asks for the delimiter.
        let attributes = ListAttributes { words: vec!["\\Noselect"], uses: Vec::new() };
        let line = list_line(&attributes, "", false);
        talk.link.out.list_line("LIST", &line, encoding);
        return Ok(Done::new("Listed"));
    }
    let patterns = patterns(&list.reference, &list.patterns, encoding)?;
    let tree = tree(folders(talk).await?, &patterns).await;
    for (name, node) in &tree.nodes {
        if !node.matches {
            continue;
        }
        let Some(child_subscribed) = node.selected(list.select) else { continue };
        let attributes = node.attributes(list, talk.is_rev2());
        let line = list_line(&attributes, name, child_subscribed);
        talk.link.out.list_line("LIST", &line, encoding);
        if let (Some(items), true, Ok(folder)) = (&list.returns.status, node.exists, FolderName::parse(name)) {
            // RFC 5819 §2: a mailbox that cannot be asked gets no STATUS.
            if let Err(error) = status::tell(talk, &folder, items).await {
                let _ = trouble(talk, &error);
            }
        }
        talk.link.relieve().await?;
    }
    Ok(Done::new("Listed"))
}

/// LSUB: as LIST (SUBSCRIBED), with the old rule for `%` (RFC 3501 §6.3.9).
pub async fn lsub(talk: &mut Conversation, reference: &RawName, pattern: &RawName) -> Outcome {
    let encoding = encoding(talk)?;
    let patterns = patterns(reference, std::slice::from_ref(pattern), encoding)?;
    let below = pattern.as_str().ends_with('%');
    let tree = tree(folders(talk).await?, &patterns).await;
    for (name, node) in &tree.nodes {
        let words = match (node.subscribed, below && node.subscribed_below) {
            (true, _) => Vec::new(),
            (false, true) => vec!["\\Noselect"],
            (false, false) => continue,
        };
        if node.matches {
            let attributes = ListAttributes { words, uses: Vec::new() };
            let line = list_line(&attributes, name, false);
            talk.link.out.list_line("LSUB", &line, encoding);
            talk.link.relieve().await?;
        }
    }
    Ok(Done::new("Listed"))
}

const fn list_line<'l>(attributes: &'l ListAttributes, name: &'l str, child_subscribed: bool) -> ListLine<'l> {
    ListLine { attributes, delimiter: Some('/'), name, child_subscribed, old_name: None }
}

impl Conversation {
    fn is_rev2(&self) -> bool {
        self.state.account().is_some_and(|account| account.enabled.rev2)
    }
}

fn encoding(talk: &Conversation) -> Result<NameEncoding, Trouble> {
    Ok(talk.state.logged_in()?.enabled.names())
}

async fn folders(talk: &Conversation) -> Result<Vec<FolderEntry>, Trouble> {
    let account = talk.state.logged_in()?;
    account.user.folders().await.map_err(|error| trouble(talk, &error))
}

fn patterns(reference: &RawName, patterns: &[RawName], encoding: NameEncoding) -> Result<Vec<Pattern>, Trouble> {
    let decode = |name: &RawName| match name.decode(encoding) {
        Ok(decoded) => Ok(decoded.into_owned()),
        // No mailbox has such a name, so the pattern finds nothing; that is no failure.
        Err(InvalidName::ModifiedUtf7) => Ok(name.as_str().to_owned()),
        Err(error @ InvalidName::Control) => Err(Trouble::from(error)),
    };
    let reference = decode(reference)?;
    patterns.iter().map(|pattern| Ok(Pattern::new(&format!("{reference}{}", decode(pattern)?)))).collect()
}

/// The names of a user, with those that match marked. Many long names and patterns take time, so other tasks run in
/// between.
async fn tree(folders: Vec<FolderEntry>, patterns: &[Pattern]) -> Tree {
    let above = |folder: &FolderEntry| std::iter::successors(Some(folder.name.clone()), FolderName::parent);
    let names: BTreeSet<FolderName> = folders.iter().flat_map(above).collect();
    let mut matched = HashSet::new();
    for name in names {
        if patterns.iter().any(|pattern| pattern.matches(name.as_str())) {
            matched.insert(name.as_str().to_owned());
        }
        tokio::task::yield_now().await;
    }
    Tree::of(folders, &matched)
}

/// All names that can be listed, parents that do not exist themselves included.
struct Tree {
    nodes: BTreeMap<String, Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// One of the patterns matches the name.
    matches: bool,
    exists: bool,
    subscribed: bool,
    has_children: bool,
    /// A subscribed name below it is matched by no pattern (RFC 5258 §3.5: those that match speak for themselves).
    subscribed_below: bool,
    /// Likewise with a special use.
    special_use_below: bool,
    special_use: Option<SpecialUse>,
}

impl Tree {
    fn of(folders: Vec<FolderEntry>, matched: &HashSet<String>) -> Self {
        let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
        for folder in folders {
            let matches = matched.contains(folder.name.as_str());
            let mut above = folder.name.parent();
            while let Some(parent) = above {
                let node = nodes.entry(parent.as_str().to_owned()).or_default();
                node.has_children |= folder.exists;
                node.subscribed_below |= folder.subscribed && !matches;
                node.special_use_below |= folder.special_use.is_some() && !matches;
                above = parent.parent();
            }
            let node = nodes.entry(folder.name.as_str().to_owned()).or_default();
            node.exists = folder.exists;
            node.subscribed = folder.subscribed;
            node.special_use = folder.special_use.map(told_use);
        }
        for (name, node) in &mut nodes {
            node.matches = matched.contains(name);
        }
        Self { nodes }
    }
}

impl Node {
    /// Whether the selection options let it through, and whether CHILDINFO is due (RFC 5258 §3.5, §4).
    fn selected(&self, select: ListSelect) -> Option<bool> {
        let below = select.recursive_match
            && (select.subscribed && self.subscribed_below || select.special_use && self.special_use_below);
        let itself = match (select.subscribed, select.special_use) {
            (false, false) => self.exists || self.has_children,
            (true, false) => self.subscribed,
            (false, true) => self.special_use.is_some(),
            (true, true) => self.subscribed && self.special_use.is_some(),
        };
        (itself || below).then_some(below && select.subscribed)
    }

    fn attributes(&self, list: &List, rev2: bool) -> ListAttributes {
        let (returns, select): (&ListReturn, ListSelect) = (&list.returns, list.select);
        let mut words = Vec::new();
        if !self.exists {
            // RFC 9051 §7.3.1: \NonExistent implies \Noselect; older clients know only the latter.
            words.push(if list.extended || rev2 { "\\NonExistent" } else { "\\Noselect" });
        }
        if self.subscribed && (returns.subscribed || select.subscribed) {
            words.push("\\Subscribed");
        }
        // RFC 3348 and RFC 9051 §6.3.9.5: told to everybody who does not choose.
        if returns.children || !list.extended || rev2 {
            words.push(if self.has_children { "\\HasChildren" } else { "\\HasNoChildren" });
        }
        // RFC 6154 §2: likewise.
        let tell_uses = returns.special_use || select.special_use || !list.extended || rev2;
        let uses = self.special_use.filter(|_| tell_uses).into_iter().collect();
        ListAttributes { words, uses }
    }
}

/// Tells of a name that has changed (RFC 5465 §5.4).
pub fn tell_changed(
    folders: &[FolderEntry],
    name: &FolderName,
    old_name: Option<&FolderName>,
    enabled: Enabled,
    link: &mut Link,
) {
    let tree = Tree::of(folders.to_vec(), &HashSet::new());
    let returns = ListReturn { subscribed: true, children: true, special_use: true, status: None };
    let empty = RawName::from("");
    let list = List { reference: empty, patterns: Vec::new(), select: ListSelect::default(), returns, extended: true };
    let node = tree.nodes.get(name.as_str());
    let attributes = node.map_or_else(
        || ListAttributes { words: vec!["\\NonExistent"], uses: Vec::new() },
        |node| node.attributes(&list, enabled.rev2),
    );
    let old_name = old_name.map(FolderName::as_str);
    let line = ListLine { old_name, ..list_line(&attributes, name.as_str(), false) };
    link.out.list_line("LIST", &line, enabled.names());
}

pub(super) const fn told_use(special: crate::storage::mailbox::SpecialUse) -> SpecialUse {
    use crate::storage::mailbox::SpecialUse as Stored;
    match special {
        Stored::Archive => SpecialUse::Archive,
        Stored::Drafts => SpecialUse::Drafts,
        Stored::Junk => SpecialUse::Junk,
        Stored::Sent => SpecialUse::Sent,
        Stored::Trash => SpecialUse::Trash,
    }
}
