# Two programs cannot have port 80.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    listeners.http.enable = true;
    reverseProxy.enable = true;
  };
  message = "cannot both have port 80";
}
