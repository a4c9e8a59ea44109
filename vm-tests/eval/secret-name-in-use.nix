# A secret must not take the place of one that the module hands to the roles itself.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    secrets.database-url.file = "/run/secrets/mine";
  };
  message = "the name is in use for something else";
}
