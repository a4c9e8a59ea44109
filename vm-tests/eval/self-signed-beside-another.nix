# A certificate for trying things out must not be served beside a real one.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    certificates.files = [
      {
        certFile = "/run/secrets/cert.pem";
        keyFile = "/run/secrets/key.pem";
      }
    ];
  };
  message = "is for machines without a certificate";
}
