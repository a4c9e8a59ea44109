# Two protocols cannot share a port.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    listeners.imap.port = 993;
  };
  message = "two protocols have the same port";
}
