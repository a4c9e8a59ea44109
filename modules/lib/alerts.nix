# What somebody has to be alerted to, from the metrics in docs/metrics.md. Every rule says what to look at.
{
  job,
  # How old the last backup may become, and whether there is to be one at all.
  backupAge ? "2d",
  hasBackup ? false,
  # How old the last drill that went well may become, and whether there are to be any.
  drillAge ? "3w",
  hasDrill ? false,
  # How old the last copy of the backups elsewhere may become, and whether there is to be any.
  copyAge ? "5w",
  hasCopy ? false,
}:
let
  rule = alert: expr: wait: severity: summary: {
    inherit alert expr;
    "for" = wait;
    labels = { inherit severity; };
    annotations = { inherit summary; };
  };
  # Machines whose figures come, but not those of a role.
  without =
    role:
    ''(up{job="${job}"} == 1 unless on (instance) postrider_start_seconds{job="${job}",role=~".*${role}.*"})'';
  # As seconds: PromQL calculates with numbers.
  units = {
    h = 3600;
    d = 86400;
    w = 7 * 86400;
  };
  seconds =
    age:
    let
      parts = builtins.match "([0-9]+)([hdw])" age;
    in
    toString (builtins.fromJSON (builtins.elemAt parts 0) * units.${builtins.elemAt parts 1});
  # As a share of the whole.
  room = "postrider_disk_free_bytes / postrider_disk_size_bytes";
  oldest = seconds backupAge;
  succeeded = "postrider_backup_succeeded_seconds{run=\"created\"}";
  copied = "postrider_backup_succeeded_seconds{run=\"pushed\"}";
  proven = "postrider_backup_succeeded_seconds{run=\"drill\"}";
in
{
  groups = [
    {
      name = "postrider";
      rules = [
        (rule "PostriderDown" ''up{job="${job}"} == 0'' "5m" "critical"
          "The monitoring role does not answer; look at `systemctl status 'postrider-*'`."
        )
        (rule "PostriderRoleDown" "${without "mta"} or ${without "access"}" "5m" "critical"
          "A role does not answer, so mail cannot be received or read; look at `systemctl status 'postrider-*'`."
        )
        (rule "PostriderListenerUnopened" "postrider_listener_unopened > 0" "1m" "critical"
          "A port is not served, perhaps because another program uses it; look at `postrider doctor`."
        )
        (rule "PostriderDatabaseDown" "postrider_database_up == 0" "2m" "critical"
          "The database does not answer, so mail is deferred and nobody can log in; look at `postrider doctor` and the database's own unit."
        )
        # While it does not answer, the rule above says so.
        (rule "PostriderDatabaseUnwritable"
          "postrider_database_writable == 0 unless on (instance) postrider_database_up == 0"
          "5m"
          "critical"
          "The database can be read but not written to, so mail is deferred: it is read-only, locked, or belongs to another user; look at `postrider doctor`."
        )
        (rule "PostriderDiskFull" "${room} < 0.03" "5m" "critical"
          "The disk for the {{ $labels.purpose }} is full or almost full, so mail is deferred or backups fail; free some space."
        )
        (rule "PostriderDiskNearlyFull" "${room} < 0.1" "15m" "warning"
          "Less than a tenth of the disk for the {{ $labels.purpose }} is free; free some space before mail is deferred."
        )
        (rule "PostriderDiskSilent" "postrider_disks_silent > 0" "5m" "critical"
          "A file system does not answer; the monitoring page says which, and `dmesg` may say why."
        )
        (rule "PostriderQueueOld" "postrider_queue_oldest_seconds > 4 * 3600" "10m" "warning"
          "A message has been waiting for more than four hours; look at `postrider queue list`."
        )
        (rule "PostriderQueueLong" "postrider_queue_waiting > 1000" "15m" "warning"
          "More than a thousand recipients wait; an account may be sending spam, or a large receiver refuses us; look at `postrider report summary`."
        )
        (rule "PostriderQueueHeld" "postrider_queue_held > 0" "1h" "warning"
          "Recipients wait for an administrator; look at `postrider queue list`."
        )
        (rule "PostriderSendingRise" "postrider_sending_rises > 0" "0m" "warning"
          "An account suddenly sends much more than it used to, as with a stolen password; look at `postrider trace ADDRESS`."
        )
        (rule "PostriderCertificateEnds" "postrider_certificate_seconds < 14 * 86400" "1h" "critical"
          "A certificate expires within two weeks and has not been renewed; look at `postrider certificate list` and at what renews it."
        )
        (rule "PostriderCertificateStandsIn" "postrider_certificates_standing_in > 0" "1h" "critical"
          "A certificate that nobody trusts is served, since none was obtained; look at `postrider certificate check`."
        )
        (rule "PostriderCertificateFailed" "postrider_certificate_failed > 0" "1h" "warning"
          "A certificate cannot be read, obtained or renewed; `postrider certificate check` says why."
        )
        (rule "PostriderCertificateHeld" "postrider_certificates_held > 0" "1d" "warning"
          "A new certificate waits for its TLSA record; `postrider certificate list` prints what to publish."
        )
        (rule "PostriderCertificateNotServed" "postrider_certificates_not_served > 0" "15m" "critical"
          "A listener does not serve the intended certificate; look at `postrider certificate check`."
        )
        (rule "PostriderEventsLost" "increase(postrider_events_dropped_total[15m]) > 0" "0m" "critical"
          "Events could not be stored and will be missing in `postrider trace`: the database is away or too slow; look at `postrider doctor`."
        )
        # Another process of the dashboard may only read, and then writes no events.
        (rule "PostriderEventsNotWritten"
          "increase(postrider_events_recorded_total{role=~\".*(mta|access).*\"}[10m]) > 0 and increase(postrider_events_written_total[10m]) == 0"
          "5m"
          "critical"
          "Events cannot be written to the database, which may be full, read-only or locked; look at `postrider doctor`."
        )
        (rule "PostriderBackupFailed" "postrider_backup_failed > 0" "5m" "critical"
          "A backup, its check, its copy elsewhere, the removal of old backups or the drill failed; the journal of its unit says why."
        )
        (rule "PostriderDrillDiffers" "postrider_backup_drill_differences > 0" "5m" "critical"
          "The server that the last drill made differs from its backup in {{ $value }} places; `postrider backup drill` names them."
        )
        (rule "PostriderBackupOld" "time() - ${succeeded} > ${oldest} and ${succeeded} > 0" "15m" "critical"
          "The last backup is older than ${backupAge}; look at the timer that calls `postrider backup create`."
        )
        (rule "PostriderClusterLeaseMissing" "postrider_cluster_lease_missing > 0" "2m" "critical"
          "A node has no lease and serves no mailboxes: it does not reach the database, or another machine has the same `cluster.node`; look at its log and at `postrider cluster status`."
        )
        # Every node counts what all have lost.
        (rule "PostriderClusterLeaseLost" "max by (job) (postrider_cluster_leases_lost) > 0" "0m" "warning"
          "A node lost its lease, which ended its sessions: it, or its way to the database, was too slow; look at `postrider trace --kind cluster`."
        )
        (rule "PostriderClusterNodeAway"
          "max by (node) (postrider_cluster_lease_seconds{job=\"${job}\"}) == 0"
          "15m"
          "warning"
          "The node {{ $labels.node }} has had no lease for a while, so the others carry its load; if it will not come back, `postrider cluster forget {{ $labels.node }}`."
        )
        (rule "PostriderHandshakesFail"
          "sum(rate(postrider_connections_failed_total[15m])) > 0.5 * sum(rate(postrider_connections_total[15m])) > 0.1"
          "30m"
          "warning"
          "More than half of the connections fail before they begin; the certificate may not hold the name clients use."
        )
      ]
      ++ (
        if hasBackup then
          [
            (rule "PostriderBackupNever" "${succeeded} == 0" backupAge "critical"
              "No backup has ever succeeded; look at the timer that calls `postrider backup create`."
            )
          ]
        else
          [ ]
      )
      ++ (
        if hasCopy then
          [
            (rule "PostriderCopyOld" "time() - ${copied} > ${seconds copyAge} and ${copied} > 0" "15m"
              "critical"
              "The last copy of the backups elsewhere is older than ${copyAge}; look at `systemctl status postrider-offsite`."
            )
            (rule "PostriderCopyNever" "${copied} == 0" copyAge "critical"
              "The backups were never copied elsewhere; look at `systemctl status postrider-offsite`."
            )
          ]
        else
          [ ]
      )
      ++ (
        if hasDrill then
          [
            (rule "PostriderDrillOld" "time() - ${proven} > ${seconds drillAge} and ${proven} > 0" "15m"
              "warning"
              "No backup was proven for ${drillAge}; look at `systemctl status postrider-drill.timer`."
            )
            (rule "PostriderDrillNever" "${proven} == 0" drillAge "warning"
              "No backup was ever proven; look at `systemctl status postrider-drill.timer`."
            )
          ]
        else
          [ ]
      );
    }
  ];
}
