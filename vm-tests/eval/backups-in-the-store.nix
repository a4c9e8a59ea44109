# A path literal names the place in the store to which this machine would copy the directory.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    backup.destination = ./.;
  };
  option = [
    "backup"
    "destination"
  ];
}
