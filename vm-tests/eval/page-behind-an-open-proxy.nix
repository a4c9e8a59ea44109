# The monitoring page has no login of its own; a proxy must not show it to everybody.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    dashboard.enable = true;
    reverseProxy = {
      enable = true;
      dashboard.enable = true;
    };
  };
  message = "would be readable by everybody";
}
