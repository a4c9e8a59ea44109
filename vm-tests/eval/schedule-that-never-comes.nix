# A timer without a moment would never start, and nothing would say that there are no backups.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    backup = {
      enable = true;
      schedule = "";
    };
  };
  option = [
    "backup"
    "schedule"
  ];
}
