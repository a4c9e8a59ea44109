# Others would get one policy or the other.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    certificates = {
      selfSigned = false;
      files = [
        {
          certFile = "/var/lib/certs/fullchain.pem";
          keyFile = "/var/lib/certs/key.pem";
        }
      ];
    };
    settings.mta_sts.policies = [ { domain = "example.test"; } ];
    reverseProxy = {
      enable = true;
      mtaSts = "testing";
    };
  };
  message = "keep one of them";
}
