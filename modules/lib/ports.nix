# Every protocol the server offers to the outside: its port, its role, whether the firewall may open it, and
# whether it is served by default. Sockets, firewall and tests read this one list.
{
  smtp = {
    port = 25;
    role = "mta";
    public = true;
    byDefault = true;
    description = "mail from other servers";
  };
  submission = {
    port = 587;
    role = "mta";
    public = true;
    byDefault = true;
    description = "mail from our users, TLS by STARTTLS";
  };
  submissions = {
    port = 465;
    role = "mta";
    public = true;
    byDefault = true;
    description = "mail from our users, TLS from the start";
  };
  imap = {
    port = 143;
    role = "access";
    public = true;
    byDefault = true;
    description = "mailboxes, TLS by STARTTLS";
  };
  imaps = {
    port = 993;
    role = "access";
    public = true;
    byDefault = true;
    description = "mailboxes, TLS from the start";
  };
  pop3 = {
    port = 110;
    role = "access";
    public = true;
    byDefault = false;
    description = "inboxes, TLS by STLS";
  };
  pop3s = {
    port = 995;
    role = "access";
    public = true;
    byDefault = false;
    description = "inboxes, TLS from the start";
  };
  managesieve = {
    port = 4190;
    role = "access";
    public = true;
    byDefault = false;
    description = "Sieve scripts of users (ManageSieve), TLS by STARTTLS";
  };
  http = {
    port = 80;
    role = "mta";
    public = true;
    byDefault = false;
    description = "answers to certificate authorities";
  };
  https = {
    port = 443;
    # Or `access`, see `pages.nix`.
    role = "mta";
    public = true;
    byDefault = false;
    description = "pages over TLS (webmail, calendars and contacts, set-up links, policies of MTA-STS), and answers to certificate authorities";
  };
  webmail = {
    port = 8081;
    role = "access";
    public = false;
    byDefault = false;
    description = "webmail, without TLS, for a reverse proxy";
  };
  dashboard = {
    port = 8080;
    role = "dashboard";
    public = false;
    byDefault = false;
    description = "monitoring page";
  };
  metrics = {
    port = 9325;
    role = "dashboard";
    public = false;
    byDefault = false;
    description = "figures for Prometheus";
  };
}
