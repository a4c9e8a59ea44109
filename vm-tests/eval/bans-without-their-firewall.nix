# Sets that nothing loads would take no bans.
{
  module.services.postrider = {
    domains."example.test".users.ann = { };
    bans.nftables = true;
  };
  message = "needs nftables";
}
