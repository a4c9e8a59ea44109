# Who reads the store could open the secrets of everybody.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    twoFactor.keyFile = ./two-factor-key-in-the-store.nix;
  };
  option = [
    "twoFactor"
    "keyFile"
  ];
}
