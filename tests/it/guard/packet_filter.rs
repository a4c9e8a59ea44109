//! Bans are passed on to the packet filter.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use postrider::foundations::tasks::Tasks;
use postrider::services::guard::{GuardSettings, NftablesSettings};
use postrider::storage::database::Dialect;

use super::{Machine, journal, machine};
use crate::accounts::engines::run;
use crate::harness::TestClock;

#[test]
fn the_packet_filter_is_told() {
    run(Dialect::Sqlite, |database| async move {
        let place = tempfile::tempdir().unwrap();
        let (program, written) = (place.path().join("nft"), place.path().join("calls"));
        std::fs::write(&program, format!("#!/bin/sh\necho \"$@\" >> {}\n", written.display())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let (clock, tasks) = (TestClock::new(), Tasks::new());
        let journal = journal(&database, &clock, &tasks);
        let settings =
            NftablesSettings { table: Some("inet filter".to_owned()), program, ..NftablesSettings::default() };
        let mut one = machine(&database, &clock, &journal, settings.clone());
        one.misbehave();
        one.sharing.exchange().await.unwrap();
        one.sharing.exchange().await.unwrap();
        one.guard.unban("192.0.2.7/32".parse().unwrap(), None);
        one.sharing.exchange().await.unwrap();
        one.guard.ban("2001:db8::/48".parse().unwrap(), None, "by hand", None).unwrap();
        one.sharing.exchange().await.unwrap();
        // After a restart the set is filled again.
        let mut again = machine(&database, &clock, &journal, settings);
        again.sharing.exchange().await.unwrap();
        // Also after a reload, and from time to time, since the filter may have been loaded anew.
        again.sharing.exchange().await.unwrap();
        again.settings.set(GuardSettings::clone(&again.settings.get()));
        again.sharing.exchange().await.unwrap();
        clock.advance(Duration::from_secs(3_600));
        again.sharing.exchange().await.unwrap();
        again.sharing.exchange().await.unwrap();
        assert_eq!(
            std::fs::read_to_string(&written).unwrap(),
            "add element inet filter postrider4 { 192.0.2.7/32 timeout 600s }\n\
             delete element inet filter postrider4 { 192.0.2.7/32 }\n\
             add element inet filter postrider6 { 2001:db8::/48 }\n\
             add element inet filter postrider6 { 2001:db8::/48 }\n\
             add element inet filter postrider6 { 2001:db8::/48 }\n\
             add element inet filter postrider6 { 2001:db8::/48 }\n"
        );
        tasks.stop(Duration::from_secs(10)).await;
    });
}

#[test]
fn the_packet_filter_is_told_of_many_bans_at_once() {
    run(Dialect::Sqlite, |database| async move {
        let place = tempfile::tempdir().unwrap();
        let (program, written) = (place.path().join("nft"), place.path().join("calls"));
        // Like the kernel, it refuses a whole batch when it refuses one entry.
        let script = "#!/bin/sh\necho \"$@\" >> CALLS\ncase \"$*\" in *192.0.2.9*) exit 1;; esac\n";
        std::fs::write(&program, script.replace("CALLS", &written.display().to_string())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let (clock, tasks) = (TestClock::new(), Tasks::new());
        let journal = journal(&database, &clock, &tasks);
        let settings = NftablesSettings { table: Some("filter".to_owned()), program, ..NftablesSettings::default() };
        let mut one = machine(&database, &clock, &journal, settings);
        let calls_with = |word: &str| {
            let calls = std::fs::read_to_string(&written).unwrap();
            calls.lines().filter(|line| line.contains(word)).count()
        };
        let ban = |n: u32| one.guard.ban(format!("198.51.100.{n}/32").parse().unwrap(), None, "", None).unwrap();
        (1..=40).for_each(ban);
        one.sharing.exchange().await.unwrap();
        one.sharing.exchange().await.unwrap();
        assert_eq!(calls_with("add element"), 1);
        // A refused entry keeps nothing else out, and is tried again.
        for n in 7..=9 {
            one.guard.ban(format!("192.0.2.{n}/32").parse().unwrap(), None, "", None).unwrap();
        }
        one.sharing.exchange().await.unwrap();
        one.sharing.exchange().await.unwrap();
        assert_eq!((calls_with("192.0.2.7/32"), calls_with("192.0.2.8/32")), (2, 2));
        assert!(calls_with("192.0.2.9/32") > 2);
        tasks.stop(Duration::from_secs(10)).await;
    });
}

#[test]
fn bans_that_overlap_are_told_to_the_packet_filter_one_after_the_other() {
    run(Dialect::Sqlite, |database| async move {
        let place = tempfile::tempdir().unwrap();
        let (program, written) = (place.path().join("nft"), place.path().join("calls"));
        // Like the kernel, it accepts no network that contains one in the set.
        let script = "#!/bin/sh\necho \"$@\" >> CALLS\ncase \"$*\" in *192.0.2.0/24*)\n\
                      grep -q '^delete .*192.0.2.9/32' CALLS || { echo 'Error: interval overlaps with an existing one' >&2; exit 1; };;\n\
                      esac\n";
        std::fs::write(&program, script.replace("CALLS", &written.display().to_string())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let (clock, tasks) = (TestClock::new(), Tasks::new());
        let journal = journal(&database, &clock, &tasks);
        let settings = NftablesSettings { table: Some("filter".to_owned()), program, ..NftablesSettings::default() };
        let ban = |machine: &Machine, network: &str, length| {
            machine.guard.ban(network.parse().unwrap(), length, "", None).unwrap();
        };
        let mut one = machine(&database, &clock, &journal, settings.clone());
        ban(&one, "192.0.2.9/32", None);
        one.sharing.exchange().await.unwrap();
        std::fs::write(&written, "").unwrap();
        let mut elsewhere = machine(&database, &clock, &journal, NftablesSettings::default());
        ban(&elsewhere, "192.0.2.0/24", Some(Duration::from_secs(600)));
        elsewhere.sharing.exchange().await.unwrap();
        // A process that did not add the narrow one removes it all the same.
        let mut restarted = machine(&database, &clock, &journal, settings);
        restarted.sharing.exchange().await.unwrap();
        one.sharing.exchange().await.unwrap();
        // When the wide one expires, the narrow one takes its place.
        clock.advance(Duration::from_secs(600));
        one.sharing.exchange().await.unwrap();
        let (wide, narrow) = ("filter postrider4 { 192.0.2.0/24 timeout 600s }", "filter postrider4 { 192.0.2.9/32 }");
        assert_eq!(
            std::fs::read_to_string(&written).unwrap(),
            format!(
                "add element {wide}\ndelete element {narrow}\nadd element {wide}\n\
                 delete element {narrow}\nadd element {wide}\n\
                 add element {narrow}\n"
            )
        );
        tasks.stop(Duration::from_secs(10)).await;
    });
}
