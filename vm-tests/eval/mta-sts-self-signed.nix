# Other servers that obey the policy would no longer send mail to a certificate nobody trusts.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    reverseProxy = {
      enable = true;
      mtaSts = "enforce";
    };
  };
  message = "reverseProxy.mtaSts promises a certificate";
}
