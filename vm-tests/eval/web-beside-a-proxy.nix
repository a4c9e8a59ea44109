# Two programs cannot have port 443.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    web.autoconfig.enable = true;
    reverseProxy.enable = true;
  };
  message = "would both answer on port 443";
}
