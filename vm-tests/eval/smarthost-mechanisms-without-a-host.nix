# SPF mechanisms of a host that is not set.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    smarthost.spf = "include:_spf.provider.example";
  };
  message = "spf is set, but no host";
}
