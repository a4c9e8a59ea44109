# Nodes that cannot see each other's leases would own the same mailboxes.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    cluster = {
      enable = true;
      peers = [ "10.0.0.11" ];
      secretFile = "/run/secrets/cluster";
    };
  };
  message = "a database that all nodes reach";
}
