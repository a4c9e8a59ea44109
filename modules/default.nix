# The NixOS module of Postrider. Imports only, each file after those whose options it reads.
{
  imports = [
    ./service.nix # enable, package, hostname, settings, the checked configuration file, users and groups
    ./listeners.nix # which protocols, on which addresses and ports
    ./domains.nix # domains, users, aliases, and what is refused about them
    ./database.nix # SQLite, MariaDB or PostgreSQL
    ./secrets.nix # files that the roles get from systemd
    ./outgoing.nix # DKIM signatures, senders of forwarded mail, a smarthost
    ./certificates.nix # where the TLS certificates come from
    ./spam.nix # thresholds, rules, ClamAV, milters, the local resolver
    ./sieve.nix # scripts of the site
    ./dashboard.nix # monitoring page
    ./webmail.nix # mail in a browser
    ./dav.nix # calendars and contacts
    ./two-factor.nix # who must have two-factor login, and the key of its secrets
    ./cluster.nix # one of several nodes over the same mailboxes
    ./units.nix # one systemd unit per role, its sockets and its sandbox
    ./set-up-links.nix # the page where users choose their password
    ./reverse-proxy.nix # nginx for the monitoring page, the webmail, calendars and contacts, autoconfig and MTA-STS
    ./web.nix # settings for mail programs and policies on TLS, answered by the server itself
    ./plan.nix # what may be taken from users by a change of the declaration
    ./firewall.nix # the ports of the enabled protocols
    ./bans.nix # bans in the packet filter
    ./backup.nix # backups and their drill, by timers
    ./monitoring.nix # Prometheus
    ./reports.nix # JSON reports and the summary, by a timer
    ./local-mail.nix # `sendmail` for the programs of this machine
    ./dns.nix # the records to publish
    ./appliance.nix # a machine that is only this
    ./renamed.nix # options that have moved
  ];
}
