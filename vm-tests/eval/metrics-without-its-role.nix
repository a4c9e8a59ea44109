# A listener needs the role that serves it.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    listeners.metrics.enable = true;
  };
  message = "listeners.metrics is enabled without the role";
}
