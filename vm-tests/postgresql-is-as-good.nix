# Promise: with PostgreSQL on the same machine everything is set up by the declaration alone, whichever role comes first,
# and the database users of the roles can do no more than they need.
{ self }:
{ ... }:
{
  name = "postgresql-is-as-good";
  globalTimeout = 900;

  nodes.server = {
    imports = [ (import ./lib/server.nix { inherit self; }) ];
    services.postrider.database.type = "postgresql";
    virtualisation.memorySize = 2048;
  };

  testScript = ''
    ${builtins.readFile ./lib/mail.py}
    ${builtins.readFile ./lib/database.py}


    def sql(user: str, statement: str) -> str:
        return shlex.join(["setpriv", f"--reuid={user}", "--clear-groups", "psql", "-tA", "mailserver", "-c", statement])


    start_all()
    for role in ("access", "mta", "dashboard"):
        server.wait_for_unit(f"postrider-{role}.service")

    with subtest("mail is sent and read"):
        send(server, "ann@example.test", "ann", "bob@example.test", "by way of PostgreSQL")
        wait_for_mail(server, "bob@example.test", "bob", "by way of PostgreSQL")

    with subtest("every table has one owner, so that either mail role can change it at an upgrade"):
        out = server.succeed(sql("vmail", "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"))
        assert out.split() == ["postrider-owner"], out

    with subtest("setting up again changes nothing"):
        server.succeed("systemctl restart postrider-database-users.service")
        server.wait_for_unit("postrider-access.service")
        wait_for_mail(server, "bob@example.test", "bob", "by way of PostgreSQL")

    guarded(server, sql, 5432)

    ends_well(server)

    with subtest("roles outlive a database that is stopped, and go on when it is there again"):
        ids = server.succeed("systemctl show -P MainPID postrider-access postrider-mta")
        server.succeed("systemctl stop postgresql.service 'postgresql@*.service'")
        server.succeed("systemctl start postgresql.service")
        send(server, "ann@example.test", "ann", "bob@example.test", "the database is back")
        wait_for_mail(server, "bob@example.test", "bob", "the database is back")
        assert server.succeed("systemctl show -P MainPID postrider-access postrider-mta") == ids
  '';
}
