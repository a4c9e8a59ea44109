# A proxy cannot show a page that nothing serves.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    reverseProxy = {
      enable = true;
      dashboard = {
        enable = true;
        allowFrom = [ "192.0.2.0/24" ];
      };
    };
  };
  message = "there is no page to show";
}
