# The port between nodes cannot be that of a protocol.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    cluster = {
      enable = true;
      port = 993;
    };
  };
  message = "two protocols have the same port";
  naming = "cluster 993";
}
