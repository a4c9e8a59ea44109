# A key is for another machine only.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    backup = {
      enable = true;
      remote = "/mnt/vault/postrider";
      remoteKeyFile = "/run/secrets/backup-ssh-key";
    };
  };
  message = "remoteKeyFile and remoteHostKeys are for a remote over ssh";
}
