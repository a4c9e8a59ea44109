# A listener needs the role that serves it.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    listeners.dashboard.enable = true;
  };
  message = "listeners.dashboard is enabled without the role";
}
