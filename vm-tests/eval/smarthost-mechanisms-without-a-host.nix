# Mechanisms of a host that nobody has named.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    smarthost.spf = "include:_spf.provider.example";
  };
  message = "there are mechanisms for SPF, but no host";
}
