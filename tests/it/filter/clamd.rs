//! The ClamAV daemon, with a signature of its own for the harmless EICAR test file.

use postrider::foundations::settings::{ByteSize, Span};
use postrider::services::filter::{ClamavSettings, Decision, Endpoint, FilterSettings, OnFailure};

use super::helpers::{PLAIN, judge, listening, mail};
use crate::harness::tools::start;

/// The test file, in two pieces so that no scanner stops at this source.
const EICAR: [&str; 2] = [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR", "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"];

#[tokio::test]
async fn finds_what_it_knows_and_passes_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, log, configuration) =
        (folder.path().join("clamd.sock"), folder.path().join("log"), folder.path().join("clamd.conf"));
    let hexadecimal: String = EICAR.concat().bytes().map(|b| format!("{b:02x}")).collect();
    std::fs::write(folder.path().join("test.ndb"), format!("Test-File:0:*:{hexadecimal}\n")).unwrap();
    let text = format!(
        "LocalSocket {}\nDatabaseDirectory {}\nForeground yes\nUser root\nStreamMaxLength 1M\n",
        socket.display(),
        folder.path().display()
    );
    std::fs::write(&configuration, text).unwrap();
    let Some(_clamd) = start("clamd", &["-c", &configuration.display().to_string()], &log) else { return };
    let endpoint = Endpoint::Unix(socket);
    listening(&endpoint, &log).await;
    let settings = |on_failure, largest| FilterSettings {
        clamav: ClamavSettings { address: Some(endpoint.clone()), on_failure, largest, timeout: Span::seconds(30) },
        ..FilterSettings::default()
    };
    let large = ByteSize::mib(25);

    let (verdict, _) = judge(settings(OnFailure::Later, large), &mail(PLAIN)).await;
    assert!(matches!(verdict.decision, Decision::Accept), "{verdict:?}");

    let infected = format!("{PLAIN}\n{}\n", EICAR.concat());
    let (verdict, _) = judge(settings(OnFailure::Later, large), &mail(&infected)).await;
    let Decision::Refuse(refusal) = verdict.decision else { panic!("{verdict:?}") };
    assert!(refusal.public.contains("Test-File") && refusal.smtp == Some((550, "5.7.1".into())), "{refusal:?}");

    // Larger than clamd accepts: it breaks off, and the configured answer holds.
    let huge = format!("{PLAIN}{}", "0123456789abcdef\n".repeat(100_000));
    let (verdict, _) = judge(settings(OnFailure::Later, large), &mail(&huge)).await;
    assert!(matches!(verdict.decision, Decision::Later(_)), "{:?}", verdict.decision);
    let (verdict, _) = judge(settings(OnFailure::Accept, large), &mail(&huge)).await;
    assert!(matches!(verdict.decision, Decision::Accept), "{:?}", verdict.decision);
    // Above our limit for scanning: accepted unscanned.
    let (verdict, _) = judge(settings(OnFailure::Refuse, ByteSize::mib(1)), &mail(&huge)).await;
    assert!(matches!(verdict.decision, Decision::Accept), "{:?}", verdict.decision);
}
