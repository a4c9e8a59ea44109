# Outlook's question is passed on to the server, and the records, the file of settings and the sites name the same hosts.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    reverseProxy.enable = true;
    openFirewall = true;
  };
  holds =
    {
      lib,
      config,
      also,
    }:
    let
      named =
        config: name:
        lib.any (record: record.name == "${name}.example.test.") config.services.postrider.dns.records;
      site = config: name: config.services.nginx.virtualHosts ? "${name}.example.test";
      locations = config.services.nginx.virtualHosts."autodiscover.example.test".locations;
      bare = also { services.postrider.reverseProxy.autoconfig = false; };
      names = [
        "autoconfig"
        "autodiscover"
      ];
    in
    [
      (lib.all (site config) names && lib.all (named config) names)
      (lib.attrNames locations == [ "~* ^/autodiscover/autodiscover\\.xml$" ])
      (lib.all (location: location.proxyPass == "https://[::1]:8443") (lib.attrValues locations))
      config.services.postrider.settings.autoconfig.enabled
      (!lib.elem 8443 config.networking.firewall.allowedTCPPorts)
      (!lib.any (site bare) names && !lib.any (named bare) names)
      (!bare.services.postrider.listeners.https.enable)
    ];
}
