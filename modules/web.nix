# What the server itself answers over HTTPS, without a web server beside it: settings for mail programs, and policies on TLS
# for other servers. The certificate gets the names.
{ config, lib, ... }:
let
  inherit (lib)
    mkEnableOption
    mkIf
    mkMerge
    ;
  cfg = config.services.postrider;
  web = cfg.web;
  proxy = cfg.reverseProxy;
  domains = lib.attrNames cfg.domains;
  # Who else wants the ports of the web on this machine; sites that say where they listen know what they do.
  isAt = protocol: port: cfg.listeners.${protocol}.enable && cfg.listeners.${protocol}.port == port;
  sites = lib.optionals (config.services.nginx.enable && !proxy.enable) (
    lib.filter (site: site.listen == [ ]) (lib.attrValues config.services.nginx.virtualHosts)
  );
  withTls = site: site.addSSL || site.forceSSL || site.onlySSL;
  names =
    lib.optionals web.autoconfig.enable (
      lib.concatMap (domain: [
        "autoconfig.${domain}"
        "autodiscover.${domain}"
      ]) domains
    )
    ++ lib.optionals (web.mtaSts != null) (map (domain: "mta-sts.${domain}") domains);
in
{
  options.services.postrider.web = {
    autoconfig.enable = mkEnableOption ''
      answers to mail programs that look for their settings at `autoconfig.<domain>` (Thunderbird and others) and
      `autodiscover.<domain>` (Outlook), and to Apple devices that fetch
      `https://<hostname>/apple.mobileconfig?address=<address>`'';
    mtaSts = import ./lib/mta-sts-option.nix { inherit lib; };
  };

  config = mkIf cfg.enable (mkMerge [
    {
      assertions = [
        {
          assertion = !(proxy.enable && (web.autoconfig.enable || web.mtaSts != null));
          message = "services.postrider.web and services.postrider.reverseProxy would both answer on port 443; use reverseProxy.autoconfig and reverseProxy.mtaSts instead of web.*, or remove the reverse proxy.";
        }
        {
          assertion = !(proxy.enable && isAt "https" 443);
          message = "services.postrider.listeners.https and services.postrider.reverseProxy cannot both have port 443; remove one of them, or give the listener another port.";
        }
        {
          assertion = !(proxy.enable && isAt "http" 80);
          message = "services.postrider.listeners.http and services.postrider.reverseProxy cannot both have port 80; remove one of them.";
        }
        {
          assertion =
            !(lib.any (site: !site.onlySSL) sites && isAt "http" 80)
            && !(lib.any withTls sites && isAt "https" 443);
          message = "services.nginx has sites on a port that services.postrider serves for certificates, web.* or setUpLinks; use services.postrider.reverseProxy with certificates.acme instead, or set where the sites listen with their `listen` option.";
        }
        {
          assertion =
            !(proxy.enable && proxy.mtaSts != null)
            # Those of the proxy are among the settings, too.
            || lib.length (cfg.settings.mta_sts.policies or [ ]) == lib.length domains;
          message = "services.postrider.settings.mta_sts.policies are served by the server, and services.postrider.reverseProxy.mtaSts by nginx under the same names; keep one of them.";
        }
        {
          assertion = web.mtaSts == null || !cfg.certificates.selfSigned;
          message = "services.postrider.web.mtaSts promises a certificate that others trust; use certificates.builtinAcme, certificates.acme or certificates.files instead of certificates.selfSigned.";
        }
      ];
      # The proxy passes on what no file can answer.
      services.postrider.settings.autoconfig.enabled =
        web.autoconfig.enable || (proxy.enable && proxy.autoconfig);
    }
    (mkIf (names != [ ]) {
      services.postrider = {
        listeners.https.enable = true;
        certificates = {
          acme.extraDomainNames = names;
          builtinAcme.extraDomainNames = names;
        };
      };
    })
    (mkIf (web.mtaSts != null) {
      services.postrider.settings.mta_sts.policies = map (domain: {
        inherit domain;
        mode = web.mtaSts;
      }) domains;
    })
  ]);
}
