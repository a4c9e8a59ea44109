# Backups among the mail would save themselves, each in the next.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    backup = {
      enable = true;
      destination = "/var/mail/vhosts/example.test/backups";
    };
  };
  message = "must not overlap with the mail and the queue";
}
