# Two mail servers cannot have the same ports.
{
  module.services = {
    postfix.enable = true;
    postrider.domains."example.test".users.ann = { };
  };
  message = "which would use the same ports";
  naming = "services.postfix";
}
