# Promise: a MariaDB that a Postfix and Dovecot stack has filled is used as it is. Its users log in with the passwords
# they have, its aliases lead where they led, and the database users of the roles can do no more than they need.
{ self }:
{ lib, pkgs, ... }:
let
  tables = [
    "0001_domains"
    "0002_users"
    "0003_aliases"
    "0004_usage"
  ];
  seed = pkgs.writeText "seed.sql" ''
    CREATE DATABASE IF NOT EXISTS mailserver CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
    USE mailserver;
    ${lib.concatMapStrings (
      name: builtins.readFile (../migrations/mysql + "/${name}.sql") + ";\n"
    ) tables}
    INSERT INTO virtual_domains (name) VALUES ('old.test');
    INSERT INTO virtual_users (domain_id, email, password) SELECT id, 'eve@old.test',
      '{BLF-CRYPT}$2b$04$BB2kU6hFukFtF0Ymu6kG0u2BerdxSO6pudVAxmpvbvV3Yc10iJXIu' FROM virtual_domains;
    INSERT INTO virtual_aliases (domain_id, source, destination)
      SELECT id, 'office@old.test', 'eve@old.test' FROM virtual_domains;
  '';
in
{
  name = "mariadb-of-the-container-stack";
  globalTimeout = 900;

  nodes.server = {
    imports = [ (import ./lib/server.nix { inherit self; }) ];
    services.postrider.database.type = "mysql";
    # Left behind by the stack, before the server starts for the first time.
    systemd.services.left-behind = {
      after = [ "mysql.service" ];
      requires = [ "mysql.service" ];
      before = [ "postrider-database-users.service" ];
      requiredBy = [ "postrider-database-users.service" ];
      path = [ pkgs.mariadb ];
      serviceConfig = {
        RemainAfterExit = true;
        Type = "oneshot";
      };
      script = "mysql < ${seed}";
    };
    virtualisation.memorySize = 2048;
  };

  testScript = ''
    ${builtins.readFile ./lib/mail.py}
    ${builtins.readFile ./lib/database.py}


    def sql(user: str, statement: str) -> str:
        return shlex.join(["setpriv", f"--reuid={user}", "--clear-groups", "mysql", "-N", "mailserver", "-e", statement])


    start_all()
    for role in ("access", "mta", "dashboard"):
        server.wait_for_unit(f"postrider-{role}.service")

    with subtest("a user of the stack logs in and gets mail, also by an alias of the stack"):
        send(server, "eve@old.test", "ann", "office@old.test", "still here")
        wait_for_mail(server, "eve@old.test", "ann", "still here")

    with subtest("declared users stand beside them"):
        send(server, "ann@example.test", "ann", "eve@old.test", "from a neighbour")
        wait_for_mail(server, "eve@old.test", "ann", "from a neighbour")

    with subtest("the stack's tables are as they were"):
        out = server.succeed(sql("vmail", "SELECT email, password FROM virtual_users WHERE email LIKE '%@old.test'"))
        assert "BB2kU6hFukFtF0Ymu6kG0u2BerdxSO6pudVAxmpvbvV3Yc10iJXIu" in out, out

    guarded(server, sql, 3306)

    ends_well(server)
  '';
}
