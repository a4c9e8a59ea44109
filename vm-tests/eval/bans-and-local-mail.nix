# Two modules may relax the same of a role's sandbox.
{
  module = {
    networking.nftables.enable = true;
    services.postrider = {
      domains."example.test".users.ann = { };
      bans.nftables = true;
      localMail.to = "ann@example.test";
    };
  };
  holds =
    { config, ... }:
    let
      inherit (config.services.postrider) relaxed;
      inherit (config.systemd.services.postrider-mta) serviceConfig;
    in
    [
      (!serviceConfig.PrivateUsers)
      (serviceConfig.RestrictAddressFamilies == relaxed.mta.RestrictAddressFamilies.value)
    ];
}
