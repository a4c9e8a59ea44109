# A missing password file stops no unit: a substitute is read instead.
{
  module.services.postrider = {
    domains."example.test".users.ann.hashedPasswordFile = "/run/secrets/ann";
    backup = {
      enable = true;
      remote = "/mnt/vault/postrider";
    };
  };
  holds =
    { lib, config, ... }:
    let
      name = "password-ann_at_example.test";
      has =
        key: text: service:
        lib.elem text (lib.toList (service.serviceConfig.${key} or [ ]));
      reads = has "LoadCredential" "${name}:/run/secrets/ann";
      readers = lib.filterAttrs (_: reads) config.systemd.services;
    in
    [
      (readers ? postrider-access)
      (readers ? postrider-backup)
      (readers ? postrider-drill)
      (readers ? postrider-offsite)
      (lib.all (has "SetCredential" "${name}:\\n") (lib.attrValues readers))
    ];
}
