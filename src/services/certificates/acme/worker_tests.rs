use super::*;
use crate::foundations::clock::{Clock as _, SystemClock};
use crate::foundations::dns::ZoneResolver;
use crate::services::certificates::{CertificatesParts, SelfSigned};
use crate::storage::database::test_database;

/// A worker for the certificates of these settings, and the certificates so far.
fn worker(settings: TlsSettings) -> (Acme, Arc<Certificates>) {
    let settings = Live::new(settings);
    let parts = CertificatesParts {
        settings: settings.clone(),
        hostname: Live::new("mail.example.test".parse().unwrap()),
        resolver: Arc::new(ZoneResolver::new()),
        clock: Arc::new(SystemClock),
        journal: Journal::lines_only(),
    };
    let certificates = Certificates::open(parts).unwrap();
    let acme = Acme::new(settings, Arc::clone(&certificates), Arc::new(SystemClock), Journal::lines_only());
    (acme, certificates)
}

#[tokio::test]
async fn what_was_obtained_and_waits_for_another_file_is_not_ordered_again() {
    let (directory, now) = (tempfile::tempdir().unwrap(), SystemClock.now());
    let other = SelfSigned::keep_in(&directory.path().join("other"), &["other.example.test"], now).unwrap();
    // An authority whose terms are not agreed to is not even asked: the attempt fails at once.
    let names = vec!["mx1.example.test".parse().unwrap()];
    let wanted = AcmeCertificate { names, terms_agreed: false, ..AcmeCertificate::default() };
    let state = directory.path().join("acme");
    let file = wanted.file(&state).unwrap();
    let (acme, certificates) = worker(TlsSettings {
        certificates: vec![other.clone()],
        acme: vec![wanted.clone()],
        acme_state: state.clone(),
        ..TlsSettings::default()
    });
    let attempts = async || {
        let mut plans = HashMap::new();
        acme.attend(&wanted, &file, &state, &mut plans).await;
        plans[&file].failures
    };
    assert_eq!(attempts().await, 1, "something stands in");

    // As an attempt leaves them while the key of another certificate cannot be read.
    let made = SelfSigned::make(&["mx1.example.test"], now).unwrap();
    let text = format!("{}\n{}", made.certificate, made.key.expose());
    files::write_durable(&file, text.as_bytes(), 0o640).unwrap();
    let key = std::fs::read(&other.key).unwrap();
    std::fs::write(&other.key, "").unwrap();
    assert!(certificates.reload().await.is_err());
    assert_eq!(attempts().await, 0, "it has been obtained");
    assert!(acme.unserved(&file).is_some(), "and is not served");

    std::fs::write(&other.key, key).unwrap();
    certificates.reload().await.unwrap();
    assert!(acme.unserved(&file).is_none(), "and now it is");
}

#[tokio::test]
async fn who_has_lost_the_duty_meanwhile_orders_nothing_more() {
    let (directory, database) = test_database().await;
    let within = |name: &str| directory.path().join(name);
    let root = SelfSigned::make(&["127.0.0.1"], SystemClock.now()).unwrap().authority;
    std::fs::write(within("root.pem"), root).unwrap();
    let listen = async || tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (first, second) = (listen().await, listen().await);
    let wanted = |name: &str, authority: &tokio::net::TcpListener| AcmeCertificate {
        names: vec![name.parse().unwrap()],
        authority: format!("https://{}/directory", authority.local_addr().unwrap()),
        terms_agreed: true,
        authority_root: Some(within("root.pem")),
        ..AcmeCertificate::default()
    };
    let (acme, certificates) = worker(TlsSettings {
        acme: vec![wanted("mx1.example.test", &first), wanted("mx2.example.test", &second)],
        acme_state: within("acme"),
        ..TlsSettings::default()
    });
    let (_request, requests) = mpsc::channel(1);
    let tasks = Tasks::new();
    let acme = Arc::new(acme.among(Some(Duties::new(database.clone(), "a"))));
    tasks.spawn(acme.run(Arc::new(Mutex::new(requests)), tasks.clone()));

    // The first authority is silent until another node has the duty.
    let (silent, _) = tokio::time::timeout(Duration::from_secs(60), first.accept()).await.unwrap().unwrap();
    let sql = "UPDATE duties SET node = 'b', lease_end = ?";
    assert_eq!(database.execute(sql, &[i64::MAX.into()]).await.unwrap(), 1);
    drop(silent);
    let failed = async {
        while certificates.states()[0].problem.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), failed).await.unwrap();
    let asked = tokio::time::timeout(Duration::from_millis(300), second.accept()).await;
    assert!(asked.is_err(), "the other node may be asking it now");
    assert!(tasks.stop(Duration::from_secs(10)).await);
    database.close().await;
}

#[tokio::test]
async fn a_wish_at_a_node_without_the_duty_orders_nothing() {
    let (directory, database) = test_database().await;
    // An attempt would fail at once, and be counted.
    let names = vec!["mx1.example.test".parse().unwrap()];
    let wanted = AcmeCertificate { names, terms_agreed: false, ..AcmeCertificate::default() };
    let (acme, _) =
        worker(TlsSettings { acme: vec![wanted], acme_state: directory.path().join("acme"), ..TlsSettings::default() });
    let acme = acme.among(Some(Duties::new(database.clone(), "a")));
    let other = Duties::new(database.clone(), "b");
    assert!(other.take(DUTY, DUTY_LEASE).await.unwrap());
    for (attempts, problem) in [(0, "another node"), (1, "terms")] {
        let (mut plans, (done, told)) = (HashMap::new(), oneshot::channel());
        acme.fulfil(RenewalRequest { name: None, administrator: None, done }, &mut plans).await;
        let renewals = told.await.unwrap();
        let told = renewals[0].problem.as_deref().unwrap();
        assert!(told.contains(problem), "{told}");
        assert_eq!(plans.values().map(|plan: &Plan| plan.failures).sum::<u32>(), attempts);
        other.leave(DUTY).await.unwrap();
    }
    database.close().await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_replaced() {
    let (directory, now) = (tempfile::tempdir().unwrap(), SystemClock.now());
    let names = vec!["mx1.example.test".parse().unwrap()];
    let wanted = AcmeCertificate { names, terms_agreed: false, ..AcmeCertificate::default() };
    let state = directory.path().join("acme");
    let file = wanted.file(&state).unwrap();
    files::create_directory(&state, 0o750).unwrap();
    let made = SelfSigned::make(&["mx1.example.test"], now).unwrap();
    for (authority, attempts) in [
        (String::new(), 0),
        (format!("{AUTHORITY}{}\n", wanted.authority), 0),
        (format!("{AUTHORITY}https://staging.test/directory\n"), 1),
    ] {
        let text = format!("{authority}{}\n{}", made.certificate, made.key.expose());
        files::write_durable(&file, text.as_bytes(), 0o640).unwrap();
        let settings = TlsSettings { acme: vec![wanted.clone()], acme_state: state.clone(), ..TlsSettings::default() };
        let (acme, _) = worker(settings);
        let mut plans = HashMap::new();
        acme.attend(&wanted, &file, &state, &mut plans).await;
        assert_eq!(plans[&file].failures, attempts, "{authority}");
    }
}
