# What a `sendmail` hands over must be taken by somebody.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    listeners.smtp.enable = false;
    localMail.to = "ann@example.test";
  };
  message = "hand their mail over by SMTP";
}
