# The webmail listens on this machine only; without anything in front of it nobody reaches it.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    webmail.enable = true;
  };
  warning = "nobody but this machine reaches the webmail";
}
