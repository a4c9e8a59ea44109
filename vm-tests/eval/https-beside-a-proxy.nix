# Two programs cannot have port 443.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    listeners.https.port = 443;
    reverseProxy.enable = true;
  };
  message = "cannot both have port 443";
}
