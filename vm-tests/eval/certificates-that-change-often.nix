# However many files of certificates change one after the other, the next change is noticed: a path unit ends with the unit it
# starts, when that one has reached its limit of starts.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    certificates = {
      selfSigned = false;
      files = [
        {
          certFile = "/var/lib/certs/cert.pem";
          keyFile = "/var/lib/certs/key.pem";
        }
      ];
    };
  };
  holds =
    { config, ... }:
    let
      inherit (config.systemd) paths services;
    in
    [
      (paths ? postrider-certificates-renewed)
      (services.postrider-certificates-renewed.startLimitIntervalSec == 0)
    ];
}
