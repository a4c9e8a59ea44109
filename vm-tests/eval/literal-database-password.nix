# The settings are in the store: a password in them would be everybody's to read.
{
  module =
    { lib, ... }:
    {
      services.postrider = {
        domains."example.test".users.ann = { };
        settings.storage.database = lib.mkForce "postgres://mail:secret@db.example.test/mail";
      };
    };
  message = "settings.storage.database contains a password";
}
