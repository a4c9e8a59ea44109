# A name that is a user and another user's alias would be delivered to only one of them.
{
  module.services.postrider.domains."example.test".users = {
    ann = { };
    bob.aliases = [ "ann" ];
  };
  message = "is both a user and the alias of one";
  naming = "ann@example.test";
}
