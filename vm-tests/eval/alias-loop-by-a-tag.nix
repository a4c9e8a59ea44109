# A tag leads to the same alias again.
{
  module.services.postrider.domains."example.test" = {
    users.ann = { };
    aliases.sales = [ "sales+x@example.test" ];
  };
  message = "lead back to themselves";
  naming = "sales@example.test -> sales+x@example.test";
}
