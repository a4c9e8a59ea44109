# Where there is no IPv6, nothing listens there.
{
  module = {
    networking.enableIPv6 = false;
    services.postrider = {
      domains."example.test".users.ann = { };
      dashboard.enable = true;
      spam.resolver.enable = true;
    };
  };
  holds =
    { lib, config, ... }:
    let
      inherit (config.services) postrider unbound;
      places = lib.concatMap (listener: listener.bind) postrider.settings.listener;
    in
    [
      (lib.elem "0.0.0.0:993" places && lib.elem "127.0.0.1:8080" places)
      (!lib.any (lib.hasInfix "[") places)
      (unbound.settings.server.interface == [ "127.0.0.1" ])
    ];
}
