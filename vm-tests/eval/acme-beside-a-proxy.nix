# Two programs cannot have port 80.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    certificates = {
      selfSigned = false;
      builtinAcme = {
        enable = true;
        acceptTerms = true;
      };
    };
    reverseProxy.enable = true;
  };
  message = "answers on a port that the reverse proxy uses";
}
