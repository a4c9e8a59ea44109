# A login without a host would be for nobody, and mail would go on as before.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    smarthost = {
      username = "ann";
      passwordFile = "/run/secrets/smarthost";
    };
  };
  message = "username is set, but no host";
}
