//! The entrance of a server with two users, ann and bob.

use postrider::foundations::clock::Timestamp;
use postrider::foundations::event::{Event, EventKind};
use postrider::foundations::failure::Refusal;
use postrider::foundations::ids::SessionId;
use postrider::foundations::mail::Peer;
use postrider::foundations::secret::Secret;
use postrider::foundations::settings::{Live, Span};
use postrider::services::guard::{Guard, GuardSettings, Service};
use postrider::services::login::{
    AppPasswordWish, Entered, Keyring, LoggedIn, Login, LoginAttempt, LoginSettings, SecondFactor,
};
use postrider::storage::database::Database;
use postrider::storage::directory::{Account, Scopes};
use postrider::storage::journal::{Journal, JournalSettings, Query};

use super::world::{World, address, domain};
use crate::harness::tools;

/// What somebody who logs in as ann@a.test meets.
pub(crate) struct Door {
    pub(crate) login: Login,
    pub(crate) journal: Journal,
    pub(crate) live: Live<LoginSettings>,
}

impl Door {
    pub(crate) fn keyring(&self) -> Keyring {
        self.login.keyring()
    }

    pub(crate) async fn verify(&self, password: &str, service: Service) -> Result<LoggedIn, Refusal> {
        self.login.verify(attempt(password, service)).await
    }

    pub(crate) async fn enter(&self, password: &str, code: Option<&str>) -> Result<Entered, Refusal> {
        self.login.enter(attempt(password, Service::Web), SecondFactor { code, browsers: &[] }).await
    }

    /// Presents a token with this digest and no code.
    pub(crate) async fn enter_known(&self, password: &str, digest: &str) -> Result<Entered, Refusal> {
        let browsers = ["f".repeat(64), digest.to_owned()];
        self.login.enter(attempt(password, Service::Web), SecondFactor { code: None, browsers: &browsers }).await
    }

    /// What changed or was refused, as the events of this kind say.
    pub(crate) async fn events(&self, kind: EventKind) -> Vec<String> {
        self.journal.flush().await;
        let query = Query { kinds: vec![kind], ..Query::default() };
        let events = self.journal.query(&query).await.unwrap();
        let word =
            |name: &str, event: &Event| event.details.get(name).and_then(|value| value.as_str()).map(str::to_owned);
        events.iter().map(|event| word("change", event).or_else(|| word("reason", event)).unwrap_or_default()).collect()
    }
}

pub(crate) fn attempt(password: &str, service: Service) -> LoginAttempt {
    LoginAttempt {
        username: "ann@a.test".to_owned(),
        password: Secret::new(password.to_owned()),
        peer: Peer::Tcp("192.0.2.7:4000".parse().unwrap()),
        session: SessionId::generate(Timestamp::EPOCH),
        service,
    }
}

fn door(world: &World, settings: LoginSettings) -> Door {
    let clock = world.shared_clock();
    let quiet = GuardSettings { error_delay: Span::seconds(0), failures: 0, account_failures: 0, ..Default::default() };
    let guard = Guard::new(Live::new(quiet), clock.clone());
    let database = world.directory.database().clone();
    let journal = Journal::start(database, Live::new(JournalSettings::default()), clock.clone(), &world.tasks);
    let live = Live::new(settings);
    let login = Login::new(world.directory.clone(), guard, journal.clone(), live.clone(), clock);
    Door { login, journal, live }
}

pub(crate) async fn open(database: Database, settings: LoginSettings) -> (World, Door) {
    let world = World::new(database);
    world.users(&["ann@a.test", "bob@a.test"]).await;
    let door = door(&world, LoginSettings { cost: 4, ..settings });
    (world, door)
}

pub(crate) async fn account(world: &World) -> Account {
    world.directory.account_now(&address("ann@a.test")).await.unwrap().unwrap()
}

/// Makes an app password.
pub(crate) async fn make(door: &Door, name: &str, scopes: &str) -> String {
    let scopes = Scopes::parse(scopes).unwrap();
    let wish = AppPasswordWish { name: name.to_owned(), scopes, ends_at: None };
    let made = door.keyring().add(&address("ann@a.test"), wish, 25, "a test").await.unwrap();
    made.password.expose().clone()
}

/// Another program's code for this secret, some seconds from now.
pub(crate) async fn code(world: &World, secret: &str, seconds: i64) -> Option<String> {
    let at = format!("@{}", world.shared_clock().now().unix_seconds() + seconds);
    let program = tools::find("oathtool")?;
    let output =
        tokio::process::Command::new(program).args(["--totp", "-b", secret, "-N", &at]).output().await.unwrap();
    tools::assert_success("oathtool", &output);
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

/// Turns two-factor login on: the secret and the recovery codes.
pub(crate) async fn enrol(world: &World, door: &Door) -> Option<(String, Vec<String>)> {
    let ann = account(world).await;
    let begun = door.login.begin_two_factor(&ann, &domain("mail.a.test")).await.unwrap();
    let secret = begun.secret.expose().clone();
    let first = code(world, &secret, 0).await?;
    let codes = door.login.confirm_two_factor(&attempt("", Service::Web), &ann, &first).await.unwrap();
    Some((secret, codes.iter().map(|code| code.expose().clone()).collect()))
}

pub(crate) fn is_in(entered: &Result<Entered, Refusal>) -> bool {
    matches!(entered, Ok(Entered::In(_)))
}
