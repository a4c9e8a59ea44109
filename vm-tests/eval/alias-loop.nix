# Two aliases that lead to each other lead nowhere.
{
  module.services.postrider.domains."example.test" = {
    users.ann = { };
    aliases.one = [ "two@example.test" ];
    aliases.two = [ "one@example.test" ];
  };
  message = "lead back to themselves";
}
