# The monitoring page has no login: whoever opens it to all is told.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    dashboard.enable = true;
    listeners.dashboard.addresses = [ "::" ];
  };
  warning = "listen on all interfaces";
}
