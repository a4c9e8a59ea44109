# Whatever is allowed in an address, the credential with the password has a name.
{
  module.services.postrider.domains."example.test".users = {
    ann.hashedPasswordFile = "/run/secrets/ann";
    "a/b".hashedPasswordFile = "/run/secrets/ab";
    "o'brien".hashedPasswordFile = "/run/secrets/obrien";
  };
  holds =
    { lib, config, ... }:
    let
      names = map (p: p.credential) config.services.postrider.passwordCredentials;
    in
    [
      (lib.all (name: builtins.match "[A-Za-z0-9._-]+" name != null) names)
      (lib.elem "password-ann_at_example.test" names)
      (lib.allUnique names)
    ];
}
