# Without a certificate no client could log in.
{
  module.services.postrider = {
    certificates.selfSigned = false;
    domains."example.test".users.ann = { };
  };
  message = "no certificate";
}
