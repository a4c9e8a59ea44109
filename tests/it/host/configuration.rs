//! Mistakes in configurations, and the texts generated from the settings.

use std::fs;
use std::path::Path;

use postrider::config::{Checks, LoadError, Protocol, example, load, reference, short_example};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Each file says in comments at its end, after `# mistakes:`, exactly what must be reported: `line: key: words`.
#[test]
fn every_mistake_is_reported_with_its_place() {
    let mut cases = 0;
    for entry in fs::read_dir(root().join("tests/bad_configs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        cases += 1;
        let text = fs::read_to_string(&path).unwrap();
        let (_, wanted) = text.split_once("# mistakes:\n").unwrap_or_else(|| panic!("{} names none", path.display()));
        let wanted: Vec<&str> = wanted.lines().map(|line| line.trim_start_matches("# ")).collect();
        let Err(LoadError::Mistakes(found)) = load(&path, Checks::EveryFile, None) else {
            panic!("{} was taken", path.display());
        };
        let shown: Vec<String> = found.iter().map(|mistake| format!("{}: {mistake}", mistake.line)).collect();
        assert_eq!(found.len(), wanted.len(), "{}: {shown:#?}", path.display());
        for (wanted, found) in wanted.iter().zip(&found) {
            let mut parts = wanted.splitn(3, ": ");
            let (line, key, words) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            let place = (found.line.to_string(), found.key.as_str());
            assert_eq!(place, (line.to_owned(), key), "{}: {shown:#?}", path.display());
            assert!(found.to_string().contains(words), "{}: `{words}` is not in `{found}`", path.display());
        }
    }
    assert!(cases >= 5, "only {cases} cases were found");
}

#[test]
fn the_reference_is_up_to_date() {
    let path = root().join("docs/configuration.md");
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == reference(), "write it anew: postrider config reference > docs/configuration.md");
}

#[test]
fn the_example_can_be_used() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("postrider.toml");
    fs::write(&path, example()).unwrap();
    let config = load(&path, Checks::Syntax, None).unwrap_or_else(|error| panic!("{error}"));
    // The names in the README are served.
    for wanted in
        [Protocol::Smtp, Protocol::Submissions, Protocol::Imaps, Protocol::Https, Protocol::Http, Protocol::Dashboard]
    {
        assert!(config.listener.iter().any(|listener| listener.protocol == wanted), "{wanted:?}");
    }
    fs::write(&path, short_example()).unwrap();
    let short = load(&path, Checks::Syntax, None).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(short.listener.len(), config.listener.len());
    // Every default in a comment would be accepted.
    let uncommented: String = example()
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.contains(" = ") && !rest.contains('…') && is_key(rest) => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    fs::write(&path, uncommented).unwrap();
    load(&path, Checks::Syntax, None).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_unit_without_nixos_fits_the_defaults() {
    let text = fs::read_to_string(root().join("docs/without-nixos.md")).unwrap();
    let block = |kind: &str| {
        let (_, rest) = text.split_once(&format!("```{kind}\n")).unwrap();
        rest.split_once("```").unwrap().0.to_owned()
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("postrider.toml");
    // In the place of the certificate, and below it, as the text says.
    let example = short_example();
    let (before, _) = example.split_once("[[tls.certificates]]\n").unwrap();
    let (about, _) = text.split_once("\n## Unit\n").unwrap();
    let blocks = about.split("```toml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let blocks: Vec<&str> = blocks.collect();
    assert_eq!((blocks.len(), blocks[0]), (4, block("toml").as_str()));
    fs::write(&path, format!("{before}{}", blocks.concat())).unwrap();
    let config = load(&path, Checks::Syntax, None).unwrap_or_else(|error| panic!("{error}"));
    assert!(config.tls.certificates.is_empty() && config.tls.acme[0].names[0] == config.hostname);

    let unit = block("ini");
    let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap();
    let writable: Vec<&Path> = value("ReadWritePaths").split(' ').map(Path::new).collect();
    assert_eq!(writable, [config.storage.mail_root.as_path(), &config.spool.directory]);
    let state = Path::new("/var/lib").join(value("StateDirectory"));
    assert_eq!(config.storage.database.path().unwrap().parent(), Some(state.as_path()));
    assert!(config.tls.acme_state.starts_with(&state));
    assert_eq!(config.server.control_directory, Path::new("/run").join(value("RuntimeDirectory")));
    assert_eq!((value("Type"), value("AmbientCapabilities")), ("notify", "CAP_NET_BIND_SERVICE"));
}

fn is_key(line: &str) -> bool {
    line.split(" = ")
        .next()
        .is_some_and(|key| key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
}

#[test]
fn certificates_must_fit_key_and_host_name() {
    let directory = tempfile::tempdir().unwrap();
    let now = postrider::foundations::clock::Clock::now(&postrider::foundations::clock::SystemClock);
    let write = |name: &str, host: &str| {
        let made = postrider::services::certificates::SelfSigned::make(&[host], now).unwrap();
        fs::write(directory.path().join(format!("{name}.pem")), made.certificate).unwrap();
        fs::write(directory.path().join(format!("{name}.key")), made.key.expose()).unwrap();
    };
    write("ours", "mail.example.test");
    write("wild", "*.example.test");
    write("other", "mail.other.test");
    let mistakes_of = |hostname: &str, cert: &str, key: &str| {
        let path = directory.path().join("postrider.toml");
        let within = |name: &str| directory.path().join(name).display().to_string();
        let text = format!(
            "hostname = {hostname}\n[[listener]]\nprotocol = \"imaps\"\nbind = [\"127.0.0.1:0\"]\n\
             [[tls.certificates]]\ncert = \"{}\"\nkey = \"{}\"\n",
            within(cert),
            within(key)
        );
        fs::write(&path, text).unwrap();
        match load(&path, Checks::Files, None) {
            Ok(_) => Vec::new(),
            Err(LoadError::Mistakes(mistakes)) => mistakes,
            Err(error) => panic!("{error}"),
        }
    };
    let mistakes = |cert: &str, key: &str| mistakes_of("\"mail.example.test\"", cert, key);
    assert!(mistakes("ours.pem", "ours.key").is_empty());
    assert!(mistakes("wild.pem", "wild.key").is_empty());
    let mismatch = mistakes("ours.pem", "other.key");
    assert_eq!((mismatch.len(), mismatch[0].line), (1, 7), "{mismatch:?}");
    assert!(mismatch[0].wanted.contains("does not belong to"));
    let elsewhere = mistakes("other.pem", "other.key");
    assert!(elsewhere.len() == 1 && elsewhere[0].wanted.contains("mail.example.test"), "{elsewhere:?}");
    // For no name that is not in the file.
    let unnamed = mistakes_of("5", "ours.pem", "ours.key");
    assert!(unnamed.len() == 1 && unnamed[0].key == "hostname", "{unnamed:?}");
}

#[test]
fn files_that_other_roles_read_are_missed_by_who_asks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("postrider.toml");
    let short = directory.path().join("short");
    fs::write(&short, "MFRGG\n").unwrap();
    let text = format!(
        "hostname = \"mail.example.test\"\n[[listener]]\nprotocol = \"smtp\"\nbind = [\"127.0.0.1:0\"]\n\
         [dashboard]\npassword_file = \"/nowhere/one\"\none_time_secret_file = \"{}\"\n\
         [login]\ntwo_factor_key_file = \"/nowhere/two\"\n\
         [routing.srs]\nsecret_file = \"/nowhere/three\"\n\
         [[outbound.routes]]\ndomains = [\"*\"]\nhost = \"relay.test\"\nusername = \"us\"\npassword_file = \"/nowhere/four\"\n\
         [backup.s3]\nsecret_key_file = \"/nowhere/five\"\n",
        short.display()
    );
    fs::write(&path, text).unwrap();
    // A role starts without files it cannot read and does not need.
    load(&path, Checks::Files, None).unwrap_or_else(|error| panic!("{error}"));
    let Err(LoadError::Mistakes(found)) = load(&path, Checks::EveryFile, None) else { panic!("no mistakes") };
    let found: Vec<String> =
        found.iter().map(|mistake| format!("{} {}: {}", mistake.line, mistake.key, mistake.wanted)).collect();
    let wanted = [
        "6 dashboard.password_file: cannot read `/nowhere/one`",
        "7 dashboard.one_time_secret_file: at least 16 octets",
        "9 login.two_factor_key_file: cannot read `/nowhere/two`",
        "11 routing.srs.secret_file: cannot read `/nowhere/three`",
        "16 outbound.routes.1.password_file: cannot read `/nowhere/four`",
        "18 backup.s3.secret_key_file: cannot read `/nowhere/five`",
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.starts_with(wanted), "{found} is not {wanted}");
    }
}

/// The example of `services.postrider.settings` in the NixOS module, as it would stand in the file.
#[test]
fn the_example_of_the_modules_settings_has_keys_that_exist() {
    let module = fs::read_to_string(root().join("modules/service.nix")).unwrap();
    let (_, option) = module.split_once("    settings = mkOption {").unwrap();
    let (_, example) = option.split_once("example = literalExpression ''{ ").unwrap();
    let (example, _) = example.split_once("; }''").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("postrider.toml");
    let listener = "[[listener]]\nprotocol = \"smtp\"\nbind = [\"127.0.0.1:0\"]\n";
    let text = format!("hostname = \"mail.example.test\"\n{}\n{listener}", example.replace("; ", "\n"));
    fs::write(&path, text).unwrap();
    load(&path, Checks::Syntax, None).unwrap_or_else(|error| panic!("{example}: {error}"));
}

/// The login of the first one was used for both.
#[test]
fn routes_to_one_host_have_one_login() {
    let judged = |more: &str| {
        let route = "[[outbound.routes]]\nhost = \"relay.test\"\ndomains";
        let text = format!(
            "hostname = \"mail.example.test\"\n[[listener]]\nprotocol = \"smtp\"\nbind = [\"127.0.0.1:0\"]\n\
             {route} = [\"a.test\"]\ntls = \"verify\"\n{route} = [\"b.test\"]\n{more}"
        );
        let path = std::path::Path::new("postrider.toml");
        postrider::config::understand(&text, path, Checks::Syntax, None).map(|_| ()).map_err(|error| error.to_string())
    };
    for more in ["tls = \"verify\"\n", "port = 587\n"] {
        judged(more).unwrap_or_else(|error| panic!("{more}: {error}"));
    }
    for more in ["", "tls = \"verify\"\nusername = \"us\"\npassword_file = \"/x\"\n"] {
        let said = judged(more).unwrap_err();
        assert!(said.contains("outbound.routes.2.host") && said.contains("than in route 1"), "{said}");
    }
}

#[test]
fn a_route_to_an_address_has_it_in_brackets() {
    let judged = |host: &str| {
        let text = format!(
            "hostname = \"mail.example.test\"\n[[listener]]\nprotocol = \"smtp\"\nbind = [\"127.0.0.1:0\"]\n\
             [[outbound.routes]]\ndomains = [\"*\"]\nhost = \"{host}\"\n"
        );
        let path = std::path::Path::new("postrider.toml");
        match postrider::config::understand(&text, path, Checks::Syntax, None) {
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        }
    };
    for host in ["relay.test", "192.0.2.1.test", "[192.0.2.1]", "[IPv6:2001:db8::1]"] {
        assert_eq!(judged(host), None, "{host}");
    }
    let refused = judged("192.0.2.1").unwrap();
    assert!(refused.contains("postrider.toml:7") && refused.contains("\"[192.0.2.1]\""), "{refused}");
}
