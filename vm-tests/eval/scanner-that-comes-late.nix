# Mail does not wait for the scanner, which waits for its signatures from the network: until then `onFailure` holds. When they could
# not be fetched, the scanner ends and is started again.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    spam.clamav.enable = true;
  };
  holds =
    { lib, config, ... }:
    [
      (!(lib.elem "clamav-daemon.service" config.systemd.services.postrider-mta.after))
      (config.systemd.services.clamav-daemon.serviceConfig.Restart == "on-failure")
    ];
}
