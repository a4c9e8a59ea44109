# An alias leads to complete addresses.
{
  module.services.postrider.domains."example.test".aliases.sales = [ "ann" ];
  option = [
    "domains"
    "example.test"
    "aliases"
    "sales"
  ];
}
