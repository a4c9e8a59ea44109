# Less memory for the role with the mailboxes leaves less for attachments on their way in, but room for one.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    webmail.enable = true;
  };
  holds =
    { config, also, ... }:
    let
      room = config: config.services.postrider.settings.webmail.uploads;
      with' =
        memory:
        room (also {
          services.postrider.memoryMax.access = memory;
        });
    in
    [
      (room config == "251658240")
      (with' "512M" == "50331648")
      (with' "256M" == "26214400")
    ];
}
