# The same for a policy that the server itself serves.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    web.mtaSts = "testing";
  };
  message = "web.mtaSts promises a certificate";
}
