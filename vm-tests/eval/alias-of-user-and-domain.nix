# The same alias in two places would be two lists.
{
  module.services.postrider.domains."example.test" = {
    users.ann.aliases = [ "sales" ];
    aliases.sales = [ "ann@example.test" ];
  };
  message = "is the alias of a user and of the domain";
  naming = "sales@example.test";
}
