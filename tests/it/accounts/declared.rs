//! Declared accounts: what a file changes, and what it leaves alone.

use std::path::Path;
use std::sync::Arc;

use postrider::foundations::secret::Secret;
use postrider::foundations::settings::{ByteSize, Live};
use postrider::services::accounts::{Accounts, Declaration, Format, Plan, Secrets};
use postrider::services::login::{LoginSettings, check, hash};
use postrider::services::routing::RoutingSettings;
use postrider::storage::database::Database;
use postrider::storage::directory::{Owner, PasswordOwner, Source, Standing};
use postrider::storage::journal::{Journal, JournalSettings, Query};

use super::world::{World, address, domain};

super::engines::on_every_engine!(
    a_declaration_is_put_into_force,
    what_vanishes_is_archived_and_comes_back,
    who_was_disabled_by_hand_does_not_come_back_with_the_domain,
    passwords_belong_to_the_user,
    what_others_made_is_left_alone,
    a_plan_changes_nothing,
    several_at_once_agree,
    many_users,
);

struct Bench {
    world: World,
    accounts: Accounts,
    journal: Journal,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(database: Database) -> Self {
        let world = World::new(database.clone());
        let clock = world.shared_clock();
        let journal = Journal::start(database, Live::new(JournalSettings::default()), clock.clone(), &world.tasks);
        let login = Live::new(LoginSettings { cost: 4, ..Default::default() });
        let routing = Live::new(RoutingSettings::default());
        let accounts = Accounts::new(world.directory.clone(), journal.clone(), login, routing, clock);
        Self { world, accounts, journal, folder: tempfile::tempdir().unwrap() }
    }

    fn secret(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    fn declaration(&self, toml: &str) -> Arc<Declaration> {
        let folder: &Path = self.folder.path();
        Arc::new(Declaration::parse(toml, Format::Toml, Secrets::Read, Some(folder)).unwrap())
    }

    /// Plans, checks that the plan is carried out, and that nothing is left to do. Returns the steps in words.
    async fn apply(&self, toml: &str) -> Vec<String> {
        let declaration = self.declaration(toml);
        let planned = self.accounts.plan(&declaration).await.unwrap();
        let done = self.accounts.reconcile(&declaration).await.unwrap();
        assert_eq!(planned, done);
        let after = self.accounts.plan(&declaration).await.unwrap();
        assert!(after.changes.is_empty(), "{after}");
        words(&done)
    }

    async fn password_is(&self, name: &str, password: &str) -> bool {
        let account = self.world.directory.account_now(&address(name)).await.unwrap().unwrap();
        check(account.password.expose(), &Secret::new(password.to_owned())).unwrap_or(false)
    }
}

fn words(plan: &Plan) -> Vec<String> {
    plan.changes.iter().map(|change| format!("{} {}", change.sign(), change.words())).collect()
}

const SMALL: &str = r#"
    [domains."a.test"]
    catch_all = "ann"
    aliases.sales = ["ann", "bob", "x@elsewhere.test"]
    [domains."a.test".users.ann]
    hashed_password_file = "credential:ann"
    quota = "5G"
    aliases = ["info"]
    display_name = "Ann"
    [domains."a.test".users.bob]
    enabled = false
"#;

const HASH: &str = "$2y$04$1GTbYMv9PFxDip5WdCZI5eko6wt04WVxBj77fd0Xh3VHkloF.x0.u";

async fn a_declaration_is_put_into_force(database: Database) {
    let bench = Bench::new(database);
    bench.secret("ann", HASH);
    let steps = bench.apply(SMALL).await;
    assert_eq!(
        steps,
        [
            "+ domain a.test is added",
            "+ user ann@a.test is added (5G), with the declared password",
            "+ user bob@a.test is added (no limit), without a password: no login until one is set",
            "~ user bob@a.test may no longer log in",
            "+ alias @a.test leads to ann@a.test",
            "+ alias info@a.test leads to ann@a.test",
            "+ alias sales@a.test leads to ann@a.test",
            "+ alias sales@a.test leads to bob@a.test",
            "+ alias sales@a.test leads to x@elsewhere.test",
        ]
    );
    let directory = &bench.world.directory;
    let ann = directory.account(&address("ann@a.test")).await.unwrap().unwrap();
    assert_eq!((ann.quota, ann.display_name.as_deref()), (Some(ByteSize::gib(5)), Some("Ann")));
    assert_eq!((ann.owner, ann.password_owner), (Owner::Declared, Some(PasswordOwner::Declared)));
    assert!(bench.password_is("ann@a.test", "benchpass").await);
    assert!(!directory.account(&address("bob@a.test")).await.unwrap().unwrap().may_log_in());
    bench.journal.flush().await;
    assert_eq!(bench.journal.query(&Query::default()).await.unwrap().len(), steps.len());

    // Each field separately.
    let changed =
        SMALL.replace("5G", "1500M").replace("\"Ann\"", "\"Anna\"").replace("enabled = false", "enabled = true");
    let changed = changed.replace(", \"bob\"", "").replace("aliases = [\"info\"]", "aliases = [\"info\", \"hello\"]");
    assert_eq!(
        bench.apply(&changed).await,
        [
            "~ quota of ann@a.test: 1500M instead of 5G",
            "~ name of ann@a.test: Anna",
            "~ user bob@a.test may log in again",
            "+ alias hello@a.test leads to ann@a.test",
            "- alias sales@a.test no longer leads to bob@a.test",
        ]
    );
    // A name that is not declared is for the user to choose.
    let unnamed = changed.replace("display_name = \"Anna\"", "");
    assert!(bench.apply(&unnamed).await.is_empty());
    assert_eq!(
        bench.apply(&unnamed.replace("[domains.\"a.test\"]", "[domains.\"a.test\"]\nenabled = false")).await,
        ["~ domain a.test is disabled: its mail is refused"]
    );
    assert_eq!(bench.apply(&unnamed).await, ["~ domain a.test is enabled"]);
}

async fn what_vanishes_is_archived_and_comes_back(database: Database) {
    let bench = Bench::new(database);
    bench.secret("ann", HASH);
    bench.apply(SMALL).await;
    let steps = bench.apply("").await;
    assert_eq!(
        steps,
        [
            "- alias @a.test no longer leads to ann@a.test",
            "- alias info@a.test no longer leads to ann@a.test",
            "- alias sales@a.test no longer leads to ann@a.test",
            "- alias sales@a.test no longer leads to bob@a.test",
            "- alias sales@a.test no longer leads to x@elsewhere.test",
            "- user ann@a.test is disabled and archived; mail is kept, new mail is refused",
            "- domain a.test is archived: its mail is no longer ours",
        ]
    );
    assert!(bench.apply("").await.is_empty(), "bob, who was disabled, stays that");
    let directory = &bench.world.directory;
    let ann = directory.account(&address("ann@a.test")).await.unwrap().unwrap();
    assert!(ann.archived_at.is_some() && !ann.may_log_in());
    assert!(!directory.domain(&domain("a.test")).await.unwrap().unwrap().is_active());

    // The user's own password survives the absence.
    let mut edit = directory.edit().await.unwrap();
    let own = hash(&Secret::new("my own".to_owned()), 4).unwrap();
    edit.set_password(&ann.address, &own, PasswordOwner::User).await.unwrap();
    edit.commit().await.unwrap();
    let steps = bench.apply(SMALL).await;
    assert_eq!(
        &steps[..4],
        [
            "+ domain a.test comes back from the archive",
            "+ user ann@a.test comes back from the archive, with all mail",
            "+ alias @a.test leads to ann@a.test",
            "+ alias info@a.test leads to ann@a.test",
        ]
    );
    assert!(bench.password_is("ann@a.test", "my own").await);
    assert!(directory.account(&address("ann@a.test")).await.unwrap().unwrap().may_log_in());
}

async fn who_was_disabled_by_hand_does_not_come_back_with_the_domain(database: Database) {
    let bench = Bench::new(database);
    bench.secret("ann", HASH);
    let all = "[domains.\"a.test\".users]\nann = {}\nbob = {}\n";
    bench.apply(all).await;
    let directory = &bench.world.directory;
    let mut edit = directory.edit().await.unwrap();
    edit.set_user(&address("bob@a.test"), Standing::Disabled).await.unwrap();
    edit.commit().await.unwrap();
    bench.apply("").await;
    let mut edit = directory.edit().await.unwrap();
    assert_eq!(edit.restore_domain(&domain("a.test")).await.unwrap(), ["ann@a.test"]);
    edit.commit().await.unwrap();
    for (name, may) in [("ann@a.test", true), ("bob@a.test", false)] {
        assert_eq!(directory.account(&address(name)).await.unwrap().unwrap().may_log_in(), may, "{name}");
    }
    // The declaration still decides about the users it names.
    assert!(bench.apply(all).await.contains(&"~ user bob@a.test may log in again".to_owned()));
}

async fn passwords_belong_to_the_user(database: Database) {
    let bench = Bench::new(database);
    let toml = r#"[domains."a.test".users]
        ann = { hashed_password_file = "credential:ann" }
        bob = { password_file = "credential:bob" }"#;
    bench.secret("ann", HASH);
    bench.secret("bob", "first\n");
    bench.apply(toml).await;
    assert!(bench.password_is("bob@a.test", "first").await);

    // Users change theirs; the declaration stays as it is, and so do the passwords.
    let mut edit = bench.world.directory.edit().await.unwrap();
    for name in ["ann@a.test", "bob@a.test"] {
        let own = hash(&Secret::new("my own".to_owned()), 4).unwrap();
        edit.set_password(&address(name), &own, PasswordOwner::User).await.unwrap();
    }
    edit.commit().await.unwrap();
    assert!(bench.apply(toml).await.is_empty());
    assert!(bench.password_is("ann@a.test", "my own").await && bench.password_is("bob@a.test", "my own").await);

    // A new declaration is a request to change it.
    bench.secret("bob", "second");
    assert_eq!(bench.apply(toml).await, ["~ password of bob@a.test: the declared one, which is new"]);
    assert!(bench.password_is("ann@a.test", "my own").await && bench.password_is("bob@a.test", "second").await);
    let other = hash(&Secret::new("third".to_owned()), 4).unwrap();
    bench.secret("ann", other.expose());
    assert_eq!(bench.apply(toml).await, ["~ password of ann@a.test: the declared one, which is new"]);
    assert!(bench.password_is("ann@a.test", "third").await);

    // No longer declaring one leaves it.
    assert!(bench.apply("[domains.\"a.test\".users]\nann = {}\nbob = {}").await.is_empty());
    assert!(bench.password_is("ann@a.test", "third").await);
}

async fn what_others_made_is_left_alone(database: Database) {
    let bench = Bench::new(database);
    bench.secret("ann", HASH);
    bench.world.users(&["hand@a.test", "ann@a.test", "x@b.test"]).await;
    bench
        .world
        .aliases(&[("sales@a.test", "ann@a.test"), ("sales@a.test", "hand@a.test"), ("own@b.test", "x@b.test")])
        .await;
    let mut edit = bench.world.directory.edit().await.unwrap();
    let own = hash(&Secret::new("my own".to_owned()), 4).unwrap();
    edit.set_password(&address("ann@a.test"), &own, PasswordOwner::User).await.unwrap();
    edit.set_alias(&Source::parse("sales@a.test").unwrap(), Standing::Disabled).await.unwrap();
    edit.commit().await.unwrap();
    let steps = bench.apply(SMALL).await;
    assert_eq!(
        steps,
        [
            "~ domain a.test, made by hand, is declared from now on",
            "~ user ann@a.test, made by hand, is declared from now on",
            "~ quota of ann@a.test: 5G instead of 10M",
            "~ name of ann@a.test: Ann",
            "~ password of ann@a.test: the user's own stays",
            "+ user bob@a.test is added (no limit), without a password: no login until one is set",
            "~ user bob@a.test may no longer log in",
            "+ alias @a.test leads to ann@a.test",
            "+ alias info@a.test leads to ann@a.test",
            "~ alias sales@a.test is enabled",
            "~ alias sales@a.test to ann@a.test, made by hand, is declared from now on",
            "+ alias sales@a.test leads to bob@a.test",
            "+ alias sales@a.test leads to x@elsewhere.test",
        ]
    );
    assert!(bench.password_is("ann@a.test", "my own").await);
    let everything = bench.world.directory.everything().await.unwrap();
    assert_eq!(everything.aliases.len(), 7, "both rows made by hand are still there");

    // The domain is removed from the declaration, but not from under the user made by hand.
    let steps = bench.apply("").await;
    assert_eq!(
        steps.last().unwrap(),
        "~ domain a.test is no longer declared, but has users or aliases made by hand: it stays"
    );
    assert!(bench.world.directory.domain(&domain("a.test")).await.unwrap().unwrap().is_active());
    assert!(bench.world.directory.account(&address("hand@a.test")).await.unwrap().unwrap().may_log_in());
    assert!(bench.world.directory.account(&address("x@b.test")).await.unwrap().unwrap().may_log_in());
}

async fn a_plan_changes_nothing(database: Database) {
    let bench = Bench::new(database);
    bench.secret("ann", HASH);
    let with_typo = SMALL.replace("\"bob\", ", "\"bbo\", ").replace("catch_all = \"ann\"", "");
    let declaration = bench.declaration(&with_typo);
    let plan = bench.accounts.plan(&declaration).await.unwrap();
    assert_eq!(plan.warnings, ["alias sales@a.test leads to bbo@a.test, which does not exist"]);
    let tagged = bench.declaration(&with_typo.replace("\"bbo\", ", "\"bob+sales\", "));
    assert!(bench.accounts.plan(&tagged).await.unwrap().warnings.is_empty());
    let now = bench.world.directory.everything().await.unwrap();
    let without_tags = RoutingSettings { tag_separator: String::new(), ..RoutingSettings::default() };
    let warned = postrider::services::accounts::plan(&tagged, now, &without_tags).await.warnings;
    assert_eq!(warned, ["alias sales@a.test leads to bob+sales@a.test, which does not exist"]);
    let round = bench.declaration("[domains.\"a.test\"]\naliases.a = [\"b\"]\naliases.b = [\"a\"]\n");
    let warned = bench.accounts.plan(&round).await.unwrap().warnings;
    assert_eq!(warned, ["mail for alias a@a.test to b@a.test loops and is refused"]);
    for (aliases, warned) in [
        ("ann = [\"x@elsewhere.test\"]", 1),
        ("ann = [\"x@elsewhere.test\", \"ann\"]", 0),
        ("info = [\"x@elsewhere.test\"]", 0),
    ] {
        let shadowed = format!("[domains.\"a.test\"]\nusers.ann = {{}}\naliases.{aliases}\n");
        let warnings = bench.accounts.plan(&bench.declaration(&shadowed)).await.unwrap().warnings;
        assert_eq!(warnings.len(), warned, "{aliases}: {warnings:?}");
        assert!(warnings.iter().all(|told| told.contains("the user ann@a.test gets no mail")), "{warnings:?}");
    }
    assert!(!plan.changes.is_empty());
    let everything = bench.world.directory.everything().await.unwrap();
    assert!(everything.domains.is_empty() && everything.accounts.is_empty() && everything.aliases.is_empty());
    bench.journal.flush().await;
    assert!(bench.journal.query(&Query::default()).await.unwrap().is_empty());

    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["destructive"], false, "bob is disabled, but nobody has lost anything");
    assert_eq!(
        json["changes"][0],
        serde_json::json!({
            "change": "add-domain", "domain": "a.test", "destructive": false, "words": "domain a.test is added"
        })
    );
    assert!(plan.to_string().ends_with("! alias sales@a.test leads to bbo@a.test, which does not exist\n"));
    assert!(!json.to_string().contains("$2"), "no hash in a plan");

    let bob = "[domains.\"a.test\".users.bob]\n";
    bench.accounts.reconcile(&bench.declaration(bob)).await.unwrap();
    let plan = bench.accounts.plan(&bench.declaration(&format!("{bob}enabled = false\n"))).await.unwrap();
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!((&json["destructive"], json["changes"].as_array().unwrap().len()), (&true.into(), 1), "{json}");
}

async fn several_at_once_agree(database: Database) {
    let bench = Bench::new(database);
    bench.secret("ann", HASH);
    let declaration = bench.declaration(SMALL);
    let roles = (0..3).map(|_| {
        let (accounts, declaration) = (bench.accounts.clone(), Arc::clone(&declaration));
        async move { accounts.reconcile(&declaration).await.unwrap() }
    });
    let plans = tokio::task::JoinSet::from_iter(roles).join_all().await;
    assert_eq!(plans.iter().filter(|plan| !plan.changes.is_empty()).count(), 1, "one of them did it");
    let everything = bench.world.directory.everything().await.unwrap();
    assert_eq!((everything.domains.len(), everything.accounts.len(), everything.aliases.len()), (1, 2, 5));
}

async fn many_users(database: Database) {
    let bench = Bench::new(database);
    let users: String = (0..500).map(|n| format!("[domains.\"a.test\".users.u{n}]\naliases = [\"a{n}\"]\n")).collect();
    let start = std::time::Instant::now();
    assert_eq!(bench.apply(&users).await.len(), 1001);
    eprintln!("500 users and aliases declared in {:?}", start.elapsed());
    let start = std::time::Instant::now();
    assert!(bench.apply(&users).await.is_empty());
    eprintln!("and compared in {:?}", start.elapsed());
}

#[test]
fn the_described_file_is_one() {
    let described = include_str!("../../../docs/accounts.md");
    let (_, rest) = described.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let declaration = Declaration::parse(example, Format::Toml, Secrets::Skip, None).unwrap();
    assert_eq!((declaration.domains.len(), declaration.users.len(), declaration.aliases.len()), (2, 3, 7));
    for word in ["enabled", "catch_all", "aliases", "hashed_password_file", "password_file", "quota", "display_name"] {
        assert!(example.contains(word), "{word}");
    }
}
