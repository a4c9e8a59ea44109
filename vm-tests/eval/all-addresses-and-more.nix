# `::` takes IPv4 too, and a second socket could not be opened.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    listeners.imaps.addresses = [
      "0.0.0.0"
      "::"
    ];
  };
  message = "`::` covers every address, including IPv4";
  naming = "imaps";
}
