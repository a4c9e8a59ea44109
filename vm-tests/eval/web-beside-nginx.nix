# Another site of this machine would want the port that shows our names to be ours.
{
  module.services = {
    nginx = {
      enable = true;
      virtualHosts."www.example.test" = { };
    };
    postrider = {
      domains."example.test".users.ann = { };
      certificates = {
        selfSigned = false;
        builtinAcme = {
          enable = true;
          acceptTerms = true;
        };
      };
    };
  };
  message = "services.nginx has sites on a port";
}
