# A copy in the place of the original is not a copy.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    backup = {
      enable = true;
      remote = "/var/backup/postrider";
    };
  };
  message = "remote is the copy of destination";
}
