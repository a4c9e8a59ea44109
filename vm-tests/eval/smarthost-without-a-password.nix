# A login is both, a name and a password.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    smarthost = {
      host = "smtp.provider.example";
      username = "ann";
    };
  };
  message = "set both, or neither";
}
