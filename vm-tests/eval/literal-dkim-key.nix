# The key itself in place of the name of its file.
{
  module.services.postrider.domains."example.test" = {
    users.ann = { };
    dkim.selectors.s1.keyFile = "-----BEGIN PRIVATE KEY-----";
  };
  option = [ "domains" ];
}
