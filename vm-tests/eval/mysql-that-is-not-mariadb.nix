# Users are made in the words of MariaDB.
{
  module =
    { pkgs, ... }:
    {
      services.mysql.package = pkgs.writeShellScriptBin "mysqld" "";
      services.postrider = {
        domains."example.test".users.ann = { };
        database.type = "mysql";
      };
    };
  message = "sets up only MariaDB";
}
