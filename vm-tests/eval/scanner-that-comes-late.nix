# Mail does not wait for the scanner, which waits for its signatures from the network: until then `onFailure` holds.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    spam.clamav.enable = true;
  };
  holds =
    { lib, config, ... }:
    [ (!(lib.elem "clamav-daemon.service" config.systemd.services.postrider-mta.after)) ];
}
