# A password written in an option would be readable by everybody on the machine.
{
  module.services.postrider.domains."example.test".users.ann.hashedPasswordFile = "hunter2";
  option = [
    "domains"
    "example.test"
    "users"
    "ann"
    "hashedPasswordFile"
  ];
}
