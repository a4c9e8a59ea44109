//! App passwords and second factors, on every engine.

use std::time::Duration;

use postrider::foundations::clock::SystemClock;
use postrider::foundations::event::EventKind;
use postrider::foundations::failure::{Kind, Refusal};
use postrider::foundations::secret::Secret;
use postrider::foundations::settings::{Live, Span};
use postrider::foundations::tasks::Tasks;
use postrider::services::guard::Service;
use postrider::services::login::{
    AppPasswordWish, Entered, LoginAttempt, LoginSettings, Need, PasswordReach, SecondFactor, Stay, TwoFactorPolicy,
};
use postrider::services::moving::{RenameError, rename};
use postrider::storage::database::Database;
use postrider::storage::directory::{OldAddress, PasswordOwner, RememberedBrowser, Renaming, Scopes, Standing};
use postrider::storage::journal::Query;
use postrider::storage::mailbox::{MailboxSettings, Mailboxes, Summarizer};
use tokio_util::sync::CancellationToken;

use super::door::{account, attempt, code, enrol, is_in, make, open};
use super::world::{address, domain};
use crate::harness::PENCIL;

super::engines::on_every_engine!(
    app_passwords_open_what_they_are_for,
    app_passwords_are_bounded_and_end,
    the_use_of_app_passwords_is_written_down_now_and_then,
    codes_are_asked_for_and_good_once,
    recovery_codes_are_good_once,
    a_remembered_browser_is_spared_codes_for_some_time,
    guessing_codes_ends_soon,
    mail_programs_need_app_passwords_then,
    what_is_required_is_asked_of_those_it_is_required_of,
    secrets_are_sealed_under_the_key,
    sessions_end_with_what_opened_them,
);

fn smtp<T>(result: Result<T, Refusal>) -> Option<(u16, std::borrow::Cow<'static, str>)> {
    result.err().and_then(|refusal| refusal.smtp)
}

async fn app_passwords_open_what_they_are_for(database: Database) {
    let (world, door) = open(database.clone(), LoginSettings::default()).await;
    let (mail, all) = (make(&door, "Telephone", "mail").await, make(&door, "Laptop", "all").await);
    for service in [Service::Imap, Service::Pop3, Service::Submission, Service::ManageSieve, Service::Web] {
        assert!(door.verify(&all, service).await.is_ok(), "{service}");
        let reads = matches!(service, Service::Imap | Service::Pop3);
        let result = door.verify(&mail, service).await;
        assert_eq!(result.is_ok(), reads, "{service}");
        assert_eq!(smtp(result), (!reads).then_some((535, "5.7.8".into())));
        door.verify("pencil", service).await.unwrap();
    }
    for form in [all.replace('-', ""), all.replace('-', " "), all.to_uppercase()] {
        assert_eq!(door.verify(&form, Service::Imap).await.unwrap().address, address("ann@a.test"));
    }
    let wrong = "aaaaa-aaaaa-aaaaa-aaaaa";
    assert!(door.verify(wrong, Service::Imap).await.is_err());
    assert!(door.enter(&all, None).await.is_err(), "the webmail takes the password of the account only");
    let others = LoginAttempt { username: "bob@a.test".to_owned(), ..attempt(&all, Service::Imap) };
    assert!(door.login.verify(others).await.is_err(), "it is nobody else's");
    let kept = database.fetch_all("SELECT digest FROM app_passwords", &[]).await.unwrap();
    assert!(kept.iter().all(|row| row.text(0).is_ok_and(|digest| digest.len() == 64 && !digest.contains(&mail[..5]))));
    // Revoking, disabling and enabling take effect at once, although each was valid a moment before.
    door.keyring().revoke(&address("ann@a.test"), "Laptop", "a test").await.unwrap();
    assert!(door.verify(&all, Service::Imap).await.is_err());
    door.verify(&mail, Service::Imap).await.unwrap();
    for (standing, is_in) in [(Standing::Disabled, false), (Standing::Enabled, true)] {
        let mut edit = world.directory.edit().await.unwrap();
        edit.set_user(&address("ann@a.test"), standing).await.unwrap();
        edit.commit().await.unwrap();
        assert_eq!(door.verify(&mail, Service::Imap).await.is_ok(), is_in);
    }
    let changes = door.events(EventKind::AppPassword).await;
    let first = "used for the first time";
    assert_eq!(changes, ["made", "made", first, first, "revoked"]);
    let events = door.journal.query(&Query::default()).await.unwrap();
    assert!(!format!("{events:?}").contains(&all[..11]));
}

async fn app_passwords_are_bounded_and_end(database: Database) {
    let (world, door) = open(database, LoginSettings::default()).await;
    let (ann, keyring) = (address("ann@a.test"), door.keyring());
    let now = world.shared_clock().now();
    let add = async |name: &str, days: Option<u64>| {
        let ends_at = days.map(|days| now + Duration::from_hours(24 * days));
        let wish = AppPasswordWish { name: name.to_owned(), scopes: Scopes::all(), ends_at };
        keyring.add(&ann, wish, 2, "a test").await
    };
    let short = add("Short", Some(1)).await.unwrap();
    add(" Long ", None).await.unwrap();
    for (name, kind) in [("Long", Kind::Exists), ("Third", Kind::TooMany), ("", Kind::Invalid), ("a\nb", Kind::Invalid)]
    {
        assert_eq!(add(name, None).await.unwrap_err().kind(), kind, "{name}");
    }
    door.verify(short.password.expose(), Service::Imap).await.unwrap();
    world.clock.advance(Duration::from_hours(24));
    let refusal = door.verify(short.password.expose(), Service::Imap).await.unwrap_err();
    assert!(refusal.public.contains("has expired"), "{refusal}");
    // An expired one makes room.
    add("Third", None).await.unwrap();
    let kept = world.directory.app_passwords(account(&world).await.id).await.unwrap();
    let mut names: Vec<&str> = kept.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Long", "Third"]);
    let number = kept[0].id.to_string();
    keyring.revoke(&ann, &number, "a test").await.unwrap();
    assert_eq!(keyring.revoke(&ann, &number, "a test").await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(
        keyring.revoke(&address("bob@a.test"), &kept[1].name, "a test").await.unwrap_err().kind(),
        Kind::NotFound
    );
}

async fn the_use_of_app_passwords_is_written_down_now_and_then(database: Database) {
    let (world, door) = open(database, LoginSettings::default()).await;
    let password = make(&door, "Telephone", "all").await;
    let id = account(&world).await.id;
    let used = async || world.directory.app_passwords(id).await.unwrap()[0].clone();
    assert_eq!(used().await.used_at, None);
    let first = world.shared_clock().now();
    door.verify(&password, Service::Imap).await.unwrap();
    world.clock.advance(Duration::from_mins(9));
    door.verify(&password, Service::Imap).await.unwrap();
    assert_eq!((used().await.used_at, used().await.used_from.as_deref()), (Some(first), Some("192.0.2.7")));
    world.clock.advance(Duration::from_mins(2));
    door.verify(&password, Service::Imap).await.unwrap();
    assert_eq!(used().await.used_at, Some(world.shared_clock().now()));
}

async fn codes_are_asked_for_and_good_once(database: Database) {
    let (world, door) = open(database, LoginSettings::default()).await;
    let ann = account(&world).await;
    assert!(is_in(&door.enter("pencil", None).await));
    // An unconfirmed secret is not in force; a wrong first code confirms nothing.
    door.login.begin_two_factor(&ann, &domain("mail.a.test")).await.unwrap();
    let wrong = door.login.confirm_two_factor(&attempt("", Service::Web), &ann, "000 000x").await.unwrap_err();
    assert_eq!(wrong.kind, Kind::Invalid);
    assert!(is_in(&door.enter("pencil", None).await));
    let Some((secret, codes)) = enrol(&world, &door).await else { return };
    assert_eq!(codes.len(), 10);
    let again = door.login.begin_two_factor(&account(&world).await, &domain("mail.a.test")).await.unwrap_err();
    assert_eq!(again.kind, Kind::Exists);

    assert!(matches!(door.enter("pencil", None).await, Ok(Entered::CodeWanted)));
    assert!(door.enter("wrong", None).await.is_err(), "the password comes first");
    let used = code(&world, &secret, 0).await.unwrap();
    assert!(door.enter("pencil", Some(&used)).await.is_err(), "the first code was used to turn it on");
    world.clock.advance(Duration::from_secs(30));
    let next = code(&world, &secret, 0).await.unwrap();
    assert!(door.enter("wrong", Some(&next)).await.is_err());
    assert!(is_in(&door.enter("pencil", Some(&next)).await), "a wrong password has not used the code up");
    assert!(door.enter("pencil", Some(&next)).await.is_err(), "it is good once");
    assert!(door.enter("pencil", Some(&used)).await.is_err(), "and no earlier one");
    // A clock half a minute fast is accepted, one two minutes fast is not.
    world.clock.advance(Duration::from_secs(30));
    let fast = code(&world, &secret, 30).await.unwrap();
    let faster = code(&world, &secret, 120).await.unwrap();
    assert!(door.enter("pencil", Some(&faster)).await.is_err());
    assert!(is_in(&door.enter("pencil", Some(&format!(" {} {} ", &fast[..3], &fast[3..]))).await));

    let off = door.keyring().turn_off_two_factor(&address("ann@a.test"), "a test").await.unwrap();
    assert!(off && is_in(&door.enter("pencil", None).await));
    assert!(!door.keyring().turn_off_two_factor(&address("ann@a.test"), "a test").await.unwrap());
    let changes = door.events(EventKind::TwoFactor).await;
    assert_eq!(changes, ["turned on", "code asked for", "turned off"]);
    let refused = door.events(EventKind::LoginRefused).await;
    for reason in ["wrong one-time code", "one-time code used before", "wrong password"] {
        assert!(refused.iter().any(|known| known == reason), "{reason} is missing in {refused:?}");
    }
}

async fn recovery_codes_are_good_once(database: Database) {
    let (world, door) = open(database, LoginSettings::default()).await;
    let Some((_, codes)) = enrol(&world, &door).await else { return };
    assert!(is_in(&door.enter("pencil", Some(&codes[0])).await));
    assert!(door.enter("pencil", Some(&codes[0])).await.is_err());
    assert!(is_in(&door.enter("pencil", Some(&codes[1].replace('-', "").to_uppercase())).await));
    let ann = account(&world).await;
    assert_eq!(world.directory.two_factor(ann.id).await.unwrap().unwrap().recovery_codes, 8);
    let fresh = door.login.new_recovery_codes(&attempt("", Service::Web), &ann).await.unwrap();
    assert!(door.enter("pencil", Some(&codes[2])).await.is_err(), "the old ones are gone");
    assert!(is_in(&door.enter("pencil", Some(fresh[9].expose())).await));
    let mut changes = door.events(EventKind::TwoFactor).await;
    changes.dedup();
    assert_eq!(changes, ["turned on", "recovery code used", "new recovery codes", "recovery code used"]);
}

async fn a_remembered_browser_is_spared_codes_for_some_time(database: Database) {
    let (world, door) = open(database, LoginSettings { two_factor_browsers: 2, ..Default::default() }).await;
    let Some((_, codes)) = enrol(&world, &door).await else { return };
    let ann = address("ann@a.test");
    let remember = async |letter: &str| {
        let (now, account) = (world.shared_clock().now(), account(&world).await);
        let (digest, id) = (letter.repeat(64), format!("login-{letter}"));
        let (client, browser) = ("192.0.2.7".to_owned(), "Firefox".to_owned());
        let browser = RememberedBrowser { digest, id, made_at: now, used_at: now, client, browser };
        door.login.remember_browser(&account, &browser).await.unwrap()
    };
    let known = async |letter: &str| is_in(&door.enter_known("pencil", &letter.repeat(64)).await);
    let names = async || {
        let browsers = door.keyring().browsers(&account(&world).await, &door.live.get()).await.unwrap();
        browsers.into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    assert!(!known("a").await);
    assert!(remember("a").await && known("a").await && known("a").await);
    assert!(door.enter_known("wrong", &"a".repeat(64)).await.is_err(), "a token alone lets nobody in");
    let others = LoginAttempt { username: "bob@a.test".to_owned(), ..attempt("pencil", Service::Web) };
    let of_ann = ["a".repeat(64)];
    let entered = door.login.enter(others, SecondFactor { code: None, browsers: &of_ann }).await;
    assert!(is_in(&entered), "without two-factor login nothing is looked up");
    assert!(
        door.login.confirm(&attempt("pencil", Service::Web), None).await.is_err(),
        "what guards the account asks for a code"
    );
    // The one used longest ago makes room; each can be forgotten.
    world.clock.advance(Duration::from_secs(60));
    assert!(remember("b").await && known("a").await);
    world.clock.advance(Duration::from_secs(60));
    assert!(remember("c").await && known("a").await && !known("b").await && known("c").await);
    assert_eq!(door.keyring().forget_browsers(&ann, Some("login-c"), "a test").await.unwrap(), 1);
    assert_eq!(door.keyring().forget_browsers(&address("bob@a.test"), None, "a test").await.unwrap(), 0);
    assert_eq!((known("c").await, names().await), (false, vec!["login-a".to_owned()]));
    // Using it does not extend its time.
    world.clock.advance(Duration::from_hours(30 * 24) - Duration::from_secs(121));
    assert!(known("a").await);
    world.clock.advance(Duration::from_secs(1));
    assert!(!known("a").await && names().await.is_empty());
    // A new password ends it, whoever sets it, and so does another second factor.
    assert!(remember("d").await && known("d").await);
    let old = account(&world).await.password;
    let mut edit = world.directory.edit().await.unwrap();
    edit.set_password(&ann, &old, PasswordOwner::Admin).await.unwrap();
    edit.commit().await.unwrap();
    assert!(!known("d").await && remember("d").await && known("d").await);
    // The same password as another program has hashed it.
    let again = door.login.hash(Secret::new("pencil".to_owned())).await.unwrap();
    let foreign = "UPDATE virtual_users SET password = ? WHERE email = 'ann@a.test'";
    world.directory.database().execute(foreign, &[again.expose().into()]).await.unwrap();
    assert!(!known("d").await);
    assert!(remember("e").await && known("e").await);
    door.live.set(LoginSettings { cost: 4, two_factor_remember: Span::seconds(0), ..Default::default() });
    assert!(!known("e").await && !remember("f").await);
    door.live.set(LoginSettings { cost: 4, ..Default::default() });
    assert!(known("e").await);
    door.keyring().turn_off_two_factor(&ann, "a test").await.unwrap();
    world.clock.advance(Duration::from_secs(60));
    assert!(enrol(&world, &door).await.is_some() && !known("e").await);
    assert!(door.enter("pencil", Some(&codes[0])).await.is_err());
    let changes = door.events(EventKind::TwoFactor).await;
    assert!(
        changes.iter().any(|change| change == "browser remembered")
            && changes.iter().any(|change| change == "browsers forgotten")
    );
}

async fn guessing_codes_ends_soon(database: Database) {
    let (world, door) = open(database, LoginSettings { two_factor_tries: 5, ..Default::default() }).await;
    let Some((secret, codes)) = enrol(&world, &door).await else { return };
    // At the same time, so that none waits for another's answer.
    let guesses = (0..20).map(|n| {
        let (door, code) = (&door, format!("{n:06}"));
        async move { door.enter("pencil", Some(&code)).await.unwrap_err().kind }
    });
    let answers = futures_util::future::join_all(guesses).await;
    let looked_at = answers.iter().filter(|kind| **kind == Kind::AuthenticationFailed).count();
    assert!((1..=5).contains(&looked_at) && answers.iter().filter(|kind| **kind == Kind::TooMany).count() >= 15);
    world.clock.advance(Duration::from_secs(60));
    let right = code(&world, &secret, 0).await.unwrap();
    assert_eq!(door.enter("pencil", Some(&right)).await.unwrap_err().kind, Kind::TooMany);
    assert_eq!(door.enter("pencil", Some(&codes[0])).await.unwrap_err().kind, Kind::TooMany);
    world.clock.advance(Duration::from_mins(15));
    let right = code(&world, &secret, 0).await.unwrap();
    assert!(is_in(&door.enter("pencil", Some(&right)).await));
    // The right one resets the count.
    for _ in 0..4 {
        assert_eq!(door.enter("pencil", Some("000000")).await.unwrap_err().kind, Kind::AuthenticationFailed);
    }
    world.clock.advance(Duration::from_secs(60));
    let right = code(&world, &secret, 0).await.unwrap();
    assert!(is_in(&door.enter("pencil", Some(&right)).await));
    // While the clock is ahead, every code is wrong; once it is right again, those tries keep nobody out.
    world.clock.advance(Duration::from_secs(60));
    for (minutes, wanted) in [(20, true), (10, false)] {
        let ahead = world.shared_clock().now() + Duration::from_mins(minutes);
        let tried = "UPDATE two_factor SET tries = 5, tried_at = ?";
        world.directory.database().execute(tried, &[ahead.into()]).await.unwrap();
        world.clock.advance(Duration::from_secs(30));
        let right = code(&world, &secret, 0).await.unwrap();
        assert_eq!(is_in(&door.enter("pencil", Some(&right)).await), wanted, "{minutes}");
    }
}

async fn mail_programs_need_app_passwords_then(database: Database) {
    let (world, door) = open(database, LoginSettings::default()).await;
    let app_password = make(&door, "Telephone", "all").await;
    door.verify("pencil", Service::Imap).await.unwrap();
    if enrol(&world, &door).await.is_none() {
        return;
    }
    for service in [Service::Imap, Service::Pop3, Service::Submission, Service::ManageSieve] {
        let refusal = door.verify("pencil", service).await.unwrap_err();
        assert!(refusal.public.contains("use an app password"), "{refusal}");
        assert_eq!((refusal.kind, refusal.smtp), (Kind::AuthenticationFailed, Some((534, "5.7.9".into()))));
        assert_eq!(smtp(door.verify("wrong", service).await), Some((535, "5.7.8".into())));
        door.verify(&app_password, service).await.unwrap();
    }
    door.live.set(LoginSettings { cost: 4, password_with_two_factor: PasswordReach::Everything, ..Default::default() });
    door.verify("pencil", Service::Imap).await.unwrap();
}

async fn what_is_required_is_asked_of_those_it_is_required_of(database: Database) {
    let (world, door) = open(database, LoginSettings::default()).await;
    let ann = account(&world).await;
    assert_eq!(door.login.need(&ann), Need::Nothing);
    for settings in [
        LoginSettings { two_factor: TwoFactorPolicy::Required, cost: 4, ..Default::default() },
        LoginSettings { two_factor_domains: vec![domain("a.test")], cost: 4, ..Default::default() },
    ] {
        door.live.set(settings);
        assert_eq!(door.login.need(&ann), Need::Enrolment);
        assert!(is_in(&door.enter("pencil", None).await), "to turn it on");
        let refusal = door.verify("pencil", Service::Imap).await.unwrap_err();
        assert!(refusal.public.contains("turn it on in the webmail"), "{refusal}");
    }
    door.live.set(LoginSettings { two_factor_domains: vec![domain("b.test")], cost: 4, ..Default::default() });
    assert_eq!(door.login.need(&ann), Need::Nothing);
    door.verify("pencil", Service::Imap).await.unwrap();
}

async fn secrets_are_sealed_under_the_key(database: Database) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    std::fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
    let settings = LoginSettings { two_factor_key_file: Some(file.clone()), ..Default::default() };
    let (world, door) = open(database.clone(), settings).await;
    let Some((secret, _)) = enrol(&world, &door).await else { return };
    let kept = database.fetch_optional("SELECT secret FROM two_factor", &[]).await.unwrap().unwrap().text(0).unwrap();
    assert!(kept.starts_with("aes-256-gcm:") && !kept.contains(&secret), "{kept}");
    world.clock.advance(Duration::from_secs(30));
    let right = code(&world, &secret, 0).await.unwrap();
    std::fs::write(&file, "another key, as long as it has to be").unwrap();
    assert_eq!(door.enter("pencil", Some(&right)).await.unwrap_err().kind, Kind::Temporary, "not: a wrong code");
    std::fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
    assert!(is_in(&door.enter("pencil", Some(&right)).await));
    // A new address keeps the second factor, or is refused.
    let (ann, anna) = (address("ann@a.test"), address("anna@a.test"));
    let (root, summarizer) =
        (directory.path().join("mail"), Summarizer { version: 1, summarize: |_| Vec::new(), fuller: None });
    std::fs::create_dir(&root).unwrap();
    let (live, clock) = (Live::new(MailboxSettings::default()), std::sync::Arc::new(SystemClock));
    let mailboxes = Mailboxes::open(&root, live, clock, Tasks::new(), summarizer).unwrap();
    let renaming = Renaming { from: &ann, to: &anna, old: OldAddress::GivenUp, tag_separator: None };
    let error = rename(&world.directory, &mailboxes, &renaming, None).await.unwrap_err();
    assert!(matches!(error, RenameError::TwoFactor(_)), "{error:?}");
    rename(&world.directory, &mailboxes, &renaming, Some(&file)).await.unwrap();
    world.clock.advance(Duration::from_secs(30));
    let next = code(&world, &secret, 0).await.unwrap();
    let attempt = LoginAttempt { username: anna.to_string(), ..attempt("pencil", Service::Web) };
    assert!(is_in(&door.login.enter(attempt, SecondFactor { code: Some(&next), browsers: &[] }).await));
}

async fn sessions_end_with_what_opened_them(database: Database) {
    // The interval is long: after its own changes this process checks by itself.
    let settings = LoginSettings { look_again: Span::hours(1), ..Default::default() };
    let (world, door) = open(database.clone(), settings).await;
    let watching = world.tasks.spawn(door.login.clone().watch_over(world.tasks.clone()));
    let stop = CancellationToken::new();
    let (one, other) = (make(&door, "One", "all").await, make(&door, "Other", "all").await);
    let begin = async |password: &str, service| {
        let stay = door.verify(password, service).await.unwrap().stay;
        let until = stay.until(&stop);
        (stay, until)
    };
    let by_one = begin(&one, Service::Imap).await;
    let by_other = begin(&other, Service::Submission).await;
    let by_password = begin("pencil", Service::Imap).await;
    let soon = async |(stay, until): &(Stay, CancellationToken)| {
        let ended = tokio::time::timeout(Duration::from_secs(20), until.cancelled()).await;
        assert!(ended.is_ok() && stay.is_over());
    };
    door.keyring().revoke(&address("ann@a.test"), "One", "a test").await.unwrap();
    soon(&by_one).await;
    assert!(!stop.is_cancelled() && !by_other.0.is_over() && !by_password.0.is_over());
    let mut edit = world.directory.edit().await.unwrap();
    let hash = door.login.hash(Secret::new("crayon".to_owned())).await.unwrap();
    edit.set_password(&address("ann@a.test"), &hash, PasswordOwner::User).await.unwrap();
    edit.commit().await.unwrap();
    soon(&by_password).await;
    assert!(!by_other.0.is_over(), "it has nothing to do with the password");
    let by_password = begin("crayon", Service::Imap).await;
    if enrol(&world, &door).await.is_some() {
        soon(&by_password).await;
    }
    let mut edit = world.directory.edit().await.unwrap();
    edit.archive_user(&address("ann@a.test")).await.unwrap();
    edit.commit().await.unwrap();
    soon(&by_other).await;
    let ended = door.events(EventKind::LoginEnded).await;
    assert!(ended.len() >= 3 && ended[0] == "app password revoked" && ended[1] == "password changed", "{ended:?}");
    // By another program, behind our back: found when it is time to look again.
    let quick = LoginSettings { cost: 4, look_again: Span::seconds(0), ..Default::default() };
    door.live.set(quick);
    world.directory.forget();
    let bob = LoginAttempt { username: "bob@a.test".to_owned(), ..attempt("pencil", Service::Pop3) };
    let bob = door.login.verify(bob).await.unwrap().stay;
    let until = bob.until(&stop);
    let sql = "UPDATE virtual_users SET enabled = 0 WHERE password = ?";
    assert!(database.execute(sql, &[PENCIL.into()]).await.unwrap() > 0);
    soon(&(bob, until)).await;
    world.tasks.stop(Duration::from_secs(5)).await;
    watching.await.unwrap();
}
