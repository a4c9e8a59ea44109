# rsync cannot copy what lies in a bucket.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    backup = {
      enable = true;
      destination = "s3://mail-backups/mx1";
      remote = "vault.example.com:postrider";
      s3.endpoint = "https://s3.example.com";
    };
  };
  message = "rsync cannot copy from a bucket";
}
