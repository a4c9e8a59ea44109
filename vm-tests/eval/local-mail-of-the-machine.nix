# What programs write to root is handed to where this server listens.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    localMail.to = "ann@example.test";
  };
  holds =
    {
      lib,
      config,
      also,
    }:
    let
      accountOf = config: config.programs.msmtp.accounts.default;
      moved = accountOf (also {
        services.postrider.listeners.smtp = {
          addresses = [ "192.0.2.1" ];
          port = 2525;
        };
      });
      none = also { services.postrider.localMail.to = lib.mkForce null; };
    in
    [
      config.programs.msmtp.enable
      (lib.hasPrefix "/nix/store/" config.programs.msmtp.defaults.aliases)
      ((accountOf config).host == "::1" && (accountOf config).port == 25)
      (moved.host == "192.0.2.1" && moved.port == 2525)
      (!none.programs.msmtp.enable)
    ];
}
