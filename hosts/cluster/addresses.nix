# Where the machines are, for all of them: replace these with yours.
{
  _module.args.addresses = {
    balancer = "10.0.0.5";
    # Database and storage.
    storage = "10.0.0.10";
    # The mail nodes, by the names of the machines.
    nodes = {
      mail1 = "10.0.0.11";
      mail2 = "10.0.0.12";
    };
  };
}
