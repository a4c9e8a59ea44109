# Two users with one password are most likely a mistake of copying: said, not refused.
{
  module.services.postrider.domains."example.test".users = {
    ann.hashedPasswordFile = "/run/secrets/ann";
    bob.hashedPasswordFile = "/run/secrets/ann";
  };
  warning = "several users share the password file";
  naming = "/run/secrets/ann";
}
