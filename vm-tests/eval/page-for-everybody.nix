# The monitoring page has no login: opening it to all causes a warning.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    dashboard.enable = true;
    listeners.dashboard.addresses = [ "::" ];
  };
  warning = "listen on all interfaces";
}
