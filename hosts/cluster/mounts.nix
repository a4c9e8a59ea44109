# The nodes' mounts from the shared storage. `hard`: a write must not fail silently; the times keep
# a node's cache of names so short that a node taking over a user sees the current ones.
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
