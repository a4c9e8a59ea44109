# Nodes know each other by a secret.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    cluster = {
      enable = true;
      peers = [ "10.0.0.11" ];
    };
    database = {
      type = "postgresql";
      createLocally = false;
      urlFile = "/run/secrets/database";
    };
  };
  message = "cluster.secretFile";
}
