# A Grafana dashboard of the figures in docs/metrics.md, as the value its JSON is made from.
{ lib, job }:
let
  panel = index: title: unit: targets: {
    inherit title;
    type = "timeseries";
    id = index + 1;
    datasource = {
      type = "prometheus";
      uid = "\${source}";
    };
    fieldConfig.defaults = {
      inherit unit;
      min = 0;
    };
    gridPos = {
      h = 8;
      w = 12;
      x = if lib.mod index 2 == 0 then 0 else 12;
      y = index / 2 * 8;
    };
    targets = lib.imap0 (n: target: {
      refId = builtins.substring n 1 "ABCDEF";
      expr = target.expr;
      legendFormat = target.name;
    }) targets;
  };
  figure = name: expr: { inherit name expr; };
  of = figure: "postrider_${figure}{job=\"${job}\"}";
  rows = [
    {
      title = "New connections";
      unit = "cps";
      targets = [ (figure "{{protocol}}" "sum by (protocol) (rate(${of "connections_total"}[5m]))") ];
    }
    {
      title = "Open connections";
      unit = "short";
      targets = [ (figure "{{protocol}}" "sum by (protocol) (${of "connections_open"})") ];
    }
    {
      title = "Mail in the last hour";
      unit = "short";
      targets = [ (figure "{{fate}}" (of "mail_last_hour")) ];
    }
    {
      title = "Queue";
      unit = "short";
      targets = [
        (figure "waiting" (of "queue_waiting"))
        (figure "held" (of "queue_held"))
        (figure "in quarantine" (of "queue_quarantined"))
        (figure "messages" (of "queue_entries"))
      ];
    }
    {
      title = "Oldest message in the queue";
      unit = "s";
      targets = [ (figure "age" (of "queue_oldest_seconds")) ];
    }
    {
      title = "Mail kept";
      unit = "bytes";
      targets = [ (figure "octets" (of "mailbox_bytes")) ];
    }
    {
      title = "Free on the disks";
      unit = "percentunit";
      targets = [ (figure "{{purpose}}" "${of "disk_free_bytes"} / ${of "disk_size_bytes"}") ];
    }
    {
      title = "Logins in the last hour";
      unit = "short";
      targets = [ (figure "{{result}}" (of "logins_last_hour")) ];
    }
    {
      title = "Accounts";
      unit = "short";
      targets = [
        (figure "users" (of "users"))
        (figure "disabled" (of "users_disabled"))
        (figure "domains" (of "domains"))
      ];
    }
    {
      title = "Failed handshakes and bans";
      unit = "short";
      targets = [
        (figure "failed a second, {{protocol}}" "sum by (protocol) (rate(${of "connections_failed_total"}[5m]))")
        (figure "banned networks" "max(${of "bans"})")
      ];
    }
    {
      title = "Time until the first certificate ends";
      unit = "s";
      targets = [ (figure "left" (of "certificate_seconds")) ];
    }
    {
      title = "Certificates held back, stood in for, or not served";
      unit = "short";
      targets = [
        (figure "held back" (of "certificates_held"))
        (figure "standing in" (of "certificates_standing_in"))
        (figure "not read or obtained" "sum(${of "certificate_failed"})")
        (figure "not served as meant" (of "certificates_not_served"))
      ];
    }
  ];
in
{
  title = "Postrider";
  uid = "postrider";
  editable = false;
  refresh = "1m";
  schemaVersion = 39;
  time = {
    from = "now-24h";
    to = "now";
  };
  templating.list = [
    {
      name = "source";
      label = "Prometheus";
      type = "datasource";
      query = "prometheus";
    }
  ];
  panels = lib.imap0 (index: row: panel index row.title row.unit row.targets) rows;
}
