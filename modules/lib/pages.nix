# Who serves the pages that need mailboxes: the webmail, calendars and contacts.
config:
let
  cfg = config.services.postrider;
  inherit (cfg.certificates) builtinAcme;
  protocols = import ./ports.nix;
  # Who has the ports of the web, and most likely passes requests on.
  hasWebServer = builtins.any (server: config.services.${server}.enable) [
    "caddy"
    "haproxy"
    "httpd"
    "nginx"
    "traefik"
  ];
  # Whether `https` has them. Authorities that ask there must be answered by the role that has asked them for a certificate,
  # and that one has no mailboxes.
  onHttps =
    (cfg.webmail.enable || cfg.dav.enable)
    && !(builtinAcme.enable && builtinAcme.challenge == "tls-alpn-01");
in
{
  inherit hasWebServer onHttps;

  # Whether nothing else has the port of browsers, and there is a certificate that they trust.
  byItself = builtinAcme.enable && !cfg.reverseProxy.enable && !hasWebServer;

  # The role that serves a protocol.
  roleOf = name: if name == "https" && onHttps then "access" else protocols.${name}.role;
}
