# A signing key in the store could be read by everybody on the machine.
{
  module.services.postrider = {
    domains."example.test" = {
      users.ann = { };
      dkim.selectors.s1.keyFile = ./dkim-key-in-the-store.nix;
    };
  };
  option = [ "domains" ];
}
