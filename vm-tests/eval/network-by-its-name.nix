# A firewall would look it up once, and a web server never.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    reverseProxy.dashboard.allowFrom = [ "office.example.test" ];
  };
  option = [
    "reverseProxy"
    "dashboard"
    "allowFrom"
  ];
}
