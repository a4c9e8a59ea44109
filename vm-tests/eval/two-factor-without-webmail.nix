# Two-factor login is required where nobody could turn it on.
{
  module.services.postrider = {
    domains."example.test" = {
      users.ann = { };
      requireTwoFactor = true;
    };
  };
  message = "set services.postrider.webmail.enable";
}
