# What the nodes share, as they mount it from the storage. `hard`: a write that fails silently is a lost one; the times keep
# what a node remembers of names so short that one that takes a user over sees them as they are.
storage:
let
  mount = path: {
    device = "${storage}:${path}";
    fsType = "nfs";
    options = [
      "nfsvers=4.2"
      "hard"
      "noatime"
      "lookupcache=positive"
      "actimeo=1"
    ];
  };
in
{
  "/var/mail/vhosts" = mount "/mail";
  "/var/spool/postrider" = mount "/queue";
}
