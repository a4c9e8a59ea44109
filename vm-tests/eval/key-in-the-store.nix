# A private key in the store could be read by everybody on the machine.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    certificates.selfSigned = false;
    certificates.files = [
      {
        certFile = "/run/secrets/cert.pem";
        keyFile = ./key-in-the-store.nix;
      }
    ];
  };
  option = [
    "certificates"
    "files"
  ];
}
