# A name too long for the common name of a certificate is among its other names alone.
let
  hostname = "mail.of-a-department-with-a-name-of-its-own.in-a-house-with-many.example.test";
in
{
  module.services.postrider = {
    inherit hostname;
    domains."example.test".users.ann = { };
  };
  holds =
    { config, lib, ... }:
    let
      inherit (config.systemd.services.postrider-self-signed) script;
    in
    [
      (lib.stringLength hostname > 64)
      (lib.hasInfix "DNS:${hostname}" script)
      (!lib.hasInfix "CN=${hostname}" script)
    ];
}
