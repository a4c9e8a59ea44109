# Where the server gets its certificate by itself, browsers reach the webmail by the host's name; a web server beside it is left its
# ports. Certificates are looked at on a schedule.
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
      check = config.systemd.services.postrider-certificate-check.serviceConfig;
    in
    [
      config.services.postrider.listeners.https.enable
      (lib.elem 443 config.networking.firewall.allowedTCPPorts)
      (config.warnings == [ ])
      (!beside.services.postrider.listeners.https.enable)
      (lib.hasSuffix "certificate check" check.ExecStart)
      (config.systemd.timers.postrider-certificate-check.timerConfig.OnCalendar == "daily")
      (
        !(also { services.postrider.certificates.check = null; }).systemd.timers
          ? postrider-certificate-check
      )
    ];
}
