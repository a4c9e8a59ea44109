# Mail programs would be answered by two programs on one port.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    web.autoconfig.enable = true;
    reverseProxy.enable = true;
  };
  message = "would both answer on port 443";
}
