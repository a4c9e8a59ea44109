# The figures are served by the dashboard's role.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    monitoring.prometheus.enable = true;
  };
  message = "needs the metrics";
}
