# No authority gives a certificate to somebody who has not agreed to its terms.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    certificates = {
      selfSigned = false;
      builtinAcme.enable = true;
    };
  };
  message = "the authority requires agreement to its terms of service";
}
