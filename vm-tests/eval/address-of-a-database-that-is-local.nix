# An address is for a database elsewhere.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    database.type = "postgresql";
    database.urlFile = "/run/secrets/database-url";
  };
  message = "urlFile is for a database elsewhere";
}
