# The server compares addresses without regard to case.
{
  module.services.postrider.domains."example.test".users = {
    ann.aliases = [ "Info" ];
    bob.aliases = [ "info" ];
  };
  message = "or the alias of two users";
  naming = "info@example.test";
}
