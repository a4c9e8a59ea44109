# Mail that is refused earlier can never reach quarantine.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    spam.quarantine = 20.0;
  };
  message = "must lie between";
}
