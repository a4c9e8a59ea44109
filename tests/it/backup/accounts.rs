//! Lost accounts restored with their mail.

use super::whole::furnished;
use super::world::{backup, deliver, done, message, settings};
use crate::harness::{Host, Imap};
use postrider::config::Protocol;
use postrider::foundations::address::Address;
use postrider::foundations::clock::Timestamp;
use postrider::services::login::AppPasswordWish;
use postrider::storage::directory::Scopes;

/// Deletes an account from the database, as somebody with SQL does.
async fn forget(host: &Host, statements: &[&'static str]) {
    for sql in statements {
        host.parts().database.execute(*sql, &[]).await.unwrap();
    }
    host.parts().directory.forget();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_account_comes_back_with_its_mail() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    // Another program has written several destinations into one row.
    let several = "UPDATE virtual_aliases SET destination = 'bob@example.test, ann@example.test'";
    forget(&host, &["UPDATE virtual_users SET quota_mb = 77 WHERE email = 'ann@example.test'", several]).await;
    let ann: Address = "ann@example.test".parse().unwrap();
    let keyring = host.parts().login.keyring();
    let wish = AppPasswordWish { name: "Telephone".to_owned(), scopes: Scopes::all(), ends_at: None };
    let made = keyring.add(&ann, wish, 25, "a test").await.unwrap();
    done(&host, &["create"]).await;
    let gone = ["DELETE FROM virtual_aliases", "DELETE FROM virtual_users WHERE email = 'ann@example.test'"];
    forget(&host, &gone).await;
    // A folder alone is no reason to create an account.
    let folder = done(&host, &["restore", "--live", "--user", "ann@example.test", "--folder", "INBOX"]).await;
    assert!(folder["accounts"].is_null(), "{folder}");
    let restored = done(&host, &["restore", "--live", "--user", "ann@example.test"]).await;
    let account = &restored["accounts"][0];
    assert_eq!((&account["address"], &account["quota"]), (&"ann@example.test".into(), &"77M".into()), "{restored}");
    assert_eq!((&account["password"], &account["domain"]), (&true.into(), &false.into()));
    assert_eq!(account["aliases"], serde_json::json!(["sales@example.test -> ann@example.test"]));
    // She logs in with her password, and gets what is sent to the alias.
    let mut imap = host.imap("ann@example.test").await;
    let opened = imap.ok("SELECT INBOX").await;
    assert_eq!(opened.number("EXISTS"), Some(29));
    let mut telephone = Imap::greeted(host.tls(Protocol::Imaps).await).await;
    telephone.ok(&format!("LOGIN ann@example.test {}", made.password.expose())).await;
    let reply = host.smtp().await.deliver("eve@elsewhere.test", &["sales@example.test"], &message("n@x", 1)).await;
    assert_eq!(reply.code, 250, "{}", reply.text());

    // An existing one stays as it is.
    let changed = postrider::foundations::secret::Secret::new("{BLF-CRYPT}$2y$04$another".to_owned());
    let mut edit = host.parts().directory.edit().await.unwrap();
    edit.set_password(&ann, &changed, postrider::storage::directory::PasswordOwner::User).await.unwrap();
    edit.commit().await.unwrap();
    let again = done(&host, &["restore", "--live", "--user", "ann@example.test"]).await;
    assert!(again["accounts"].is_null(), "{again}");
    let now = host.parts().directory.account_now(&ann).await.unwrap().unwrap();
    assert_eq!(now.password.expose(), changed.expose());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_domain_comes_back_with_its_users() {
    let destination = tempfile::tempdir().unwrap();
    let host = furnished(&destination).await;
    let guard = [
        "INSERT INTO two_factor (user_id, secret, made_at, confirmed_at, last_step) \
         SELECT id, 'plain:GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ', 1, 2, 3 FROM virtual_users WHERE email = 'ann@example.test'",
        "INSERT INTO recovery_codes (user_id, digest) SELECT user_id, 'ab' FROM two_factor",
    ];
    forget(&host, &guard).await;
    done(&host, &["create"]).await;
    forget(&host, &["DELETE FROM virtual_domains"]).await;
    let restored = done(&host, &["restore", "--live", "--domain", "example.test"]).await;
    assert_eq!(restored["accounts"].as_array().unwrap().len(), 2, "{restored}");
    assert_eq!(restored["present"], 38);
    host.parts().directory.forget();
    // The user with a second factor has it again: the password alone opens nothing.
    let ann = host.parts().directory.account_now(&"ann@example.test".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(ann.two_factor_since, Some(Timestamp::from_unix_micros(2)));
    assert_eq!(host.parts().directory.two_factor(ann.id).await.unwrap().unwrap().recovery_codes, 1);
    let mut imap = host.imap("bob@example.test").await;
    imap.ok("SELECT INBOX").await;
    let (said, code) = backup(&host, &["restore", "--live", "--user", "nobody@example.test"]).await;
    assert_eq!(code, 4, "{said}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_without_mail_come_back_too() {
    let destination = tempfile::tempdir().unwrap();
    let host = Host::start()
        .user("ann@example.test")
        .user("carl@example.test")
        .user("dora@example.test")
        .settings(&settings(destination.path()))
        .await;
    deliver(&host, "ann@example.test", ["a@x".to_owned()]).await;
    let script = host.mail_root().join("example.test/carl/sieve/main.sieve");
    std::fs::create_dir_all(script.parent().unwrap()).unwrap();
    std::fs::write(&script, "keep;").unwrap();
    done(&host, &["create"]).await;
    std::fs::remove_dir_all(host.mail_root().join("example.test/carl")).unwrap();
    forget(&host, &["DELETE FROM virtual_users WHERE email <> 'ann@example.test'"]).await;

    // The database is not empty, so nobody is restored unless requested.
    let (said, code) = backup(&host, &["restore", "--live"]).await;
    assert_eq!(code, 5, "{said}");
    assert_eq!(said["accounts_missing"], serde_json::json!(["carl@example.test", "dora@example.test"]));
    std::fs::remove_dir_all(host.mail_root().join("example.test/carl")).unwrap();

    let restored = done(&host, &["restore", "--live", "--user", "carl@example.test"]).await;
    assert_eq!(restored["accounts"][0]["address"], "carl@example.test", "{restored}");
    assert_eq!(std::fs::read_to_string(&script).unwrap(), "keep;");
    // For the other one there is not even a directory.
    let restored = done(&host, &["restore", "--live", "--domain", "example.test"]).await;
    assert_eq!(restored["accounts"].as_array().unwrap().len(), 1, "{restored}");
    assert_eq!(restored["accounts"][0]["address"], "dora@example.test");
    forget(&host, &["DELETE FROM virtual_users WHERE email = 'dora@example.test'"]).await;
    let restored = done(&host, &["restore", "--live", "--user", "dora@example.test"]).await;
    assert_eq!(restored["accounts"][0]["password"], true, "{restored}");
    host.parts().directory.forget();
    host.imap("carl@example.test").await.ok("SELECT INBOX").await;
    host.imap("dora@example.test").await.ok("SELECT INBOX").await;
    host.stop().await;
}
