# The secret itself in place of the name of its file.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    backup.s3.secretKeyFile = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
  };
  option = [
    "backup"
    "s3"
    "secretKeyFile"
  ];
}
