# A bucket is named, but not the storage that has it.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    backup = {
      enable = true;
      destination = "s3://mail-backups/mx1";
    };
  };
  message = "set services.postrider.backup.s3.endpoint";
}
