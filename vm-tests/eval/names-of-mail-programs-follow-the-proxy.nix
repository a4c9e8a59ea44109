# `postrider dns` and `postrider doctor` want the names for mail programs only where nginx passes them on.
{
  module.services.postrider = {
    domains."example.test" = { };
    reverseProxy.enable = true;
    setUpLinks.enable = true;
  };
  holds =
    { also, config, ... }:
    let
      without = also { services.postrider.reverseProxy.autoconfig = false; };
    in
    [
      config.services.postrider.settings.autoconfig.enabled
      (!without.services.postrider.settings.autoconfig.enabled)
      # The page to set a password stays.
      without.services.postrider.listeners.https.enable
      (config.services.nginx.virtualHosts ? "autodiscover.example.test")
      (!(without.services.nginx.virtualHosts ? "autodiscover.example.test"))
    ];
}
