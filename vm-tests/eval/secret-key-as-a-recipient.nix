# Encrypting for a secret key would put it in the store, and in every log.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    backup = {
      enable = true;
      ageRecipients = [ "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQ" ];
    };
  };
  option = [
    "backup"
    "ageRecipients"
  ];
}
