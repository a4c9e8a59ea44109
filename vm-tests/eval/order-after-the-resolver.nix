# A certificate is ordered when names can be looked up, also where the resolver is on this machine.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    spam.resolver.enable = true;
    certificates = {
      selfSigned = false;
      builtinAcme = {
        enable = true;
        acceptTerms = true;
      };
    };
  };
  holds =
    { lib, config, ... }:
    [
      (lib.elem "nss-lookup.target" config.systemd.services.postrider-mta.after)
      (lib.elem "nss-lookup.target" config.systemd.services.unbound.before)
    ];
}
