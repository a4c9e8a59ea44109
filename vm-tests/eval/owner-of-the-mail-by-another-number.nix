# Where the number of the owner of all mail is somebody else's, another one is said without force.
{
  module = {
    services.postrider.domains."example.test".users.ann = { };
    users.users.vmail.uid = 990;
    users.groups.vmail.gid = 990;
  };
  holds =
    { config, ... }:
    [
      (config.users.users.vmail.uid == 990)
      (config.users.groups.vmail.gid == 990)
    ];
}
