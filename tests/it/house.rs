//! The project's own rules, checked against its files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a directory with this extension, as paths from the project's root.
pub(super) fn files(below: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(below)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == ending) {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

pub(super) fn text(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// A file without its unit tests, which are at its end.
pub(super) fn without_tests(path: &Path) -> String {
    text(path).split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

/// The code of a file without comments and without its unit tests.
fn code(path: &Path) -> String {
    without_tests(path).lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The names that follow `crate::`, two levels deep: `["services", "queue"]`. Handles `use crate::{a::b, c::d}`.
fn crate_paths(code: &str) -> BTreeSet<(String, String)> {
    let mut paths = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let group = &group[..group.find("};").unwrap_or(group.len())];
            paths.extend(group.split(',').map(|part| two_levels(part.trim())));
        } else {
            paths.insert(two_levels(rest));
        }
    }
    paths
}

fn two_levels(path: &str) -> (String, String) {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut parts = path.split("::");
    (name(parts.next().unwrap_or_default()), parts.next().map(name).unwrap_or_default())
}

fn floor(name: &str) -> Option<u8> {
    match name {
        "foundations" => Some(0),
        "storage" => Some(1),
        "services" => Some(2),
        "protocols" => Some(3),
        "config" | "daemon" | "cli" => Some(4),
        _ => None,
    }
}

/// Floor and room of a source file: `("services", "queue")`.
fn place(path: &Path) -> (String, String) {
    let mut parts = path.iter().skip(1).map(|part| part.to_string_lossy().into_owned());
    let room = |name: String| name.strip_suffix(".rs").map(str::to_owned).unwrap_or(name);
    (parts.next().map(room).unwrap_or_default(), parts.next().map(room).unwrap_or_default())
}

#[test]
fn dependencies_point_down() {
    let mut wrong = Vec::new();
    for path in files("src", "rs") {
        let (own_floor, own_room) = place(&path);
        let Some(own) = floor(&own_floor) else { continue };
        for (other_floor, other_room) in crate_paths(&code(&path)) {
            match floor(&other_floor) {
                Some(other) if other > own => {
                    wrong.push(format!("{} names {other_floor}::{other_room}", path.display()))
                }
                Some(3) if own == 3 && other_room != own_room => {
                    wrong.push(format!("{} names another protocol, {other_room}", path.display()));
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "a file may name its own floor and lower ones:\n{}", wrong.join("\n"));
}

#[test]
fn rooms_of_a_floor_make_no_circle() {
    let mut uses: BTreeMap<(String, String), BTreeSet<(String, String)>> = BTreeMap::new();
    for path in files("src", "rs") {
        let own = place(&path);
        if own.1 == "mod" || !matches!(own.0.as_str(), "services" | "storage") {
            continue;
        }
        let others = crate_paths(&code(&path)).into_iter().filter(|other| other.0 == own.0 && other.1 != own.1);
        uses.entry(own.clone()).or_default().extend(others);
    }
    // Removes rooms that use no remaining room, until nothing changes.
    loop {
        let rooms: BTreeSet<_> = uses.keys().cloned().collect();
        let before = uses.len();
        uses.retain(|_, others| others.iter().any(|other| rooms.contains(other)));
        if uses.len() == before {
            break;
        }
    }
    assert!(uses.is_empty(), "these rooms use each other in a circle: {uses:#?}");
}

#[test]
fn wire_and_sessions_are_pure() {
    let mut wrong = Vec::new();
    for path in files("src", "rs") {
        let in_wire = path.starts_with("src/foundations/wire");
        if !in_wire && path.file_name().is_none_or(|name| name != "session.rs" && name != "command_table.rs") {
            continue;
        }
        let code = code(&path);
        for forbidden in
            ["tokio::", "std::fs", "std::net::Tcp", "std::net::Udp", "std::time::Instant", "std::env", "async fn"]
        {
            if code.contains(forbidden) {
                wrong.push(format!("{}: {forbidden}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "grammars and sessions do no I/O:\n{}", wrong.join("\n"));
}

#[test]
fn mailboxes_are_opened_by_few() {
    let may = [
        "cluster",
        "delivery",
        "imap",
        "pop3",
        "sieve",
        "backup",
        "moving",
        "search",
        "conversations",
        "lessons",
        "tidying",
        "web",
    ];
    let mut wrong = Vec::new();
    for path in files("src", "rs") {
        let (own_floor, room) = place(&path);
        if !matches!(own_floor.as_str(), "services" | "protocols") || may.contains(&room.as_str()) {
            continue;
        }
        if crate_paths(&code(&path)).contains(&("storage".to_owned(), "mailbox".to_owned())) {
            wrong.push(path.display().to_string());
        }
    }
    assert!(
        wrong.is_empty(),
        "the mail transfer role can open no mailbox, so these must not name the store: {wrong:?}"
    );
}

#[test]
fn migrations_have_the_same_names_for_every_engine() {
    let names = |engine: &str| -> BTreeSet<String> {
        files(&format!("migrations/{engine}"), "sql")
            .iter()
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect()
    };
    let sqlite = names("sqlite");
    assert!(!sqlite.is_empty());
    for engine in ["mysql", "postgres"] {
        assert_eq!(names(engine), sqlite, "{engine} and sqlite");
    }
}

#[test]
fn no_test_file_is_forgotten() {
    let mut wrong = Vec::new();
    for path in files("tests/it", "rs") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name == "main" || name == "mod" {
            continue;
        }
        let parent = path.parent().unwrap();
        let lists = [parent.join("mod.rs"), parent.join("main.rs"), parent.with_extension("rs")];
        let listed = lists.iter().filter(|list| root().join(list).is_file()).any(|list| {
            text(list).lines().any(|line| {
                line.trim_start_matches("pub(crate) ").trim_start_matches("pub ").trim() == format!("mod {name};")
            })
        });
        if !listed {
            wrong.push(path.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "no module list names these: {wrong:?}");
}

#[test]
fn nothing_is_left_unfinished() {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["(to be ", "written)"].concat()];
    let mut wrong = Vec::new();
    for path in files("src", "rs").into_iter().chain(files("tests", "rs")).chain(files("modules", "nix")) {
        for (number, line) in text(&path).lines().enumerate() {
            // A task of iCalendar is no unfinished work of this project.
            let line = line.replace(&["VTO", "DO"].concat(), "");
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                wrong.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "unfinished:\n{}", wrong.join("\n"));
}

/// If a duty ends because of a bug, somebody misses its work days later: it is restarted (`Tasks::keep`).
#[test]
fn duties_of_the_daemon_are_kept() {
    let mut wrong = Vec::new();
    for path in files("src/daemon", "rs") {
        for line in code(&path).lines() {
            let is_no_duty = line.contains("listener.serve(") || line.contains("read_rules()");
            if line.contains(".spawn(") && !is_no_duty {
                wrong.push(format!("{}: {line}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "these are not restarted:\n{}", wrong.join("\n"));
}

/// The settings that a running role cannot exchange are listed twice: in the server, which warns, and in the NixOS
/// module, which restarts.
#[test]
fn what_waits_for_a_restart_restarts_the_unit() {
    let code = code(Path::new("src/daemon/build.rs"));
    let within = |begin: &str, end: &str| {
        let from = &code[code.find(begin).unwrap_or_else(|| panic!("no {begin}")) + begin.len()..];
        from[..from.find(end).unwrap()].to_owned()
    };
    let sizes = within("let sizes = sizes![", "];");
    let sizes = sizes.split(',').map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
    let fixed = within("let fixed = [", "];");
    let fixed = fixed.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.split('"').next()).map(str::to_owned);
    let module = text(Path::new("modules/units.nix"));
    // Those occur there without quotation marks, since they are inspected in part.
    let named = |key: &str| module.contains(&format!("\"{key}\"")) || ["server", "listener", "tls"].contains(&key);
    let missing: Vec<String> = sizes.chain(fixed).filter(|key| !named(key)).collect();
    assert!(missing.is_empty(), "modules/units.nix does not restart for {missing:?}");
}

/// Everything the documents name in backticks exists: files, directories, and names as Rust writes them.
#[test]
fn documents_name_what_there_is() {
    let sources: Vec<(String, BTreeSet<String>)> = files("src", "rs")
        .iter()
        .map(|path| {
            let words = code(path).split(|c: char| !(c.is_alphanumeric() || c == '_')).map(str::to_owned).collect();
            (path.with_extension("").display().to_string().trim_end_matches("/mod").replace('/', "::"), words)
        })
        .collect();
    let mut wrong = Vec::new();
    for document in ["ARCHITECTURE.md", "docs/features.md"] {
        for name in text(Path::new(document)).split('`').skip(1).step_by(2).flat_map(alternatives) {
            let is_there = match &name {
                path if path.trim_matches('/').contains('/') => path.starts_with('/') || is_place(path),
                file if file.ends_with(".rs") || file.ends_with(".js") || file.ends_with(".nix") => is_file(file),
                path if path.contains("::") => is_in_code(&sources, path),
                _ => true,
            };
            if !is_there {
                wrong.push(format!("{document}: {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "these are not there: {wrong:#?}");
}

/// Programs read them.
#[test]
fn details_of_events_are_described() {
    let described = text(Path::new("docs/events.md"));
    let mut missing = Vec::new();
    for file in files("src", "rs") {
        let code = code(&file);
        // The problems that the webmail answers with have details, too.
        if !code.contains("EventKind::") || file.starts_with("src/protocols/web/webmail") {
            continue;
        }
        for call in [".with(\"", ".with_known(\""] {
            for rest in code.split(call).skip(1) {
                let name = rest.split('"').next().unwrap_or_default();
                if !described.contains(&format!("`{name}`")) {
                    missing.push(format!("{}: {name}", file.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "docs/events.md does not describe these: {missing:?}");
}

#[test]
fn links_of_documents_lead_somewhere() {
    let at_the_root = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"];
    let mut wrong = Vec::new();
    for document in files("docs", "md").into_iter().chain(at_the_root.map(PathBuf::from)) {
        for link in text(&document).split("](").skip(1) {
            let target = link.split(')').next().unwrap_or_default();
            let target = target.split('#').next().unwrap_or_default();
            let from = root().join(&document);
            if !target.starts_with("http") && !from.parent().unwrap().join(target).exists() {
                wrong.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "these are not there: {wrong:#?}");
}

/// A newcomer looks up a directory's purpose in ARCHITECTURE.md.
#[test]
fn every_room_is_in_the_map() {
    let map = text(Path::new("ARCHITECTURE.md"));
    let map = &map[..map.find("## The way of a message in").unwrap()];
    let mut missing = Vec::new();
    for floor in ["protocols", "protocols/web", "services", "storage"] {
        for entry in fs::read_dir(root().join("src").join(floor)).unwrap() {
            let path = entry.unwrap().path();
            let room = path.strip_prefix(root().join("src")).unwrap();
            let name = room.file_name().unwrap().to_string_lossy();
            let below_web = floor == "protocols/web";
            let wanted = if below_web { format!("`web/{name}`") } else { format!("`{name}`") };
            if path.is_dir() && name != "web" && !map.contains(&wanted) {
                missing.push(room.display().to_string());
            }
        }
    }
    assert!(missing.is_empty(), "ARCHITECTURE.md does not say what these are for: {missing:?}");
}

/// `a/{b,c}` names `a/b` and `a/c`.
fn alternatives(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else { return vec![name.to_owned()] };
    let Some((inside, after)) = rest.split_once('}') else { return vec![name.to_owned()] };
    inside.split(',').map(|one| format!("{before}{one}{after}")).collect()
}

/// Whether a path names an existing file or directory: from the root or the modules, or below any directory of the
/// sources.
fn is_place(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let from_root = ["", "src", "modules"].iter().any(|base| root().join(base).join(path).exists());
    from_root
        || files("src", "rs")
            .iter()
            .map(|file| file.with_extension("").display().to_string())
            .any(|file| file.ends_with(&format!("/{path}")) || file.contains(&format!("/{path}/")))
}

fn is_file(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    root().join(name).is_file()
        || ["src", "modules"].iter().flat_map(|below| files(below, ending)).any(|file| file.ends_with(name))
}

/// Whether `a::b::Type::function` exists: the file or directory `a/b`, and the other names in it.
fn is_in_code(sources: &[(String, BTreeSet<String>)], path: &str) -> bool {
    let names: Vec<&str> = path.split("::").collect();
    // The longest prefix that is a place.
    for modules in (0..names.len()).rev() {
        let place = names[..modules].join("::");
        let is_within = |module: &str| place.is_empty() || format!("::{module}::").contains(&format!("::{place}::"));
        let within: Vec<_> = sources.iter().filter(|(module, _)| is_within(module)).collect();
        if !within.is_empty() {
            return names[modules..].iter().all(|name| within.iter().any(|(_, words)| words.contains(*name)));
        }
    }
    false
}
