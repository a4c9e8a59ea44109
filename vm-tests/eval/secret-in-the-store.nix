# A path literal would be copied into the store, which everybody on the machine can read.
{
  module.services.postrider.domains."example.test".users.ann.hashedPasswordFile =
    ./secret-in-the-store.nix;
  option = [
    "domains"
    "example.test"
    "users"
    "ann"
    "hashedPasswordFile"
  ];
}
