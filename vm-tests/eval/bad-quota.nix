# A quota without a unit is a quota of a few octets.
{
  module.services.postrider.domains."example.test".users.ann.quota = "5";
  option = [
    "domains"
    "example.test"
    "users"
    "ann"
    "quota"
  ];
}
