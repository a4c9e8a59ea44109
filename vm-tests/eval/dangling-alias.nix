# An alias to nobody would bounce every message.
{
  module.services.postrider.domains."example.test" = {
    users.ann = { };
    aliases.sales = [ "bob@example.test" ];
  };
  message = "the destination is in one of our domains and does not exist";
  naming = "sales@example.test -> bob@example.test";
}
