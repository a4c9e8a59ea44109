# Read by the tests of databases, which say by `sql` how a user of the machine has a statement carried out.


def guarded(machine: typing.Any, sql: typing.Callable[[str, str], str], port: int) -> None:
    """Who may do what in the database that the server has set up."""
    with subtest("the monitoring page's user reads and cannot write, others cannot even read"):
        machine.succeed(sql("postrider-dashboard", "SELECT COUNT(*) FROM virtual_users"))
        machine.fail(sql("postrider-dashboard", "DELETE FROM virtual_users"))
        machine.fail(sql("nobody", "SELECT COUNT(*) FROM virtual_users"))

    with subtest("an administrator reaches the accounts from the command line"):
        out = machine.succeed("postrider user list")
        assert "ann@example.test" in out, out

    with subtest("the database cannot be reached from the network"):
        machine.fail(f"ss -Htln 'sport = :{port}' | grep -vE '127.0.0.1|\\[::1\\]' | grep .")
