# A database elsewhere must be named.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    database.type = "postgresql";
    database.createLocally = false;
  };
  message = "needs the address of its database";
}
