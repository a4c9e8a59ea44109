# The example of docs/from-simple-nixos-mailserver.md.
{
  module = {
    services.postrider = {
      enable = true;
      openFirewall = true;
      mailRoot = "/var/vmail";
      domains."example.com" = {
        users.john = {
          hashedPasswordFile = "/run/secrets/john";
          aliases = [ "postmaster" ];
          quota = "100G";
        };
        users.jane.quota = "2G";
        aliases.info = [
          "john@example.com"
          "jane@example.com"
        ];
        aliases.away = [ "someone@elsewhere.example" ];
        catchAll = "john@example.com";
        dkim.selectors.mail.keyFile = "/var/dkim/example.com.mail.key";
      };
      certificates.selfSigned = false;
      certificates.acme.enable = true;
      reverseProxy.enable = true;
      listeners.managesieve.enable = true;
    };
    security.acme = {
      acceptTerms = true;
      defaults.email = "postmaster@example.com";
    };
  };
  holds =
    { lib, config, ... }:
    let
      inherit (config.services) postrider;
      inherit (config.systemd.services.postrider-mta.serviceConfig) LoadCredential;
    in
    [
      (config.warnings == [ ])
      (postrider.settings.storage.mail_root == "/var/vmail")
      (lib.any (lib.hasSuffix ":/var/dkim/example.com.mail.key") (lib.toList LoadCredential))
      (config.users.users.vmail.uid == 5000 && config.users.groups.vmail.gid == 5000)
      (lib.elem 4190 config.networking.firewall.allowedTCPPorts)
    ];
}
