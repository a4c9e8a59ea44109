# A copy on another machine is made with a key and by a name that are given, and when there is a network; one in a directory needs
# none; either holds every secret.
{
  module.services.postrider = {
    domains."example.test".users.ann.hashedPasswordFile = "/run/secrets/ann";
    dashboard = {
      enable = true;
      passwordFile = "/run/secrets/page";
    };
    backup.enable = true;
  };
  holds =
    { lib, also, ... }:
    let
      unit = backup: (also { services.postrider.backup = backup; }).systemd.services.postrider-offsite;
      offsite = backup: (unit backup).serviceConfig;
      # One that the machine has missed is made when it starts.
      waits =
        backup:
        lib.all (lib.elem "network-online.target") [
          (unit backup).after
          (unit backup).wants
        ];
      remote = {
        remote = "backup@vault.example.com:postrider";
        remoteHostKeys = [ "vault.example.com ssh-ed25519 AAAA" ];
        remoteKeyFile = "/run/secrets/backup-ssh-key";
      };
      shell =
        (also { services.postrider.backup = remote; }).services.postrider.settings.backup.remote_shell;
      bucket = {
        remote = "s3://mail-backups/mx1";
        s3 = {
          endpoint = "https://s3.example.com";
          secretKeyFile = "/run/secrets/backup-s3";
        };
      };
      inBucket = (also { services.postrider.backup = bucket; }).services.postrider.settings.backup;
      inDirectory.remote = "/mnt/vault/postrider";
      directory = offsite inDirectory;
    in
    [
      (lib.hasInfix "-o UserKnownHostsFile=/nix/store/" shell)
      (lib.hasInfix "-o IdentityFile=\${CREDENTIALS_DIRECTORY}/backup-remote-key" shell)
      (lib.elem "backup-remote-key:/run/secrets/backup-ssh-key" (offsite remote).LoadCredential)
      (lib.elem "dashboard-password:/run/secrets/page" (offsite remote).LoadCredential)
      (lib.elem "backup-s3:/run/secrets/backup-s3" (offsite bucket).LoadCredential)
      (inBucket.s3.secret_key_file == "credential:backup-s3")
      (!(offsite remote).PrivateNetwork)
      (waits remote)
      (waits bucket)
      directory.PrivateNetwork
      (!waits inDirectory)
      (lib.elem "/mnt/vault/postrider" directory.ReadWritePaths)
    ];
}
