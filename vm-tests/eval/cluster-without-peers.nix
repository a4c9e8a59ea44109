# The port between nodes is opened to nodes, and these must be named.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    cluster = {
      enable = true;
      secretFile = "/run/secrets/cluster";
    };
    database = {
      type = "postgresql";
      createLocally = false;
      urlFile = "/run/secrets/database";
    };
  };
  message = "cluster.peers";
}
