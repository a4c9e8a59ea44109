# The key itself in place of the name of its file.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    backup.remoteKeyFile = "-----BEGIN OPENSSH PRIVATE KEY-----";
  };
  option = [
    "backup"
    "remoteKeyFile"
  ];
}
