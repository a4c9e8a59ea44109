# Where the server gets its certificate by itself, browsers reach the webmail by the host's name; a web server beside it is left its
# ports. It is served there by the role that has the mailboxes, and so are calendars and contacts. Certificates are looked at on a
# schedule.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    webmail.enable = true;
    openFirewall = true;
    certificates = {
      selfSigned = false;
      builtinAcme = {
        enable = true;
        acceptTerms = true;
      };
    };
  };
  holds =
    {
      lib,
      config,
      also,
      ...
    }:
    let
      beside = also {
        services.caddy.enable = true;
      };
      of = config: config.services.postrider;
      listener = config: lib.findFirst (l: l.protocol == "https") { } (of config).settings.listener;
      servesHttps =
        role: config:
        (listener config).role or "mta" == role
        && config.systemd.sockets.postrider-https.socketConfig.Service == "postrider-${role}.service"
        && lib.elem "postrider-https.socket" config.systemd.services."postrider-${role}".wants;
      announces = config: lib.any (r: lib.hasPrefix "_caldavs" r.name) (of config).dns.records;
      withDav = also {
        services.postrider = {
          dav.enable = true;
          webmail.enable = lib.mkForce false;
        };
      };
      askedInTls = also {
        services.postrider = {
          certificates.builtinAcme.challenge = "tls-alpn-01";
          dav.enable = true;
        };
      };
      check = config.systemd.services.postrider-certificate-check.serviceConfig;
    in
    [
      config.services.postrider.listeners.https.enable
      (lib.elem 443 config.networking.firewall.allowedTCPPorts)
      (config.warnings == [ ])
      (servesHttps "access" config)
      (servesHttps "access" withDav && announces withDav)
      # There the role that asks for the certificate must answer.
      (servesHttps "mta" askedInTls && !announces askedInTls)
      (lib.any (lib.hasInfix "nobody but this machine reaches the webmail") askedInTls.warnings)
      (!beside.services.postrider.listeners.https.enable)
      (lib.hasSuffix "certificate check" check.ExecStart)
      (config.systemd.timers.postrider-certificate-check.timerConfig.OnCalendar == "daily")
      (
        !(also { services.postrider.certificates.check = null; }).systemd.timers
          ? postrider-certificate-check
      )
    ];
}
